"""What a worker holds of its lanes: a small buffer of alerts that were read, and the open retries."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from relay.alert import Alert
from relay.journal.base import Lane

URGENT_TURNS = 7
"""Of eight turns; the eighth goes to the other lanes, one after another, so that nothing starves."""


FRESH_BYTES = 2**20
"""Of alerts that were read and not begun; beyond it no more are read of the lane."""


@dataclass(slots=True)
class Open:
    """An alert that was tried and failed, or one that is being tried again."""

    seq: int
    attempts: int
    first_try_ns: int  # moved forward by time that does not count
    next_try_ns: int


@dataclass(slots=True)
class Work:
    """Alerts of one lane for one request. `alerts` is None if they are retries, to be fetched again."""

    lane: LaneBuffer
    round: int  # Health.round when it was begun
    alerts: Sequence[Alert] | None
    retries: Sequence[Open] = ()


@dataclass(slots=True)
class LaneBuffer:
    lane: Lane
    position: int  # read up to here
    fresh: deque[Alert] = field(default_factory=deque)
    held: int = 0  # bytes of `fresh`
    open: dict[int, Open] = field(default_factory=dict)
    due: deque[Open] = field(default_factory=deque)
    trying: int = 0  # of `open`, those that are in a request now

    def release_due(self, now_ns: int, *, all_of_them: bool = False) -> None:
        """Move the open ones whose time has come to `due`."""
        queued = {one.seq for one in self.due}
        for one in sorted(self.open.values(), key=lambda one: one.next_try_ns):
            if one.next_try_ns > now_ns and not all_of_them:
                break
            if one.seq not in queued and one.next_try_ns >= 0:
                self.due.append(one)

    def put(self, alerts: Iterable[Alert]) -> None:
        for alert in alerts:
            self.fresh.append(alert)
            self.held += len(alert.raw)

    def put_back(self, alert: Alert) -> None:
        self.fresh.appendleft(alert)
        self.held += len(alert.raw)

    def take_fresh(self, alerts: int, size: int) -> list[Alert]:
        """Up to so many alerts, and bytes; at least one."""
        fresh = self.fresh
        taken = [fresh.popleft()]
        held = len(taken[0].raw)
        while len(taken) < alerts and fresh and held + len(fresh[0].raw) <= size:
            held += len(fresh[0].raw)
            taken.append(fresh.popleft())
        self.held -= held
        return taken

    def take_due(self, alerts: int) -> list[Open]:
        """Retries of about the same age; each failure halves the batch, until one alert is alone."""
        first = self.due.popleft()
        most = max(1, alerts >> first.attempts)
        taken = [first]
        while self.due and len(taken) < most and self.due[0].attempts <= first.attempts:
            taken.append(self.due.popleft())
        for one in taken:
            one.next_try_ns = -1  # under way
        return taken

    def shift(self, step_ns: int) -> None:
        """The wall clock was set: what waits goes on waiting as long as it would have."""
        for one in self.open.values():
            one.first_try_ns += step_ns
            if one.next_try_ns >= 0:
                one.next_try_ns += step_ns

    def next_due_ns(self) -> int | None:
        times = [one.next_try_ns for one in self.open.values() if one.next_try_ns >= 0]
        return min(times, default=None)


class Turns:
    """Chooses among lanes that have something, given in order of urgency."""

    def __init__(self) -> None:
        self._turn = 0
        self._other = 0

    def choose(self, ready: Sequence[LaneBuffer]) -> LaneBuffer:
        self._turn += 1
        if len(ready) == 1 or self._turn % (URGENT_TURNS + 1):
            return ready[0]
        self._other += 1
        return ready[1 + self._other % (len(ready) - 1)]
