"""Stopping and starting again: nothing is lost, and little is sent twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from relay import routing
from relay.fleet import routed
from relay.journal import Journal
from relay.journal.base import Filter, State
from relay.outputs.base import Batch, Delivered, Outcome, Retry
from tests.relay.delivery.conftest import Begin
from tests.relay.delivery.fakes import FakeClock, MemoryLog, ScriptedOutput, settle, stopped
from tests.relay.journal.alerts import new_alert


async def test_what_is_under_way_is_finished_and_recorded(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    gate = asyncio.Event()

    async def reply(batch: Batch) -> Sequence[Outcome]:
        await gate.wait()
        return [Delivered()]

    for _ in range(10):
        journal.put()
    output = ScriptedOutput(clock, reply, concurrency=3)
    worker = await begin(output)
    stopping = asyncio.create_task(worker.stop(10.0))
    await settle()
    assert not stopping.done()
    gate.set()
    await settle()
    assert stopping.done()
    await stopping
    assert Counter(journal.states().values()) == {State.DELIVERED: 3, None: 7}
    assert len(output.sent) == 3, "nothing new was begun"
    assert output.closed == 1


async def test_what_hangs_is_left_at_the_deadline(journal: MemoryLog, clock: FakeClock, begin: Begin) -> None:
    async def forever(batch: Batch) -> Sequence[Outcome]:
        await asyncio.Event().wait()
        return []

    for _ in range(10):
        journal.put()
    output = ScriptedOutput(clock, forever, concurrency=3)
    worker = await begin(output)
    stopping = asyncio.create_task(worker.stop(4.0))
    await clock.advance(3.9)
    assert not stopping.done()
    await clock.advance(0.2)
    assert stopping.done()
    await stopping
    assert output.under_way == 0
    assert set(journal.states().values()) == {None}


async def test_an_output_that_cannot_even_be_cancelled_does_not_hold_the_stop(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    released = asyncio.Event()

    async def stubborn(batch: Batch) -> Sequence[Outcome]:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        return [Delivered()]

    journal.put()
    output = ScriptedOutput(clock, stubborn)
    worker = await begin(output)
    stopping = asyncio.create_task(worker.stop(4.0))
    await clock.advance(6.0)
    assert stopping.done()
    await stopping
    released.set()
    await settle()


async def test_fates_that_are_being_written_at_the_stop_are_written(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    gate = asyncio.Event()
    write = journal.settle

    async def slow(lane: object, settlements: object) -> None:
        await gate.wait()
        await write(lane, settlements)  # type: ignore[arg-type]

    journal.settle = slow  # type: ignore[method-assign]
    for _ in range(5):
        journal.put()
    worker = await begin(ScriptedOutput(clock, concurrency=5))
    stopping = asyncio.create_task(worker.stop(10.0))
    await settle()
    assert not stopping.done()
    gate.set()
    await settle()
    await stopping
    assert set(journal.states().values()) == {State.DELIVERED}


async def test_nothing_new_is_begun_while_fates_cannot_be_written(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    output = ScriptedOutput(clock)
    await begin(output)
    journal.fails = True
    journal.put()
    await settle()
    for _ in range(20):
        journal.put()
    await clock.advance(30.0)
    assert len(output.sent) == 1
    journal.fails = False
    await clock.advance(1.0)
    assert set(journal.states().values()) == {State.DELIVERED}
    assert len(output.sent) == 21
    assert not journal.contradictions


async def test_stop_while_fates_cannot_be_written_ends(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    worker = await begin(ScriptedOutput(clock))
    journal.fails = True
    journal.put()
    await settle()
    stopping = asyncio.create_task(worker.stop(10.0))
    await settle()
    assert stopping.done()
    await stopping
    assert set(journal.states().values()) == {None}, "it will be sent once more, not lost"


async def test_a_retry_keeps_its_count_and_its_first_try_over_a_restart(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    output = ScriptedOutput(clock, lambda batch: [Retry("HTTP 500")])
    worker = await begin(output)
    journal.put()
    await clock.advance(100.0)
    before = journal.last(1)
    await stopped(worker, clock)
    down = 7200.0
    await clock.advance(down)
    again = ScriptedOutput(clock, lambda batch: [Retry("HTTP 500")])
    await begin(again)
    await clock.advance(1.0)
    after = journal.last(1)
    assert again.sent[0].batch.attempt == before.attempts + 1
    assert again.sent[0].batch.delivery_id == output.sent[0].batch.delivery_id
    assert after.first_try_ns is not None
    assert before.first_try_ns is not None
    moved = (after.first_try_ns - before.first_try_ns) / 1e9
    assert down - 300 <= moved <= down + 100, "the time it was down is not charged"


async def test_on_a_real_journal_a_restart_doubles_at_most_what_was_under_way(
    tmp_path: Path, clock: FakeClock, begin: Begin
) -> None:
    """As after a kill: the first worker's last fates are never written."""
    first = await Journal.open(tmp_path / "data")
    await first.generation("out", {})
    await first.append([new_alert(n) for n in range(500)])

    seen: Counter[int] = Counter()
    enough = asyncio.Event()

    def reply(batch: Batch) -> list[Outcome]:
        seen.update(alert.seq for alert in batch.alerts)
        if len(seen) >= 150:
            enough.set()
        return [Delivered()] * len(batch.alerts)

    async def slowly(batch: Batch) -> Sequence[Outcome]:
        answer = reply(batch)
        if len(seen) >= 150:
            await asyncio.Event().wait()
        return answer

    output = ScriptedOutput(clock, slowly, alerts=10, concurrency=4)
    worker = await begin(output, journal=first)
    await asyncio.wait_for(enough.wait(), 20)
    worker._recorder._closing = True
    for task in worker._senders:
        task.cancel()
    await worker._reader.stop()
    await first.close()
    assert worker._recorder._task is not None
    worker._recorder._task.cancel()
    output.closed = 1

    second = await Journal.open(tmp_path / "data")
    done = asyncio.Event()

    def and_tell(batch: Batch) -> list[Outcome]:
        answer = reply(batch)
        if len(seen) == 500:
            done.set()
        return answer

    again = await begin(ScriptedOutput(clock, and_tell, alerts=10, concurrency=4), journal=second)
    await asyncio.wait_for(done.wait(), 20)
    await again.stop()
    assert (await second.depth("out")).waiting == 0
    await second.close()
    twice = sum(1 for count in seen.values() if count > 1)
    assert max(seen.values()) <= 2
    assert twice <= 4 * 10 + 4 * 10, "what was under way, and what was answered and not written yet"


async def test_routing_generations_on_a_real_journal(tmp_path: Path, clock: FakeClock, begin: Begin) -> None:
    """An alert is judged by the routing in force when it was journalled, whenever it is delivered."""
    journal = await Journal.open(tmp_path / "data", judge=routing.judge)
    await journal.append([new_alert(0)])  # before the output was there
    await journal.generation("out", {"minimum_priority": "error"})
    await journal.append([new_alert(1, priority=3), new_alert(2, priority=4)])
    await journal.generation("out", {})
    await journal.append([new_alert(3, priority=4)])
    generations = [one for one in await journal.generations() if one.output == "out"]
    output = ScriptedOutput(clock)
    worker = await begin(output, journal=journal, why_not=routed(generations))
    while (await journal.depth("out")).waiting:
        await asyncio.sleep(0.001)
    await worker.stop()
    alerts = (await journal.alerts(Filter(), before=None, limit=10)).alerts
    fates = await journal.fates(alerts)
    await journal.close()
    said = {
        alert.seq: next((fate.state for fate in fates[alert.seq] if fate.output == "out"), None)
        for alert in alerts
    }
    assert sorted(seq for sent in output.sent for seq in sent.seqs) == [2, 4]
    assert said[2] is said[4] is State.DELIVERED
    assert said[3] is State.NOT_ROUTED
    assert said[1] in {None, State.NOT_ROUTED}


async def test_no_more_is_sent_than_a_crash_may_repeat(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    gate = asyncio.Event()
    write = journal.settle

    async def slow(lane: object, settlements: object) -> None:
        await gate.wait()
        await write(lane, settlements)  # type: ignore[arg-type]

    journal.settle = slow  # type: ignore[method-assign]
    for _ in range(100):
        journal.put()
    output = ScriptedOutput(clock, concurrency=3, alerts=4)
    await begin(output)
    await clock.advance(60.0)
    assert len(output.times) == 3, "the fates of three requests are not written"
    gate.set()
    for _ in range(40):
        await settle()
    assert set(journal.states().values()) == {State.DELIVERED}
