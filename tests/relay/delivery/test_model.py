"""Whatever the destination answers, and however often the relay restarts: one fate for every alert."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.alert import Alert
from relay.delivery import Worker
from relay.journal.base import Lane, State
from relay.outputs.base import (
    Batch,
    Delivered,
    Outcome,
    Parked,
    Rejected,
    Retry,
    Throttled,
    TooLarge,
)
from tests.relay.delivery.fakes import FakeClock, MemoryLog, ScriptedOutput, settle, stopped

OUTCOMES: dict[str, Outcome] = {
    "delivered": Delivered(),
    "receipt": Delivered(confirmed=True, receipt="r"),
    "retry": Retry("HTTP 500"),
    "throttled": Throttled(45.0),
    "large": TooLarge("HTTP 413"),
    "parked": Parked("HTTP 403"),
    "rejected": Rejected("HTTP 400", "no"),
}
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 30), st.integers(0, 7)),
        st.tuples(st.just("wait"), st.floats(0.0, 1000.0), st.just(0)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
        st.tuples(st.just("journal fails"), st.floats(0.0, 10.0), st.just(0)),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(
    steps=steps,
    kinds=st.lists(st.sampled_from([*OUTCOMES, "hangs", "raises"]), min_size=1, max_size=12),
    seed=st.integers(0, 2**32),
    alerts=st.sampled_from([1, 2, 7, 100]),
    concurrency=st.sampled_from([1, 2, 5]),
    retry_for=st.sampled_from([30.0, 86400.0]),
)
def test_every_alert_ends_with_one_fate(
    steps: list[tuple[str, float, int]],
    kinds: list[str],
    seed: int,
    alerts: int,
    concurrency: int,
    retry_for: float,
) -> None:
    asyncio.run(_run(steps, kinds, random.Random(seed), alerts, concurrency, retry_for))


async def _run(
    steps: Sequence[tuple[str, float, int]],
    kinds: Sequence[str],
    rng: random.Random,
    alerts: int,
    concurrency: int,
    retry_for: float,
) -> None:
    clock, journal = FakeClock(), MemoryLog()
    calm = False

    async def reply(batch: Batch) -> Sequence[Outcome]:
        if calm:
            return [Delivered()] * len(batch.alerts)
        kind = rng.choice(kinds)
        if kind == "hangs":
            await asyncio.Event().wait()
        if kind == "raises":
            raise RuntimeError
        if rng.random() < 0.5:
            return [OUTCOMES[kind]] * len(batch.alerts)
        mixed = [one for one in kinds if one in OUTCOMES] or ["delivered"]
        return [OUTCOMES[rng.choice(mixed)] for _ in batch.alerts]

    def why_not(alert: Alert) -> str | None:
        return "no" if alert.seq % 5 == 0 else None

    async def begin() -> Worker:
        output = ScriptedOutput(clock, reply, alerts=alerts, concurrency=concurrency, timeout=5.0)
        worker = Worker(output, journal, why_not, retry_for=retry_for, clock=clock, rng=rng)
        await worker.start()
        await settle()
        return worker

    worker = await begin()
    for step, amount, priority in steps:
        if step == "put":
            for _ in range(int(amount)):
                journal.put(priority)
            await settle()
        elif step == "wait":
            await clock.advance(amount)
        elif step == "journal fails":
            journal.fails = True
            await clock.advance(amount)
            journal.fails = False
        else:
            await stopped(worker, clock)
            worker = await begin()
    calm = True
    for _ in range(6):
        await clock.advance(1000.0)

    await check(journal, worker)
    await stopped(worker, clock)


async def check(journal: MemoryLog, worker: Worker) -> None:
    assert not journal.contradictions
    for seq, state in journal.states().items():
        wanted = {State.NOT_ROUTED} if seq % 5 == 0 else {State.DELIVERED, State.DEAD}
        assert state in wanted, f"{seq}: {state}"
    for priority in range(8):
        assert await journal.cursor(Lane("out", priority)) == journal.newest(priority)
    status = worker.status()
    assert (status.in_flight, status.retrying, status.state) == (0, 0, "ok")
