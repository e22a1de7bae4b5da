"""Writes what a worker found out into the journal, in the order it was found out."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import structlog

from relay.delivery.clock import Clock, finish
from relay.journal.base import Lane, Log, Settlement

AGAIN = 1.0
"""Seconds after which fates that could not be written are written again."""

log = structlog.get_logger()


class Recorder:
    """`add` fates; they are committed together. While `failing` nothing new must be begun: it would be
    sent again and again. `written` is called after each commit. `unwritten` counts requests that were sent
    and whose fates are not committed: what a crash now would send twice.
    """

    def __init__(self, output: str, journal: Log, clock: Clock, written: Callable[[], None]) -> None:
        self.failing = False
        self.unwritten = 0
        self._output = output
        self._journal = journal
        self._clock = clock
        self._written = written
        self._waiting: defaultdict[Lane, list[Settlement]] = defaultdict(list)
        self._sent: Counter[Lane] = Counter()  # of `_waiting`, in requests
        self._more = asyncio.Event()
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self, seconds: float) -> None:
        """Write what is left, once; at most so long."""
        self._closing = True
        self._more.set()
        self._wake.set()
        if self._task is not None:
            await finish(self._clock, seconds, [self._task])

    def add(self, lane: Lane, settlements: Sequence[Settlement], *, sent: bool = False) -> None:
        """`sent`: they are what became of one request."""
        if settlements:
            self._waiting[lane] += settlements
            self._sent[lane] += sent
            self.unwritten += sent
            self._more.set()

    def owed(self, lane: Lane) -> int:
        """Fates of the lane that are not on their way to the journal yet."""
        waiting = self._waiting.get(lane)
        return len(waiting) if waiting else 0

    async def _run(self) -> None:
        while not (self._closing and not self._waiting):
            await self._more.wait()
            self._more.clear()
            if not self._waiting:
                continue
            if await self._write():
                self.failing = False
                self._written()
            elif self._closing:
                return
            else:
                await self._pause()
                self._more.set()

    async def _write(self) -> bool:
        taken, self._waiting = self._waiting, defaultdict(list)
        sent, self._sent = self._sent, Counter()
        results = await asyncio.gather(
            *(self._journal.settle(lane, settlements) for lane, settlements in taken.items()),
            return_exceptions=True,
        )
        good = True
        for (lane, settlements), result in zip(taken.items(), results, strict=True):
            if isinstance(result, BaseException):
                if not self.failing:
                    log.error("fates cannot be written", output=self._output, why=str(result))
                good, self.failing = False, True
                self._waiting[lane] = settlements + self._waiting[lane]
                self._sent[lane] += sent[lane]
            else:
                self.unwritten -= sent[lane]
        return good

    async def _pause(self) -> None:
        """Until it is time to try again, or the worker stops."""
        self._wake.clear()
        timer = self._clock.call_later(AGAIN, self._wake.set)
        if not self._closing:
            await self._wake.wait()
        timer.cancel()
