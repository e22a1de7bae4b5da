"""Keeps the log short while something fails for hours: what is said again and again is counted instead."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog

AGAIN_S = 300.0
"""Of lines that were said too often, one in so many seconds."""
OF_AN_OUTPUT, OF_ALL = 5, 100
"""Lines with the same words that come through at once: about one output; and about anything else, where they
may be a list of what is wrong with a file."""
KEYS_MOST = 1000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float
    left_out: int = 0


class LogLimit:
    """A processor of structlog's chain. Lines are the same when level, event and output are.

    A line that comes through after others were left out says how many: `left_out=12`.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._buckets: OrderedDict[tuple[str, str, str], _Bucket] = OrderedDict()

    def __call__(
        self, logger: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        output = str(event.get("output", ""))
        bucket = self._bucket((method, str(event.get("event")), output), OF_AN_OUTPUT if output else OF_ALL)
        if bucket.tokens < 1:
            bucket.left_out += 1
            raise structlog.DropEvent
        bucket.tokens -= 1
        if bucket.left_out:
            event["left_out"], bucket.left_out = bucket.left_out, 0
        return event

    def _bucket(self, key: tuple[str, str, str], most: int) -> _Bucket:
        now = self._monotonic()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(float(most), now)
            while len(self._buckets) > KEYS_MOST:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        bucket.tokens = min(float(most), bucket.tokens + (now - bucket.at) / AGAIN_S)
        bucket.at = now
        return bucket


class LibraryLimit(logging.Filter):
    """The same for what libraries log."""

    def __init__(self, limit: LogLimit) -> None:
        super().__init__()
        self._limit = limit

    def filter(self, record: logging.LogRecord) -> bool:
        line: dict[str, Any] = {"event": f"{record.name}: {record.msg}"}
        try:
            self._limit(None, record.levelname, line)
        except structlog.DropEvent:
            return False
        if "left_out" in line:
            record.msg = f"{record.msg} (and {line['left_out']} more like it)"
        return True
