"""From a page's query to a Filter of the Ledger, and back to its address."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode

from relay.alert import PRIORITIES, priority_number
from relay.config.settings import duration
from relay.decode import parse_time
from relay.journal.base import Filter

NAME_MOST = 1024
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MINUTE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")


class Query(Protocol):
    """Starlette's QueryParams."""

    def get(self, key: str, default: str) -> str: ...
    def getlist(self, key: str) -> Sequence[str]: ...


@dataclass(slots=True)
class Asked:
    """What the form holds, as it was typed, and what is wrong with it."""

    priorities: list[str] = field(default_factory=list)
    text: dict[str, str] = field(default_factory=dict)  # rule, source, host, since, until
    before: int | None = None
    problems: dict[str, str] = field(default_factory=dict)  # by field
    where: Filter = field(default_factory=Filter)

    @property
    def filtered(self) -> bool:
        return self.where != Filter()

    def toggled(self, priority: str) -> str:
        """The address of the same with this priority too, or without it."""
        others = [name for name in self.priorities if name != priority]
        return self.address(priorities=others if priority in self.priorities else [*others, priority])

    def address(self, before: int | None = None, priorities: Sequence[str] | None = None) -> str:
        chosen = self.priorities if priorities is None else priorities
        pairs = [("priority", name) for name in chosen]
        pairs += [(name, value) for name, value in self.text.items() if value]
        if before is not None:
            pairs.append(("before", str(before)))
        return "/ui" + (f"?{urlencode(pairs)}" if pairs else "")


def parse(query: Query, now_ns: int) -> Asked:
    asked = Asked()
    for name in query.getlist("priority"):
        number = priority_number(name)
        if number is None:
            asked.problems["priority"] = "is not a priority"
        elif PRIORITIES[number] not in asked.priorities:
            asked.priorities.append(PRIORITIES[number])
    for name in ("rule", "source", "host", "since", "until"):
        asked.text[name] = query.get(name, "").strip()[:NAME_MOST]
    moments: dict[str, int | None] = {}
    for name in ("since", "until"):
        moments[name] = moment(asked.text[name], now_ns) if asked.text[name] else None
        if asked.text[name] and moments[name] is None:
            asked.problems[name] = "write 15m, 2h, 7d (ago) or 2026-11-24 08:30 (UTC)"
    before = query.get("before", "")
    if before:
        if before.isdecimal() and len(before) < 19:
            asked.before = int(before)
        else:
            asked.problems["before"] = "is not a page"
    asked.where = _filter(asked.priorities, asked.text, moments)
    return asked


def _filter(priorities: Sequence[str], text: Mapping[str, str], moments: Mapping[str, int | None]) -> Filter:
    numbers = frozenset(PRIORITIES.index(name) for name in priorities)
    return Filter(
        priorities=numbers if 0 < len(numbers) < len(PRIORITIES) else None,
        rule=text["rule"] or None,
        source=text["source"] or None,
        hostname=text["host"] or None,
        since_ns=moments["since"],
        until_ns=moments["until"],
    )


def moment(text: str, now_ns: int) -> int | None:
    """ns since the epoch from `2h` (ago) or a UTC time; None if it is neither."""
    try:
        seconds = duration(text)
    except ValueError:
        pass
    else:
        return max(0, now_ns - int(min(seconds, 10**9) * 1e9))
    if _DAY.fullmatch(text):
        text += "T00:00"
    if _MINUTE.fullmatch(text):
        text += ":00"
    return parse_time(text)
