"""What pages show of alerts, fates and outputs. Text of an alert is cut and made visible here; the templates
escape it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from relay.alert import Alert
from relay.delivery.status import Status, WorkerState
from relay.journal.base import Depth, Fate, State
from relay.render import cut, one_line, rfc3339, text_of, visible

LINE_MOST = 480
"""Characters of an alert's text in a list; the rest is on its page."""
NAME_MOST = 120
TEXT_MOST = 256 * 1024
"""Characters of one text on the alert's own page; the whole is behind `raw`."""
FIELD_MOST = 16 * 1024
FIELDS_MOST = 1000
LATE_NS = 300 * 10**9
"""An alert that came later than this after its own time says so."""

OPEN = frozenset({State.WAITING, State.RETRYING})
"""States that will change by themselves."""

_PREFIX = re.compile(r"\S{8,40}: (?P<priority>[A-Z][a-z]+) (?=\S)")
_ICONS = {
    State.WAITING: "waiting",
    State.RETRYING: "retrying",
    State.DELIVERED: "accepted",
    State.DEAD: "dead",
    State.SUMMARISED: "summarised",
    State.EXPIRED: "expired",
    State.DISCARDED: "discarded",
    State.NOT_ROUTED: "unrouted",
}
_ODD = {
    "json": "was not strict JSON and was read tolerantly",
    "time": "no readable time; the moment it was received stands for it",
    "priority": "no known priority; Informational stands for it",
    "rule": "rule was missing or not plain text",
    "source": "source was missing or not plain text",
    "hostname": "hostname was not plain text",
    "output": "output was missing or not text",
    "output_fields": "output_fields was missing or not an object",
    "tags": "tags was not a list",
    "uuid": "uuid was not usable as an id",
    "text": "came as a line of text, not as JSON",
}


@dataclass(frozen=True, slots=True)
class Badge:
    """A fate in a list."""

    output: str
    icon: str
    word: str
    tip: str
    href: str
    trouble: bool  # a person may want to know why


@dataclass(frozen=True, slots=True)
class Row:
    seq: int
    href: str
    priority: str
    rule: str
    rule_query: str
    source: str
    host: str
    host_query: str
    text: str
    time: str  # RFC 3339, UTC
    late: str | None  # when it was received, if much later than its time
    badges: Sequence[Badge]
    open: bool  # a fate will still change


@dataclass(frozen=True, slots=True)
class FateLine:
    """A fate on the alert's page."""

    anchor: str
    output: str
    icon: str
    word: str
    attempts: int
    at: str | None
    why: str
    reply: str
    receipt: str
    next_try: str | None


@dataclass(frozen=True, slots=True)
class OutputCard:
    name: str
    type: str
    state: str
    since: str
    why: str
    waiting: int
    retrying: int
    oldest: str | None
    delivered: int
    dead: int
    last_success: str | None


def moment(time_ns: int) -> str:
    """RFC 3339 with milliseconds, which every browser reads."""
    return rfc3339(time_ns)[:23] + "Z"


def alert_href(alert_id: str) -> str:
    return f"/ui/alerts/{quote(alert_id, safe='')}"


def line(alert: Alert) -> str:
    """The alert's text for a list, without the time and priority that Falco puts before it."""
    text = alert.output or "(no text)"
    found = _PREFIX.match(text[:80])
    if found and found["priority"] == alert.priority_name:
        text = text[found.end() :]
    return cut(text, LINE_MOST, one_line)


def name(text: str) -> str:
    return cut(text, NAME_MOST, one_line)


def row(alert: Alert, fates: Sequence[Fate]) -> Row:
    href = alert_href(alert.id)
    return Row(
        seq=alert.seq,
        href=href,
        priority=alert.priority_name,
        rule=name(alert.rule),
        rule_query=quote(alert.rule, safe=""),
        source=name(alert.source),
        host=name(alert.hostname),
        host_query=quote(alert.hostname, safe=""),
        text=line(alert),
        time=moment(alert.time_ns),
        late=moment(alert.received_ns) if abs(alert.received_ns - alert.time_ns) > LATE_NS else None,
        badges=[badge(fate, href) for fate in fates],
        open=any(fate.state in OPEN for fate in fates),
    )


def icon(fate: Fate) -> str:
    return "confirmed" if fate.state is State.DELIVERED and fate.confirmed else _ICONS[fate.state]


def word(fate: Fate) -> str:
    """The fate in a word; what was only accepted is not called delivered."""
    if fate.state is State.DELIVERED:
        return "confirmed" if fate.confirmed else "accepted"
    return str(fate.state)


def badge(fate: Fate, href: str) -> Badge:
    parts = [f"{fate.output}: {word(fate)}"]
    if fate.at_ns is not None:
        parts[0] += f" at {moment(fate.at_ns)[11:19]} UTC"
    if fate.attempts > 1:
        parts.append(f"{fate.attempts} attempts")
    if fate.why:
        parts.append(cut(fate.why, 200, one_line))
    if fate.next_try_ns is not None:
        parts.append(f"next try {moment(fate.next_try_ns)[11:19]} UTC")
    trouble = fate.state in {State.RETRYING, State.DEAD, State.EXPIRED, State.DISCARDED}
    return Badge(
        fate.output, icon(fate), word(fate), "; ".join(parts), f"{href}#to-{quote(fate.output)}", trouble
    )


def fate_line(fate: Fate) -> FateLine:
    return FateLine(
        anchor=f"to-{fate.output}",
        output=fate.output,
        icon=icon(fate),
        word=word(fate),
        attempts=fate.attempts,
        at=moment(fate.at_ns) if fate.at_ns is not None else None,
        why=cut(fate.why or "", FIELD_MOST, visible),
        reply=cut(fate.reply or "", FIELD_MOST, visible),
        receipt=cut(fate.receipt or "", NAME_MOST, one_line),
        next_try=moment(fate.next_try_ns) if fate.next_try_ns is not None else None,
    )


def fields(alert: Alert) -> tuple[list[tuple[str, str]], int]:
    """Names and values, and how many were left out."""
    items = list(alert.output_fields.items())
    shown = [
        (cut(key, NAME_MOST * 4, one_line), cut(text_of(value), FIELD_MOST, visible))
        for key, value in items[:FIELDS_MOST]
    ]
    return shown, max(0, len(items) - FIELDS_MOST)


def notes(alert: Alert) -> list[str]:
    return [_ODD.get(odd, odd) for odd in alert.normalised]


def body(raw: bytes, most: int = TEXT_MOST) -> str:
    text = raw[: most * 4].decode("utf-8", "replace")
    shown = cut(text, most, visible)
    unread = len(raw) - most * 4
    return shown if unread <= 0 else f"{shown} (and {unread} bytes)"


def card(status: Status, depth: Depth) -> OutputCard:
    return OutputCard(
        name=status.name,
        type=status.type,
        state=str(status.state),
        since=moment(status.since_ns),
        why=cut(status.why or "", 300, one_line) if status.state is not WorkerState.OK else "",
        waiting=depth.waiting,
        retrying=status.retrying,
        oldest=moment(depth.oldest_ns) if depth.oldest_ns is not None else None,
        delivered=status.outcomes.get("delivered", 0),
        dead=status.outcomes.get("dead", 0),
        last_success=moment(status.last_success_ns) if status.last_success_ns is not None else None,
    )


def cards(statuses: Sequence[Status], depths: Mapping[str, Depth]) -> list[OutputCard]:
    """Those in trouble first, else in the configuration's order."""
    found = [card(status, depths.get(status.name, Depth(0, None))) for status in statuses]
    return sorted(found, key=lambda one: one.state == WorkerState.OK)
