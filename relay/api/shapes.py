"""What the API says of each thing. Times are RFC 3339 in UTC; text is as the journal has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from relay.alert import PRIORITIES, Alert
from relay.delivery import Status
from relay.journal.base import Depth, Fate, Orphan


def moment(ns: int | None) -> str | None:
    """To the nanosecond, as alerts have it; None outside the years that RFC 3339 can write."""
    if ns is None:
        return None
    seconds, rest = divmod(ns, 10**9)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
    except (ValueError, OverflowError, OSError):
        return None


def alert(one: Alert, fates: Sequence[Fate]) -> dict[str, Any]:
    return {
        "id": one.id,
        "seq": one.seq,
        "time": moment(one.time_ns),
        "received": moment(one.received_ns),
        "received_from": text(one.received_from),
        "priority": PRIORITIES[one.priority],
        "rule": text(one.rule),
        "source": text(one.source),
        "hostname": text(one.hostname),
        "normalised": list(one.normalised),
        "content": one.content,
        "body": one.raw.decode("utf-8", "replace"),
        "fates": [fate(each) for each in fates],
    }


def fate(one: Fate) -> dict[str, Any]:
    return {
        "output": one.output,
        "state": one.state.value,
        "at": moment(one.at_ns),
        "attempts": one.attempts,
        "why": text(one.why),
        "reply": text(one.reply),
        "receipt": text(one.receipt),
        "confirmed": one.confirmed,
        "next_try": moment(one.next_try_ns),
    }


def output(one: Status, depth: Depth | None) -> dict[str, Any]:
    return {
        "name": one.name,
        "type": one.type,
        "state": one.state.value,
        "since": moment(one.since_ns),
        "why": text(one.why),
        "waiting": depth.waiting if depth else None,
        "oldest": moment(depth.oldest_ns) if depth else None,
        "in_flight": one.in_flight,
        "retrying": one.retrying,
        "last_success": moment(one.last_success_ns),
        "outcomes": dict(one.outcomes),
    }


def refused(one: Mapping[str, object]) -> dict[str, Any]:
    body, at = one["body"], one["at_ns"]
    assert isinstance(body, bytes)
    assert isinstance(at, int)
    return {
        "n": one["n"],
        "at": moment(at),
        "received_from": text(str(one["received_from"])),
        "reason": text(str(one["reason"])),
        "body": body.decode("utf-8", "replace"),
    }


def orphan(one: Orphan) -> dict[str, Any]:
    return {"output": one.output, "waiting": one.waiting, "oldest": moment(one.oldest_ns)}


def text(value: str | None) -> str | None:
    """What JSON can carry: a lone surrogate is not Unicode."""
    return None if value is None else value.encode("utf-8", "replace").decode()
