"""An output that fails, is throttled or parked: how often it is tried, and with what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from relay.delivery import WorkerState
from relay.delivery.lanes import FRESH_BYTES
from relay.journal.base import State
from relay.outputs.base import Batch, Delivered, Outcome, Parked, Rejected, Retry, Throttled
from tests.relay.delivery.conftest import Begin
from tests.relay.delivery.fakes import FakeClock, MemoryLog, ScriptedOutput, good, settle


async def test_parked_is_probed_at_1_5_15_15_minutes_with_one_alert(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    for _ in range(50):
        journal.put()
    output = ScriptedOutput(
        clock, lambda batch: [Parked("HTTP 403 forbidden")] * len(batch.alerts), alerts=10
    )
    worker = await begin(output)
    status = worker.status()
    assert (status.state, status.why) == (WorkerState.PARKED, "HTTP 403 forbidden")
    await clock.advance(4000.0)
    assert output.times == [0.0, 60.0, 360.0, 1260.0, 2160.0, 3060.0, 3960.0]
    assert [len(sent.batch.alerts) for sent in output.sent[1:]] == [1] * 6
    assert State.DEAD not in journal.states().values()
    output.reply = good
    await clock.advance(901.0)
    assert worker.status().state is WorkerState.OK
    assert worker.status().why is None
    assert set(journal.states().values()) == {State.DELIVERED}


async def test_an_outage_met_by_32_requests_at_once_counts_once(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    """Else 32 refusals would be 32 failed probes, and a short outage a wait of fifteen minutes."""
    gate = asyncio.Event()

    async def reply(batch: Batch) -> Sequence[Outcome]:
        await gate.wait()
        return [Parked("HTTP 401")]

    for _ in range(64):
        journal.put()
    output = ScriptedOutput(clock, reply, concurrency=32)
    await begin(output)
    assert output.under_way == 32
    gate.set()
    await settle()
    assert len(output.sent) == 32
    output.reply = good
    await clock.advance(60.0)
    assert len(output.sent) > 33
    assert output.times[32] == 60.0


async def test_backoff_of_a_failing_output_starts_small_whatever_the_concurrency(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    gate = asyncio.Event()

    async def reply(batch: Batch) -> Sequence[Outcome]:
        await gate.wait()
        return [Retry("connection refused or unreachable")]

    for _ in range(64):
        journal.put()
    output = ScriptedOutput(clock, reply, concurrency=32)
    worker = await begin(output)
    gate.set()
    await settle()
    assert worker.status().state is WorkerState.FAILING
    assert len(output.sent) < 32 + 3
    await clock.advance(1.0)
    probes = [at for at in output.times if at > 0]
    assert probes, "the first comes within a second"
    assert len(set(probes)) == len(probes), "one probe at a time"


async def test_a_late_success_does_not_end_a_pause_the_destination_asked_for(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    gates = {seq: asyncio.Event() for seq in (1, 2)}

    async def reply(batch: Batch) -> Sequence[Outcome]:
        seq = batch.alerts[0].seq
        if seq in gates:
            await gates[seq].wait()
        return [Throttled(120.0)] if seq == 1 and clock.now < 100 else [Delivered()]

    for _ in range(3):
        journal.put()
    output = ScriptedOutput(clock, reply, concurrency=2)
    worker = await begin(output)
    gates[1].set()
    await settle()
    gates[2].set()
    await settle()
    assert journal.last(2).state is State.DELIVERED
    assert worker.status().state is WorkerState.THROTTLED
    await clock.advance(119.0)
    assert len(output.sent) == 2
    await clock.advance(2.0)
    assert set(journal.states().values()) == {State.DELIVERED}


async def test_throttled_output_goes_on_in_order(journal: MemoryLog, clock: FakeClock, begin: Begin) -> None:
    until = 90.0
    output = ScriptedOutput(clock, lambda batch: [Throttled(30.0) if clock.now < until else Delivered()])
    for _ in range(20):
        journal.put()
    await begin(output)
    await clock.advance(until - 1)
    assert output.times == [0.0, 30.0, 60.0], "no more than one probe a Retry-After"
    await clock.advance(2.0)
    delivered = [seq for sent in output.sent for seq in sent.seqs if sent.at >= until]
    assert delivered == list(range(1, 21))


async def test_one_poisonous_alert_does_not_hold_the_output(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    output = ScriptedOutput(
        clock, lambda batch: [Retry("HTTP 500") if batch.alerts[0].seq == 1 else Delivered()]
    )
    for _ in range(200):
        journal.put()
    worker = await begin(output)
    for _ in range(40):
        await settle()
    states = journal.states()
    assert states.pop(1) is State.RETRYING
    assert set(states.values()) == {State.DELIVERED}, "in no time at all"
    assert worker.status().state is WorkerState.OK


async def test_a_hundred_poisonous_alerts_at_the_front_do_not_hold_the_output(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    output = ScriptedOutput(
        clock, lambda batch: [Retry("HTTP 500") if batch.alerts[0].seq <= 100 else Delivered()]
    )
    for _ in range(150):
        journal.put()
    await begin(output, retry_for=10 * 86400.0)
    await clock.advance(86400.0)
    states = journal.states()
    assert {seq for seq, state in states.items() if state is State.DELIVERED} == set(range(101, 151))


async def test_alerts_that_only_the_relay_refused_do_not_make_a_dead_output_look_well(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    outcomes: list[Outcome] = [*[Retry("refused")] * 3, Rejected("could not be rendered: ValueError")]
    output = ScriptedOutput(clock, lambda batch: [outcomes.pop(0) if outcomes else Retry("refused")])
    for _ in range(10):
        journal.put()
    worker = await begin(output)
    await clock.advance(30.0)
    assert not outcomes
    assert worker.status().state is WorkerState.FAILING


async def test_an_output_that_never_answers_is_given_up_and_tried_again(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    async def reply(batch: Batch) -> Sequence[Outcome]:
        if batch.attempt == 1:
            await asyncio.Event().wait()
        return [Delivered()]

    output = ScriptedOutput(clock, reply, timeout=10.0)
    await begin(output)
    journal.put()
    await clock.advance(14.9)
    assert output.under_way == 1
    await clock.advance(0.2)
    assert journal.last(1).why == "no reply in time"
    await clock.advance(2.0)
    assert journal.last(1).state is State.DELIVERED


async def test_an_output_that_hangs_does_not_slow_another(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    async def forever(batch: Batch) -> Sequence[Outcome]:
        await asyncio.Event().wait()
        return []

    hanging = ScriptedOutput(clock, forever, name="hanging", concurrency=4)
    well = ScriptedOutput(clock, name="well")
    await begin(hanging)
    await begin(well)
    for _ in range(1000):
        journal.put()
    for _ in range(200):
        await settle()
    assert set(journal.states("well").values()) == {State.DELIVERED}
    assert well.times == [0.0] * 1000, "no time went by"
    assert hanging.under_way == 4
    assert set(journal.states("hanging").values()) == {None}


@pytest.mark.parametrize(("size", "reads"), [(10, 2), (FRESH_BYTES // 40, 1)])
async def test_fewer_alerts_are_held_when_they_are_large(
    journal: MemoryLog, clock: FakeClock, begin: Begin, size: int, reads: int
) -> None:
    async def hangs(batch: Batch) -> Sequence[Outcome]:
        await asyncio.Event().wait()
        raise AssertionError

    for _ in range(1000):
        journal.put(raw=b"x" * size)
    worker = await begin(ScriptedOutput(clock, hangs, alerts=50, concurrency=4))
    await clock.advance(10.0)
    assert journal.reads == reads
    (lane,) = [lane for lane in worker._reader.lanes if lane.lane.priority == 4]
    assert lane.held == size * len(lane.fresh) > 0


@pytest.mark.parametrize("output_state", ["hangs", "fails", "parked", "throttled"])
async def test_memory_is_bounded_with_a_large_backlog(
    journal: MemoryLog, clock: FakeClock, begin: Begin, output_state: str
) -> None:
    async def reply(batch: Batch) -> Sequence[Outcome]:
        if output_state == "hangs":
            await asyncio.Event().wait()
        answers: dict[str, Outcome] = {
            "fails": Retry("x"),
            "parked": Parked("x"),
            "throttled": Throttled(60.0),
        }
        return [answers[output_state]] * len(batch.alerts)

    for _ in range(20_000):
        journal.put()
    output = ScriptedOutput(clock, reply, alerts=10, concurrency=4)
    worker = await begin(output)
    await clock.advance(1000.0)
    (lane,) = [lane for lane in worker._reader.lanes if lane.lane.priority == 4]
    assert len(lane.fresh) <= 128 + 256 + 4 * 10
    assert len(lane.open) <= 256 + 4 * 10
    assert len(lane.due) <= len(lane.open)
    assert journal.reads <= 4
