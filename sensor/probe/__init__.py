"""Where events come from: the live kernel or a recording, behind one face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sensor.event import Event, Lost
from sensor.table import BY_EVENT


class ProbeError(Exception):
    """The probe cannot run; the message says what is missing and how to give it."""


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """What to watch.

    Args:
        syscalls: Falco event names out of `sensor.table.BY_EVENT` that leave the kernel; process bookkeeping
            (`clone`, successful `execve`, `procexit`) always does.
        scope_cgroup: only tasks in this cgroup of v2 and below it, e.g. `/sys/fs/cgroup/x`.
        scope_pid: only this process and its descendants.
        ring_bytes: size of the ring buffer; a power of two and a multiple of the page size.
        ignore_pids: processes never reported, besides the sensor itself.
        failed_exec: report `execve` that failed, judged by the caller's `proc.*`, as Falco does.
    """

    syscalls: frozenset[str] = field(default_factory=lambda: frozenset(BY_EVENT))
    scope_cgroup: str | None = None
    scope_pid: int | None = None
    ring_bytes: int = 8 * 1024 * 1024
    ignore_pids: frozenset[int] = frozenset()
    failed_exec: bool = True


class Probe(Protocol):
    """A source of events; not for use from several threads."""

    def open(self) -> None:
        """Start; raises ProbeError with what is missing."""

    def read_batch(self, timeout: float) -> Sequence[Event | Lost]:
        """The events at hand; waits at most `timeout` seconds for the first; empty when there are none."""

    def detach(self) -> None:
        """Let nothing new in; what is at hand can still be read."""

    def close(self) -> None:
        """Let go of everything; may be called twice."""
