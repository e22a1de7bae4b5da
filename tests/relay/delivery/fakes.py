"""Time, a journal and an output that tests decide over."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from relay.alert import Alert
from relay.delivery import Worker
from relay.journal.base import Appended, Depth, Lane, NewAlert, Pending, Settlement, State
from relay.outputs.base import Batch, Delivered, Limits, Outcome

START_NS = 1_767_225_600_000_000_000


async def settle() -> None:
    """Let every coroutine run until it waits for something that only time or a test brings."""
    for _ in range(60):
        await asyncio.sleep(0)


@dataclass(order=True)
class FakeTimer:
    at: float
    number: int
    callback: Callable[[], object] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """Stands still until `advance`."""

    def __init__(self) -> None:
        self.now = 0.0
        self._wall_ns = START_NS
        self._timers: list[FakeTimer] = []
        self._numbers = itertools.count()

    def time_ns(self) -> int:
        return self._wall_ns + round(self.now * 1e9)

    def set_wall(self, seconds: float) -> None:
        """Move the wall clock only."""
        self._wall_ns += round(seconds * 1e9)

    def monotonic(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object]) -> FakeTimer:
        timer = FakeTimer(self.now + max(0.0, delay), next(self._numbers), callback)
        heapq.heappush(self._timers, timer)
        return timer

    @property
    def next_at(self) -> float | None:
        while self._timers and self._timers[0].cancelled:
            heapq.heappop(self._timers)
        return self._timers[0].at if self._timers else None

    async def advance(self, seconds: float) -> None:
        """Fire what falls due, in order, each time letting everything run."""
        await settle()
        end = self.now + seconds
        while (at := self.next_at) is not None and at <= end:
            self.now = max(self.now, at)
            heapq.heappop(self._timers).callback()
            await settle()
        self.now = end
        await settle()


class MemoryLog:
    """The Log contract in memory; it notes every fate, and what contradicts an earlier one."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.fates: dict[tuple[Lane, int], list[Settlement]] = defaultdict(list)
        self.contradictions: list[str] = []
        self.fails = False
        self.read_fails = False
        self.reads = 0
        self._news = asyncio.Event()

    def put(self, priority: int = 4, raw: bytes = b"{}", **more: Any) -> Alert:
        seq = len(self.alerts) + 1
        alert = Alert(
            seq=seq,
            id=f"id-{seq}",
            time_ns=START_NS,
            received_ns=START_NS,
            priority=priority,
            rule="r",
            source="s",
            hostname="h",
            raw=raw,
            **more,
        )
        self.alerts.append(alert)
        self._news.set()
        self._news.clear()
        return alert

    def final(self, lane: Lane, seq: int) -> State | None:
        fates = self.fates.get((lane, seq))
        return fates[-1].state if fates else None

    def states(self, output: str = "out") -> dict[int, State | None]:
        return {alert.seq: self.final(Lane(output, alert.priority), alert.seq) for alert in self.alerts}

    def last(self, seq: int, output: str = "out") -> Settlement:
        return self.fates[Lane(output, self.alerts[seq - 1].priority), seq][-1]

    def _lane(self, lane: Lane) -> list[Alert]:
        return [alert for alert in self.alerts if alert.priority == lane.priority]

    async def append(self, alerts: Sequence[NewAlert]) -> Sequence[Appended]:
        raise NotImplementedError

    async def cursor(self, lane: Lane) -> int:
        cursor = 0
        for alert in self._lane(lane):
            if self.final(lane, alert.seq) in {None, State.RETRYING}:
                break
            cursor = alert.seq
        return cursor

    async def read(self, lane: Lane, after: int, limit: int) -> Sequence[Alert]:
        if self.read_fails:
            raise OSError("disk I/O error")
        self.reads += 1
        found = []
        for seq in range(after + 1, len(self.alerts) + 1):
            alert = self.alerts[seq - 1]
            if alert.priority == lane.priority and self.final(lane, seq) is None:
                found.append(alert)
                if len(found) == limit:
                    break
        return found

    async def fetch(self, seqs: Sequence[int]) -> Sequence[Alert]:
        if self.read_fails:
            raise OSError("disk I/O error")
        return [self.alerts[seq - 1] for seq in seqs]

    async def pending(self, lane: Lane) -> Sequence[Pending]:
        rows = [
            Pending(one.seq, one.attempts, one.first_try_ns or one.at_ns, one.next_try_ns or 0, one.why or "")
            for (where, _), fates in self.fates.items()
            if where == lane and (one := fates[-1]).state is State.RETRYING
        ]
        return sorted(rows, key=lambda row: row.next_try_ns)

    async def settle(self, lane: Lane, settlements: Sequence[Settlement]) -> None:
        if self.fails:
            raise OSError("no space left on device")
        for one in settlements:
            before = self.final(lane, one.seq)
            if before not in {None, State.RETRYING}:
                self.contradictions.append(f"{one.seq}: {before}, then {one.state}")
            self.fates[lane, one.seq].append(one)

    def newest(self, priority: int | None = None) -> int:
        if priority is None:
            return len(self.alerts)
        return next((alert.seq for alert in reversed(self.alerts) if alert.priority == priority), 0)

    async def wait_newer(self, seq: int) -> int:
        while len(self.alerts) <= seq:
            await self._news.wait()
        return len(self.alerts)

    async def depth(self, output: str) -> Depth:
        raise NotImplementedError


async def stopped(worker: Worker, clock: FakeClock, seconds: float = 10.0) -> None:
    """Stop the worker while time goes on."""
    task = asyncio.create_task(worker.stop(seconds))
    for _ in range(30):
        await settle()
        if task.done():
            break
        await clock.advance(1.0)
    await task


Reply = Callable[[Batch], "Sequence[Outcome] | Awaitable[Sequence[Outcome]]"]


@dataclass
class Sent:
    """One call of `deliver`."""

    at: float
    batch: Batch

    @property
    def seqs(self) -> list[int]:
        return [alert.seq for alert in self.batch.alerts]


def good(batch: Batch) -> Sequence[Outcome]:
    return [Delivered()] * len(batch.alerts)


class ScriptedOutput:
    """Answers what `reply` says, and remembers what it was given."""

    type: ClassVar[str] = "scripted"

    def __init__(self, clock: FakeClock, reply: Reply = good, name: str = "out", **limits: Any) -> None:
        self.name = name
        self.limits = Limits(**limits)
        self.settings = None
        self.reply = reply
        self.sent: list[Sent] = []
        self.under_way = self.most_under_way = 0
        self.started = self.closed = 0
        self._clock = clock

    async def start(self) -> None:
        self.started += 1

    async def close(self) -> None:
        self.closed += 1

    async def deliver(self, batch: Batch) -> Sequence[Outcome]:
        self.sent.append(Sent(self._clock.now, batch))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            answer = self.reply(batch)
            return await answer if isinstance(answer, Awaitable) else answer
        finally:
            self.under_way -= 1

    @property
    def times(self) -> list[float]:
        return [sent.at for sent in self.sent]
