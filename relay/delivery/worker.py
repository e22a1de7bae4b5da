"""One worker per output: reads its lanes, sends, and records the fate of every alert.

All decisions are made in `_choose` and `_finish`, which do not wait; the coroutines around them only move.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import structlog

from relay.alert import Alert
from relay.delivery import sending
from relay.delivery.clock import Clock, StepWatch, SystemClock, Timer, finish
from relay.delivery.health import Health
from relay.delivery.lanes import LaneBuffer, Open, Turns, Work
from relay.delivery.pace import Bucket, Paces
from relay.delivery.reader import AGAIN, OPEN_MOST, Reader, WhyNot
from relay.delivery.recorder import Recorder
from relay.delivery.retry import backoff
from relay.delivery.status import Status, Tally, WorkerState
from relay.journal.base import Log, Settlement, State
from relay.outputs.base import Delivered, Outcome, Output, Parked, Rejected, Retry, Throttled

PROBE_OPEN = 32
"""While the output fails, so many different alerts are tried before the same are tried again."""
PROBE_NEW = 4
"""Beyond PROBE_OPEN one probe in so many is still a new alert: poisonous ones may be more than that."""
RECORD_SECONDS = 5.0
"""At the stop, for the last fates."""

log = structlog.get_logger()


class Worker:
    """Start with `await start()`, end with `await stop(seconds)`. `why_not` judges the routing."""

    def __init__(
        self,
        output: Output,
        journal: Log,
        why_not: WhyNot | None,
        *,
        retry_for: float = 86400.0,
        clock: Clock | None = None,
        paces: Paces | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.output = output
        self.tally = Tally()
        self._log = journal
        self._clock: Clock = clock or SystemClock()
        self._steps = StepWatch(self._clock)
        self._rng = rng or random.Random()  # noqa: S311 jitter
        self._retry_for_ns = int(retry_for * 1e9)
        self._health = Health(self._rng.uniform, since_ns=self._clock.time_ns())
        self._recorder = Recorder(output.name, journal, self._clock, self._written)
        self._reader = Reader(output.name, journal, self._recorder, self._clock, why_not, self._pump)
        self._turns = Turns()
        self._in_flight = 0
        self._idle: list[asyncio.Future[Work]] = []
        self._timer: Timer | None = None
        self._senders: list[asyncio.Task[None]] = []
        self._stopping = False
        limits = output.limits
        self._bucket: Bucket | None = None
        self._paces = paces or Paces()
        self._pace_key = limits.pace_key or f"output:{output.name}"
        if limits.pace:
            now = self._clock.monotonic()
            self._bucket = self._paces.join(self._pace_key, limits.pace, limits.burst, now)

    async def start(self) -> None:
        """Read where the lanes stand, and begin. Raises what the output's `start` raises."""
        await self.output.start()
        await self._reader.start()
        self._recorder.start()
        self._senders = [asyncio.create_task(self._send()) for _ in range(self.output.limits.concurrency)]

    async def stop(self, seconds: float = 10.0) -> None:
        """Finish what is under way, at most so long; record it; leave the rest in the journal."""
        self._stopping = True
        for future in self._idle:
            future.cancel()
        await finish(self._clock, seconds, self._senders)
        if self._timer:
            self._timer.cancel()
        await self._reader.stop()
        await self._recorder.close(RECORD_SECONDS)
        if self._bucket is not None:
            self._paces.leave(self._pace_key, self.output.name)
        await self.output.close()

    def status(self) -> Status:
        """Costs no look into the journal."""
        ok = self._health.state is WorkerState.OK
        return Status(
            self.output.name,
            self.output.type,
            self._health.state,
            self._health.since_ns,
            None if ok else self._health.why,
            self._in_flight,
            sum(len(lane.open) for lane in self._reader.lanes),
            self.tally.last_success_ns,
            dict(self.tally.outcomes),
            list(self.tally.latency),
            self.tally.latency_sum,
        )

    # Choosing

    def _pump(self) -> None:
        """Give work to idle senders, as long as there is some and it may go now."""
        while self._idle:
            work = self._choose()
            if work is None:
                return
            self._idle.pop().set_result(work)

    def _choose(self) -> Work | None:
        """The next request; None if there is nothing, or nothing may go now (then a timer is set)."""
        if self._stopping or self._recorder.failing:
            return None
        if self._in_flight + self._recorder.unwritten >= self.output.limits.concurrency:
            return None  # a crash may repeat no more than that
        self._follow_clock()
        now = self._clock.monotonic()
        health = self._health
        if not health.allowed(self._in_flight, self.output.limits.concurrency, now):
            if self._in_flight == 0:
                self._wake_after(health.wait(now))
            return None
        ready = self._ready()
        if not ready:
            return None
        if self._bucket is not None:
            wait = self._bucket.wait(now, self.output.name)
            if wait > 0:
                self._wake_after(wait)
                return None
            self._bucket.take(self.output.name)
        self._in_flight += 1
        return self._take(self._turns.choose(ready))

    def _follow_clock(self) -> None:
        step = self._steps.step_ns()
        if step:
            self._health.paused_at_ns += step
            for lane in self._reader.lanes:
                lane.shift(step)

    def _ready(self) -> list[LaneBuffer]:
        """Lanes that have something to send, most urgent first."""
        now_ns = self._clock.time_ns()
        ready = []
        soonest: int | None = None
        for lane in self._reader.lanes:
            if lane.open:
                # A probe needs an alert, due or not, when enough different ones have failed.
                enough = self._probing and len(lane.open) >= PROBE_OPEN
                lane.release_due(now_ns, all_of_them=enough)
                due = lane.next_due_ns()
                soonest = due if soonest is None or (due is not None and due < soonest) else soonest
            if lane.due or self._may_begin(lane):
                ready.append(lane)
        if not ready and soonest is not None:
            self._wake_after(max(0.0, (soonest - now_ns) / 1e9))
        return ready

    @property
    def _probing(self) -> bool:
        return self._health.state is not WorkerState.OK

    def _may_begin(self, lane: LaneBuffer) -> bool:
        """Whether an alert of the lane that was never tried may be the next."""
        if not lane.fresh or len(lane.open) >= OPEN_MOST:
            return False
        return not self._probing or len(lane.open) < PROBE_OPEN or self._health.round % PROBE_NEW == 0

    def _take(self, lane: LaneBuffer) -> Work:
        limits, probing = self.output.limits, self._probing
        most = 1 if probing else limits.alerts
        # While it fails another alert each time, so that a poisonous one cannot hold the output.
        if lane.due and not (probing and self._may_begin(lane)):
            return Work(lane, self._health.round, None, lane.take_due(most))
        alerts = lane.take_fresh(most, limits.bytes)
        self._reader.look_if_wanted(lane)
        return Work(lane, self._health.round, alerts)

    def _wake_after(self, seconds: float | None) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._clock.call_later(seconds, self._pump) if seconds is not None else None

    # Sending

    async def _send(self) -> None:
        while not self._stopping:
            work = self._choose()
            if work is None:
                future: asyncio.Future[Work] = asyncio.get_running_loop().create_future()
                self._idle.append(future)
                try:
                    work = await future
                except asyncio.CancelledError:
                    return
            try:
                alerts = work.alerts if work.alerts is not None else await self._again(work)
                number = 1 + max((one.attempts for one in work.retries), default=0)
                outcomes = await sending.attempt(self.output, alerts, number, self._clock) if alerts else []
            finally:
                self._in_flight -= 1
            self._finish(work, alerts, outcomes)

    async def _again(self, work: Work) -> Sequence[Alert]:
        """The alerts of a retry; they are not kept in memory meanwhile."""
        try:
            alerts = await self._log.fetch([one.seq for one in work.retries])
        except Exception as error:
            log.error("the journal cannot be read", output=self.output.name, why=str(error))
            for one in work.retries:
                one.next_try_ns = self._clock.time_ns() + int(AGAIN * 1e9)
            return []
        kept = {alert.seq for alert in alerts}
        for one in work.retries:
            if one.seq not in kept:
                work.lane.open.pop(one.seq, None)  # retention took it, and recorded that
        return alerts

    # Afterwards

    def _finish(self, work: Work, alerts: Sequence[Alert], outcomes: Sequence[Outcome]) -> None:
        self._follow_clock()
        now_ns = self._clock.time_ns()
        retried = {one.seq: one for one in work.retries}
        if outcomes:
            self._judge(outcomes, work.round, now_ns)  # first: time that does not count is taken off
        again: list[Alert] = []
        settled: list[Settlement] = []
        # One wait for all that failed together, so that they are sent together again, in halves.
        attempts = 1 + max((one.attempts for one in work.retries), default=0)
        next_ns = now_ns + int(backoff(attempts, self._rng.uniform) * 1e9)
        for alert, outcome in zip(alerts, outcomes, strict=True):
            known = retried.get(alert.seq)
            if isinstance(outcome, Throttled):
                self.tally.outcomes["throttled"] += 1
                if known is None:
                    again.append(alert)
                else:
                    known.next_try_ns = now_ns
            elif isinstance(outcome, Delivered):
                self.tally.delivered(alert.received_ns, now_ns)
                settled.append(self._delivered(work.lane, alert, outcome, known, now_ns))
            else:
                settled.append(self._failed(work.lane, alert, outcome, known, now_ns, next_ns))
        for alert in reversed(again):
            work.lane.put_back(alert)
        self._recorder.add(work.lane.lane, settled, sent=True)
        self._reader.look_if_wanted(work.lane)
        self._pump()

    def _delivered(
        self, lane: LaneBuffer, alert: Alert, outcome: Delivered, known: Open | None, now_ns: int
    ) -> Settlement:
        lane.open.pop(alert.seq, None)
        return Settlement(
            alert.seq,
            State.DELIVERED,
            now_ns,
            known.attempts + 1 if known else 1,
            receipt=outcome.receipt,
            confirmed=outcome.confirmed,
            ref=outcome.ref,
        )

    def _failed(
        self,
        lane: LaneBuffer,
        alert: Alert,
        outcome: Outcome,
        known: Open | None,
        now_ns: int,
        next_ns: int,
    ) -> Settlement:
        assert isinstance(outcome, Retry | Parked | Rejected)
        attempts = known.attempts + 1 if known else 1
        first_ns = known.first_try_ns if known else now_ns
        why = outcome.why
        reply = None
        dead = isinstance(outcome, Rejected)
        if isinstance(outcome, Rejected):
            reply = outcome.reply
        elif isinstance(outcome, Retry) and now_ns - first_ns >= self._retry_for_ns:
            dead, why = True, f"{why} (tried for as long as retry_for says)"
        if dead:
            lane.open.pop(alert.seq, None)
            self.tally.outcomes["dead"] += 1
            return Settlement(alert.seq, State.DEAD, now_ns, attempts, why, reply)
        self.tally.outcomes["parked" if isinstance(outcome, Parked) else "retried"] += 1
        lane.open[alert.seq] = Open(alert.seq, attempts, first_ns, next_ns)
        return Settlement(
            alert.seq, State.RETRYING, now_ns, attempts, why, next_try_ns=next_ns, first_try_ns=first_ns
        )

    def _judge(self, outcomes: Sequence[Outcome], round_: int, now_ns: int) -> None:
        """What the replies say about the output."""
        health, before = self._health, self._health.state
        if round_ != health.round:
            return
        now = self._clock.monotonic()
        uncounted = 0
        bad = next((one for one in outcomes if isinstance(one, Parked | Throttled)), None)
        if isinstance(bad, Parked):
            uncounted = health.parked(bad.why, now, now_ns)
        elif isinstance(bad, Throttled):
            uncounted = health.throttled(bad.after, bad.why, now, now_ns)
        elif any(_answered(one) for one in outcomes):
            uncounted = health.succeeded(now_ns)
            if before is not WorkerState.OK:
                for (
                    lane
                ) in self._reader.lanes:  # what failed during the outage need not wait for its own time
                    lane.release_due(now_ns, all_of_them=True)
        elif isinstance(outcomes[-1], Retry):
            uncounted = health.failed(outcomes[-1].why, now, now_ns)
        if uncounted:
            for lane in self._reader.lanes:
                for one in lane.open.values():
                    one.first_try_ns = min(now_ns, one.first_try_ns + uncounted)
        if health.state is not before:
            say = log.info if health.state is WorkerState.OK else log.warning
            say(f"output is {health.state}", output=self.output.name, why=health.why, was=str(before))

    def _written(self) -> None:
        """Fates were committed: there is room to read more, and to begin again after a failure."""
        self._reader.look()
        self._pump()


def _answered(outcome: Outcome) -> bool:
    """The destination works: it took the alert, or read it and refused it."""
    return isinstance(outcome, Delivered) or (isinstance(outcome, Rejected) and outcome.reply is not None)
