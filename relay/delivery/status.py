"""What a worker says about its output: for pages, the API and metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

LATENCY_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)
"""Seconds; upper bounds of the histogram POST received → answered by the destination."""


class WorkerState(StrEnum):
    OK = "ok"
    FAILING = "failing"
    THROTTLED = "throttled"
    PARKED = "parked"


@dataclass(slots=True)
class Status:
    """A snapshot."""

    name: str
    type: str
    state: WorkerState
    since_ns: int  # of the state
    why: str | None  # of the last failure, while the state is not ok
    in_flight: int
    retrying: int
    last_success_ns: int | None
    outcomes: dict[str, int]
    latency_counts: list[int]  # one for each bound, and one for beyond
    latency_sum: float


@dataclass(slots=True)
class Tally:
    """Counts since the start."""

    outcomes: Counter[str] = field(default_factory=Counter)
    latency: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS) + 1))
    latency_sum: float = 0.0
    last_success_ns: int | None = None

    def delivered(self, received_ns: int, now_ns: int) -> None:
        seconds = max(0, now_ns - received_ns) / 1e9
        self.outcomes["delivered"] += 1
        self.latency[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self.latency_sum += seconds
        self.last_success_ns = now_ns
