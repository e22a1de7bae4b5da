"""Times as Falco writes them, always UTC; they come in nanoseconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime

SECOND_NS = 1_000_000_000


def moment(time_ns: int) -> datetime:
    """Cut to the second."""
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC)


def time_of_day(time_ns: int) -> str:
    """13:33:09.679463601"""
    return f"{moment(time_ns):%H:%M:%S}.{time_ns % SECOND_NS:09d}"


def iso_8601(time_ns: int, zone: str = "+0000") -> str:
    """2026-11-23T13:33:09.679463601+0000"""
    return f"{moment(time_ns):%Y-%m-%dT%H:%M:%S}.{time_ns % SECOND_NS:09d}{zone}"
