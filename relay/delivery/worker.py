"""One worker per output: reads its lanes, sends, and records the fate of every alert.

All decisions are made in `_choose` and `_finish`, which do not wait; the coroutines around them only move.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import defaultdict
from collections.abc import Callable, Sequence

import structlog

from relay.alert import PRIORITIES, Alert
from relay.delivery.clock import Clock, SystemClock, Timer
from relay.delivery.health import Health
from relay.delivery.lanes import LaneBuffer, Open, Turns, Work
from relay.delivery.pace import Bucket, Paces
from relay.delivery.retry import backoff
from relay.delivery.status import Status, Tally, WorkerState
from relay.journal.base import Lane, Log, Settlement, State
from relay.outputs.base import (
    Batch,
    Delivered,
    Outcome,
    Output,
    Parked,
    Rejected,
    Retry,
    Throttled,
    TooLarge,
)

READ_AT_ONCE = 256
LOW_WATER = 128
OPEN_MOST = 256
"""Alerts with an open retry; at this number nothing new is begun in the lane. Bounds memory and window."""
PROBE_OPEN = 32
"""While the output fails, so many different alerts are tried before the same are tried again."""
SETTLE_AGAIN = 1.0

WhyNot = Callable[[Alert], str | None]
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
        self.why_not = why_not
        self.tally = Tally()
        self._log = journal
        self._clock: Clock = clock or SystemClock()
        self._rng = rng or random.Random()  # noqa: S311 jitter
        self._retry_for_ns = int(retry_for * 1e9)
        self._health = Health(self._rng.uniform, since_ns=self._clock.time_ns())
        self._lanes: list[LaneBuffer] = []
        self._turns = Turns()
        self._in_flight = 0
        self._idle: list[asyncio.Future[Work]] = []
        self._settling: dict[Lane, list[Settlement]] = defaultdict(list)
        self._unsettled = asyncio.Event()
        self._settle_fails = False
        self._hungry = asyncio.Event()
        self._timer: Timer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._senders: list[asyncio.Task[None]] = []
        self._stopping = False
        limits = output.limits
        self._bucket: Bucket | None = None
        self._paces = paces or Paces()
        self._pace_key = getattr(output, "pace_key", None) or f"output:{output.name}"
        if limits.pace:
            now = self._clock.monotonic()
            self._bucket = self._paces.join(self._pace_key, limits.pace, limits.burst, now)

    async def start(self) -> None:
        await self.output.start()
        for priority in range(len(PRIORITIES)):
            lane = Lane(self.output.name, priority)
            buffer = LaneBuffer(lane, await self._log.cursor(lane))
            now_ns = self._clock.time_ns()
            for one in await self._log.pending(lane):
                # The time the relay was down does not count as trying.
                down = max(0, now_ns - one.next_try_ns)
                buffer.open[one.seq] = Open(one.seq, one.attempts, one.first_try_ns + down, one.next_try_ns)
            self._lanes.append(buffer)
        self._spawn(self._watch(), self._feed(), self._settle())
        for _ in range(self.output.limits.concurrency):
            self._senders.append(asyncio.create_task(self._send()))

    async def stop(self, seconds: float = 10.0) -> None:
        """Finish what is under way, at most so long; record it; leave the rest in the journal."""
        self._stopping = True
        for future in self._idle:
            future.cancel()
        if self._senders:
            _, late = await asyncio.wait(self._senders, timeout=seconds)
            for task in late:
                task.cancel()
        if self._timer:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._senders, return_exceptions=True)
        await self._settle_once()
        if self._bucket is not None:
            self._paces.leave(self._pace_key)
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
            sum(len(lane.open) for lane in self._lanes),
            self.tally.last_success_ns,
            dict(self.tally.outcomes),
            list(self.tally.latency),
            self.tally.latency_sum,
        )

    def _spawn(self, *coroutines: object) -> None:
        self._tasks += [asyncio.create_task(one) for one in coroutines]  # type: ignore[arg-type]

    # Reading

    async def _watch(self) -> None:
        """Wake the feeder whenever the journal has something newer."""
        seen = 0
        while True:
            seen = await self._log.wait_newer(seen)
            self._hungry.set()

    async def _feed(self) -> None:
        while True:
            self._hungry.clear()
            for lane in self._lanes:
                if len(lane.fresh) < LOW_WATER and self._log.newest(lane.lane.priority) > lane.position:
                    await self._fill(lane)
            self._pump()
            await self._hungry.wait()

    async def _fill(self, lane: LaneBuffer) -> None:
        if len(lane.open) >= OPEN_MOST:
            return
        while len(lane.fresh) < LOW_WATER:
            alerts = await self._log.read(lane.lane, lane.position, READ_AT_ONCE)
            if not alerts:
                return
            lane.position = alerts[-1].seq
            if self.why_not is None:
                lane.fresh.extend(alerts)
            else:
                self._route(lane, alerts, self.why_not)
            self._pump()

    def _route(self, lane: LaneBuffer, alerts: Sequence[Alert], why_not: WhyNot) -> None:
        now_ns = self._clock.time_ns()
        left_out = []
        for alert in alerts:
            if why_not(alert) is None:
                lane.fresh.append(alert)
            else:
                left_out.append(Settlement(alert.seq, State.NOT_ROUTED, now_ns))
        if left_out:
            self._settling[lane.lane] += left_out
            self._unsettled.set()

    # Choosing

    def _pump(self) -> None:
        """Give work to idle senders, as long as there is some and it may go now."""
        while self._idle:
            work = self._choose()
            if work is None:
                return
            future = self._idle.pop()
            if not future.done():
                future.set_result(work)

    def _choose(self) -> Work | None:
        """The next request; None if there is nothing, or nothing may go now (then a timer is set)."""
        if self._stopping or self._settle_fails:
            return None
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
            wait = self._bucket.wait(now)
            if wait > 0:
                self._wake_after(wait)
                return None
            self._bucket.take()
        self._in_flight += 1
        return self._take(self._turns.choose(ready))

    def _ready(self) -> list[LaneBuffer]:
        """Lanes that have something to send, most urgent first."""
        now_ns = self._clock.time_ns()
        probing = self._health.state is not WorkerState.OK
        ready = []
        soonest: int | None = None
        for lane in self._lanes:
            if lane.open:
                # A probe needs an alert, due or not, when enough different ones have failed.
                lane.release_due(now_ns, all_of_them=probing and len(lane.open) >= PROBE_OPEN)
                due = lane.next_due_ns()
                soonest = due if soonest is None or (due is not None and due < soonest) else soonest
            if lane.due or (lane.fresh and len(lane.open) < (PROBE_OPEN if probing else OPEN_MOST)):
                ready.append(lane)
        if not ready and soonest is not None:
            self._wake_after(max(0.0, (soonest - now_ns) / 1e9))
        return ready

    def _take(self, lane: LaneBuffer) -> Work:
        limits = self.output.limits
        fresh_first = self._health.state is not WorkerState.OK and len(lane.open) < PROBE_OPEN
        if lane.due and not (fresh_first and lane.fresh):
            return Work(lane, None, lane.take_due(limits.alerts))
        alerts = lane.take_fresh(1 if fresh_first else limits.alerts, limits.bytes)
        if len(lane.fresh) < LOW_WATER and self._log.newest(lane.lane.priority) > lane.position:
            self._hungry.set()
        return Work(lane, alerts)

    def _wake_after(self, seconds: float | None) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._clock.call_later(seconds or 0.0, self._pump) if seconds is not None else None

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
            await self._attempt(work)

    async def _attempt(self, work: Work) -> None:
        try:
            if work.alerts is None:
                work.alerts = await self._log.fetch([one.seq for one in work.retries])
                kept = {alert.seq for alert in work.alerts}
                for one in work.retries:
                    if one.seq not in kept:
                        work.lane.open.pop(one.seq, None)
            attempt = 1 + max((one.attempts for one in work.retries), default=0)
            outcomes = await self._deliver(work.alerts, attempt) if work.alerts else []
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("output failed in a way it must not", output=self.output.name)
            outcomes = [Retry(f"a fault of the relay: {type(error).__name__}")] * len(work.alerts or ())
        finally:
            self._in_flight -= 1
        self._finish(work, outcomes)

    async def _deliver(self, alerts: Sequence[Alert], attempt: int, shrink: bool = False) -> list[Outcome]:
        """Send; split what is too large."""
        now = self._clock.monotonic()
        deadline = now + self.output.limits.timeout
        batch = Batch(alerts, delivery_id(self.output.name, alerts), attempt, deadline, shrink=shrink)
        outcomes = list(await self.output.deliver(batch))
        if len(alerts) == 1:
            if isinstance(outcomes[0], TooLarge):
                if not shrink:
                    return await self._deliver(alerts, attempt, shrink=True)
                return [Rejected(f"too large even when shortened: {outcomes[0].why}")]
            return outcomes
        large = [at for at, outcome in enumerate(outcomes) if isinstance(outcome, TooLarge)]
        if large:
            half = (len(large) + 1) // 2
            for part in (large[:half], large[half:]):
                if part:
                    results = await self._deliver([alerts[at] for at in part], attempt)
                    for at, outcome in zip(part, results, strict=True):
                        outcomes[at] = outcome
        return outcomes

    # Afterwards

    def _finish(self, work: Work, outcomes: Sequence[Outcome]) -> None:
        now_ns = self._clock.time_ns()
        retried = {one.seq: one for one in work.retries}
        uncounted = 0
        again: list[Alert] = []
        settled = self._settling[work.lane.lane]
        for alert, outcome in zip(work.alerts or (), outcomes, strict=True):
            known = retried.get(alert.seq)
            if isinstance(outcome, Delivered) and known is None:
                self.tally.delivered(alert.received_ns, now_ns)
                settled.append(
                    Settlement(
                        alert.seq,
                        State.DELIVERED,
                        now_ns,
                        1,
                        None,
                        None,
                        outcome.receipt,
                        outcome.confirmed,
                        outcome.ref,
                    )
                )
            elif isinstance(outcome, Throttled):
                self.tally.outcomes["throttled"] += 1
                if known is None:
                    again.append(alert)
                else:
                    known.next_try_ns = now_ns
            else:
                settled.append(self._settlement(work.lane, alert, outcome, known, now_ns))
        for alert in reversed(again):
            work.lane.fresh.appendleft(alert)
        if settled:
            self._unsettled.set()
        uncounted = self._judge(outcomes, now_ns)
        if uncounted:
            for lane in self._lanes:
                for one in lane.open.values():
                    one.first_try_ns += uncounted
        self._pump()

    def _settlement(
        self, lane: LaneBuffer, alert: Alert, outcome: Outcome, known: Open | None, now_ns: int
    ) -> Settlement:
        attempts = (known.attempts if known else 0) + 1
        first_ns = known.first_try_ns if known else now_ns
        if isinstance(outcome, Delivered):
            lane.open.pop(alert.seq, None)
            self.tally.delivered(alert.received_ns, now_ns)
            return Settlement(
                alert.seq,
                State.DELIVERED,
                now_ns,
                attempts,
                receipt=outcome.receipt,
                confirmed=outcome.confirmed,
                ref=outcome.ref,
            )
        why = getattr(outcome, "why", "")
        if isinstance(outcome, Rejected) or (
            isinstance(outcome, Retry) and now_ns - first_ns >= self._retry_for_ns
        ):
            lane.open.pop(alert.seq, None)
            self.tally.outcomes["dead"] += 1
            reply = outcome.reply if isinstance(outcome, Rejected) else None
            if isinstance(outcome, Retry):
                why = f"{why} (tried for as long as retry_for says)"
            return Settlement(alert.seq, State.DEAD, now_ns, attempts, why, reply)
        self.tally.outcomes["parked" if isinstance(outcome, Parked) else "retried"] += 1
        next_ns = now_ns + int(backoff(attempts, self._rng.uniform) * 1e9)
        lane.open[alert.seq] = Open(alert.seq, attempts, first_ns, next_ns)
        return Settlement(
            alert.seq, State.RETRYING, now_ns, attempts, why, next_try_ns=next_ns, first_try_ns=first_ns
        )

    def _judge(self, outcomes: Sequence[Outcome], now_ns: int) -> int:
        """What the replies say about the output. Returns time that does not count as trying."""
        now = self._clock.monotonic()
        health, before = self._health, self._health.state
        uncounted = 0
        last = outcomes[-1] if outcomes else None
        if any(isinstance(outcome, Delivered | Rejected) for outcome in outcomes):
            if before is WorkerState.OK:
                health.failures = 0
                return 0
            uncounted = health.succeeded(now_ns)
            for lane in self._lanes:  # what failed during the outage need not wait for its own time
                lane.release_due(now_ns, all_of_them=True)
        elif isinstance(last, Parked):
            uncounted = health.parked(last.why, now, now_ns)
        elif isinstance(last, Throttled):
            uncounted = health.throttled(last.after, last.why, now, now_ns)
        elif isinstance(last, Retry):
            uncounted = health.failed(last.why, now, now_ns)
        if health.state is not before:
            say = log.info if health.state is WorkerState.OK else log.warning
            say(f"output is {health.state}", output=self.output.name, why=health.why, was=str(before))
        return uncounted

    # Recording

    async def _settle(self) -> None:
        while True:
            await self._unsettled.wait()
            self._unsettled.clear()
            while not await self._settle_once():  # noqa: ASYNC110
                # Nothing new is begun while fates cannot be written: it would be sent again and again.
                await asyncio.sleep(SETTLE_AGAIN)
            if self._settle_fails:
                self._settle_fails = False
                self._pump()

    async def _settle_once(self) -> bool:
        taken, self._settling = self._settling, defaultdict(list)
        waiting = {lane: settlements for lane, settlements in taken.items() if settlements}
        results = await asyncio.gather(
            *(self._log.settle(lane, settlements) for lane, settlements in waiting.items()),
            return_exceptions=True,
        )
        good = True
        for (lane, settlements), result in zip(waiting.items(), results, strict=True):
            if isinstance(result, BaseException):
                if not self._settle_fails:
                    log.error("fates cannot be written", output=self.output.name, why=str(result))
                good, self._settle_fails = False, True
                self._settling[lane] = settlements + self._settling[lane]
        return good


def delivery_id(output: str, alerts: Sequence[Alert]) -> str:
    """The same over all attempts of the same alerts at the same output."""
    if len(alerts) == 1:
        return f"{alerts[0].id}-{output}" if alerts[0].id.isascii() else hash_of(output, alerts)
    return hash_of(output, alerts)


def hash_of(output: str, alerts: Sequence[Alert]) -> str:
    names = "\0".join([output, *(alert.id for alert in alerts)])
    return hashlib.blake2b(names.encode("utf-8", "replace"), digest_size=16).hexdigest()
