"""How long to wait after failures."""

from __future__ import annotations

from collections.abc import Callable

FIRST = 1.0  # seconds
LONGEST = 300.0
PARKED_PROBES = (60.0, 300.0, 900.0)
"""Seconds between probes of a parked output; the last one repeats."""


def backoff(failures: int, uniform: Callable[[float, float], float]) -> float:
    """Exponential with full jitter, at least a tenth of a second; `failures` counts from 1."""
    ceiling = min(LONGEST, FIRST * 2.0 ** min(failures - 1, 30))
    return max(0.1, uniform(0.0, ceiling))


def parked_wait(probes: int) -> float:
    """Before the next probe of a parked output, after so many probes."""
    return PARKED_PROBES[min(probes, len(PARKED_PROBES) - 1)]
