"""Most urgent first, nothing starves; pace, concurrency and routing."""

from __future__ import annotations

from collections import Counter

import pytest

from relay.alert import Alert
from relay.delivery import WorkerState
from relay.delivery.pace import Paces
from relay.journal.base import Lane, State
from relay.outputs.base import Batch, Delivered, Outcome, Retry
from tests.relay.delivery.conftest import Begin
from tests.relay.delivery.fakes import FakeClock, MemoryLog, ScriptedOutput, settle


async def test_lanes_share_seven_to_one_and_none_starves(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    for _ in range(100):
        for priority in (2, 4, 7):
            journal.put(priority)
    output = ScriptedOutput(clock, pace=1.0)
    await begin(output)
    await clock.advance(79.0)
    turns = [sent.batch.alerts[0].priority for sent in output.sent]
    assert len(turns) == 80
    assert Counter(turns) == {2: 70, 4: 5, 7: 5}
    for at in range(0, 80, 8):
        assert Counter(turns[at : at + 8])[2] == 7, "in any eight turns"
    assert [sent.seqs[0] for sent in output.sent if sent.batch.alerts[0].priority == 2] == [
        1 + 3 * n for n in range(70)
    ]


async def test_an_urgent_alert_overtakes_a_backlog(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    for _ in range(5000):
        journal.put(6)
    output = ScriptedOutput(clock, pace=1.0)
    await begin(output)
    await clock.advance(10.0)
    urgent = journal.put(0)
    await clock.advance(2.0)
    assert urgent.seq in [seq for sent in output.sent[-3:] for seq in sent.seqs]


async def test_pace_lets_a_burst_through_and_then_one_a_second(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    for _ in range(10):
        journal.put()
    output = ScriptedOutput(clock, pace=1.0, burst=3)
    await begin(output)
    await clock.advance(20.0)
    assert output.times == pytest.approx([0, 0, 0, 1, 2, 3, 4, 5, 6, 7])
    await clock.advance(60.0)
    for _ in range(5):
        journal.put()
    await clock.advance(0.0)
    assert len(output.sent) == 13, "rest fills the burst, and no more than that"


async def test_two_outputs_on_one_destination_share_its_pace(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    paces = Paces()
    one = ScriptedOutput(clock, name="one", pace=1.0, pace_key="same")
    two = ScriptedOutput(clock, name="two", pace=1.0, pace_key="same")
    other = ScriptedOutput(clock, name="other", pace=1.0)
    for _ in range(50):
        journal.put()
    for output in (one, two, other):
        await begin(output, paces=paces)
    await clock.advance(20.0)
    assert len(one.sent) + len(two.sent) == 21
    assert min(len(one.sent), len(two.sent)) >= 5, "neither starves"
    assert len(other.sent) == 21


async def test_batches_by_count_and_bytes(journal: MemoryLog, clock: FakeClock, begin: Begin) -> None:
    for size in (10, 10, 10, 95, 10, 500, 10):
        journal.put(raw=b"x" * size)
    output = ScriptedOutput(clock, alerts=3, bytes=100)
    await begin(output)
    assert [sent.seqs for sent in output.sent] == [[1, 2, 3], [4], [5], [6], [7]]


async def test_concurrency_is_kept(journal: MemoryLog, clock: FakeClock, begin: Begin) -> None:
    import asyncio

    gate = asyncio.Event()

    async def reply(batch: Batch) -> list[Outcome]:
        await gate.wait()
        return [Delivered()]

    for _ in range(50):
        journal.put()
    output = ScriptedOutput(clock, reply, concurrency=7)
    await begin(output)
    assert output.under_way == 7
    gate.set()
    await settle()
    await settle()
    assert output.most_under_way == 7
    assert set(journal.states().values()) == {State.DELIVERED}


async def test_what_is_not_routed_is_settled_and_not_sent(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    def why_not(alert: Alert) -> str | None:
        return None if alert.seq % 3 == 0 else "match does not hold"

    for _ in range(3000):
        journal.put()
    output = ScriptedOutput(clock)
    await begin(output, why_not=why_not)
    for _ in range(200):
        await settle()
    assert Counter(journal.states().values()) == {State.NOT_ROUTED: 2000, State.DELIVERED: 1000}
    assert await journal.cursor(Lane("out", 4)) == 3000


async def test_a_backlog_that_is_not_routed_is_not_gathered_while_fates_cannot_be_written(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    for _ in range(20_000):
        journal.put()
    journal.fails = True
    worker = await begin(ScriptedOutput(clock), why_not=lambda alert: "no")
    for _ in range(20):
        await settle()
    assert worker._recorder.owed(Lane("out", 4)) <= 4096 + 256
    journal.fails = False
    for _ in range(20):
        await clock.advance(1.0)
    assert set(journal.states().values()) == {State.NOT_ROUTED}


async def test_reading_goes_on_after_a_window_full_of_retries_has_drained(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    """At start every place of the window is taken by retries: what comes after must not be forgotten."""
    for _ in range(900):
        journal.put()
    down = True

    def reply(batch: Batch) -> list[Outcome]:
        return [Retry("down") if down else Delivered()] * len(batch.alerts)

    output = ScriptedOutput(clock, reply, alerts=300)
    worker = await begin(output)
    await clock.advance(1.0)
    assert worker.status().retrying >= 256
    second = ScriptedOutput(clock, reply, alerts=300)
    await worker.stop()
    down = False
    await begin(second)
    await clock.advance(600.0)
    assert set(journal.states().values()) == {State.DELIVERED}


async def test_a_journal_that_cannot_be_read_is_read_again(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    outcomes: list[Outcome] = [Retry("HTTP 500")]
    output = ScriptedOutput(clock, lambda batch: [outcomes.pop() if outcomes else Delivered()])
    worker = await begin(output)
    journal.put()
    await settle()
    journal.read_fails = True
    journal.put()
    await clock.advance(60.0)
    assert len(output.sent) == 1
    journal.read_fails = False
    await clock.advance(3.0)
    assert set(journal.states().values()) == {State.DELIVERED}
    assert worker.status().state is WorkerState.OK
