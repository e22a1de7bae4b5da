"""Keeps a worker's lanes filled from the journal, and never holds more than a little of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from relay.alert import PRIORITIES, Alert
from relay.delivery.clock import Clock
from relay.delivery.lanes import FRESH_BYTES, LaneBuffer, Open
from relay.delivery.recorder import Recorder
from relay.delivery.retry import LONGEST
from relay.journal.base import Lane, Log, Settlement, State

AT_ONCE = 256
LOW_WATER = 128
OPEN_MOST = 256
"""Alerts with an open retry; at this number nothing new is begun in the lane. Bounds memory and window."""
UNSETTLED_MOST = 4096
"""Fates of a lane that wait for the journal; at this number no more is read of it."""
AGAIN = 1.0
"""Seconds after which a read of the journal that failed is tried again."""

WhyNot = Callable[[Alert], str | None]
log = structlog.get_logger()


class Reader:
    """`filled` is called when there is something new to send."""

    def __init__(
        self,
        output: str,
        journal: Log,
        recorder: Recorder,
        clock: Clock,
        why_not: WhyNot | None,
        filled: Callable[[], None],
    ) -> None:
        self.lanes: list[LaneBuffer] = []
        self._output = output
        self._journal = journal
        self._recorder = recorder
        self._clock = clock
        self._why_not = why_not
        self._filled = filled
        self._hungry = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read where the lanes stand, and begin."""
        for priority in range(len(PRIORITIES)):
            lane = Lane(self._output, priority)
            buffer = LaneBuffer(lane, await self._journal.cursor(lane))
            now_ns = self._clock.time_ns()
            for one in await self._journal.pending(lane):
                # The time the relay was down does not count as trying.
                down = max(0, now_ns - one.next_try_ns)
                first_ns = min(now_ns, one.first_try_ns + down)
                # No wait is longer than that: it was noted on a clock that was ahead.
                next_ns = min(one.next_try_ns, now_ns + int(LONGEST * 1e9))
                buffer.open[one.seq] = Open(one.seq, one.attempts, first_ns, next_ns)
            self.lanes.append(buffer)
        self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._feed())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def look(self) -> None:
        """Something has changed that may leave room to read more."""
        self._hungry.set()

    def look_if_wanted(self, lane: LaneBuffer) -> None:
        if self._wants(lane):
            self._hungry.set()

    async def _watch(self) -> None:
        """Wake the feeder whenever the journal has something newer."""
        seen = 0
        while True:
            seen = await self._journal.wait_newer(seen)
            self._hungry.set()

    async def _feed(self) -> None:
        while True:
            self._hungry.clear()
            try:
                for lane in self.lanes:
                    await self._fill(lane)
            except Exception as error:
                log.error("the journal cannot be read", output=self._output, why=str(error))
                self._clock.call_later(AGAIN, self._hungry.set)
            self._filled()
            await self._hungry.wait()

    def _wants(self, lane: LaneBuffer) -> bool:
        """There is more in the journal, and room for it."""
        return (
            len(lane.fresh) < LOW_WATER
            and lane.held < FRESH_BYTES
            and len(lane.open) < OPEN_MOST
            and self._journal.newest(lane.lane.priority) > lane.position
            and self._recorder.owed(lane.lane) < UNSETTLED_MOST
        )

    async def _fill(self, lane: LaneBuffer) -> None:
        while self._wants(lane):
            alerts = await self._journal.read(lane.lane, lane.position, AT_ONCE)
            if not alerts:
                return
            lane.position = alerts[-1].seq
            if self._why_not is None:
                lane.put(alerts)
            else:
                self._route(lane, alerts, self._why_not)
            self._filled()

    def _route(self, lane: LaneBuffer, alerts: Sequence[Alert], why_not: WhyNot) -> None:
        now_ns = self._clock.time_ns()
        left_out = []
        for alert in alerts:
            if why_not(alert) is None:
                lane.put([alert])
            else:
                left_out.append(Settlement(alert.seq, State.NOT_ROUTED, now_ns))
        self._recorder.add(lane.lane, left_out)
