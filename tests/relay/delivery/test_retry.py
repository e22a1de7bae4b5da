"""What follows from each outcome: retries, dead letters, splitting."""

from __future__ import annotations

import pytest

from relay.delivery import WorkerState
from relay.delivery.retry import LONGEST, backoff
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
from tests.relay.delivery.conftest import Begin
from tests.relay.delivery.fakes import FakeClock, MemoryLog, ScriptedOutput, good, settle

DAY = 86400.0


@pytest.mark.parametrize(
    ("failures", "ceiling"), [(1, 1.0), (2, 2.0), (3, 4.0), (5, 16.0), (9, 256.0), (10, 300.0), (99, 300.0)]
)
def test_backoff_is_drawn_from_all_of_zero_to_its_ceiling(failures: int, ceiling: float) -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    assert backoff(failures, uniform) == ceiling <= LONGEST
    assert asked == [(0.0, ceiling)]
    assert backoff(failures, lambda low, high: low) == 0.1


async def test_a_plain_success(journal: MemoryLog, clock: FakeClock, begin: Begin) -> None:
    output = ScriptedOutput(clock, lambda batch: [Delivered(confirmed=False, receipt="m1", ref="thread")])
    worker = await begin(output)
    journal.put()
    await settle()
    one = journal.last(1)
    assert (one.state, one.attempts, one.receipt, one.confirmed, one.ref) == (
        State.DELIVERED,
        1,
        "m1",
        False,
        "thread",
    )
    assert worker.status().outcomes == {"delivered": 1}
    batch = output.sent[0].batch
    assert (batch.attempt, batch.delivery_id, batch.deadline) == (1, "id-1-out", 10.0)


async def test_a_failure_is_tried_again_within_its_backoff_and_recorded(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    outcomes: list[Outcome] = [Retry("HTTP 500"), Retry("HTTP 502"), Delivered()]
    output = ScriptedOutput(clock, lambda batch: [outcomes.pop(0)])
    worker = await begin(output)
    journal.put()
    await settle()
    one = journal.last(1)
    assert (one.state, one.attempts, one.why) == (State.RETRYING, 1, "HTTP 500")
    assert one.next_try_ns is not None
    assert 0 < one.next_try_ns - one.at_ns <= 1_000_000_000
    assert worker.status().retrying == 1
    await clock.advance(0.0999)
    assert len(output.sent) == 1, "sooner than the shortest wait"
    await clock.advance(3.0)
    assert [sent.batch.attempt for sent in output.sent] == [1, 2, 3]
    assert len({sent.batch.delivery_id for sent in output.sent}) == 1
    one = journal.last(1)
    assert (one.state, one.attempts) == (State.DELIVERED, 3)
    assert worker.status().retrying == 0
    assert [fate.state for fate in journal.fates[Lane("out", 4), 1]] == [
        State.RETRYING,
        State.RETRYING,
        State.DELIVERED,
    ]


async def test_rejected_is_a_dead_letter_at_once_with_the_reply(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    output = ScriptedOutput(clock, lambda batch: [Rejected("HTTP 400", "no such field")])
    worker = await begin(output)
    journal.put()
    await settle()
    one = journal.last(1)
    assert (one.state, one.attempts, one.why, one.reply) == (State.DEAD, 1, "HTTP 400", "no such field")
    assert worker.status().state is WorkerState.OK
    await clock.advance(DAY)
    assert len(output.sent) == 1


async def test_dead_after_retry_for_and_not_before(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    output = ScriptedOutput(clock, lambda batch: [Retry("HTTP 500")])
    await begin(output, retry_for=3600.0)
    journal.put()
    await clock.advance(3599.0)
    assert journal.last(1).state is State.RETRYING
    await clock.advance(3600.0)
    one = journal.last(1)
    assert one.state is State.DEAD
    assert "HTTP 500" in (one.why or "")
    assert one.attempts == len(output.sent) > 3
    assert output.times[-1] >= 3600.0


async def test_every_alert_has_an_attempt_before_it_is_dead(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    output = ScriptedOutput(clock, lambda batch: [Retry("HTTP 500")])
    await begin(output, retry_for=60.0)
    for _ in range(100):
        journal.put()
    await clock.advance(3 * DAY)
    tried = {seq for sent in output.sent for seq in sent.seqs}
    dead = {seq for seq, state in journal.states().items() if state is State.DEAD}
    assert dead
    assert dead <= tried
    assert all(journal.last(seq).attempts >= 2 for seq in dead), "from the first attempt on, not from receipt"


async def test_throttled_waits_as_told_and_costs_no_time_of_retry_for(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    throttle = [Throttled(600.0, "HTTP 429")] * 12
    output = ScriptedOutput(clock, lambda batch: [throttle.pop() if throttle else Retry("HTTP 500")])
    worker = await begin(output, retry_for=3600.0)
    journal.put()
    await settle()
    assert worker.status().state is WorkerState.THROTTLED
    assert journal.final(Lane("out", 4), 1) is None, "it was not its fault: still waiting, no attempt"
    await clock.advance(599.9)
    assert output.times == [0.0]
    await clock.advance(11 * 600.0 + 0.2)
    assert output.times[:13] == [600.0 * n for n in range(13)]
    assert journal.last(1).state is State.RETRYING, "two hours of throttling are not charged"


async def test_time_that_is_throttled_between_failures_is_not_charged(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    outcomes: list[Outcome] = [Retry("HTTP 500"), *[Throttled(3600.0)] * 5, Retry("HTTP 500"), Delivered()]
    output = ScriptedOutput(clock, lambda batch: [outcomes.pop(0)])
    await begin(output, retry_for=3600.0)
    journal.put()
    await clock.advance(6 * 3600.0)
    one = journal.last(1)
    assert (one.state, one.attempts) == (State.DELIVERED, 3)
    firsts = [fate.first_try_ns for fate in journal.fates[Lane("out", 4), 1] if fate.first_try_ns]
    assert firsts[-1] - firsts[0] == 5 * 3600 * 10**9


async def test_time_that_is_parked_is_not_charged_and_never_put_into_the_future(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    outcomes: list[Outcome] = [*[Parked("HTTP 403")] * 9, *[Retry("HTTP 500")] * 500]
    output = ScriptedOutput(clock, lambda batch: [outcomes.pop(0)])
    await begin(output, retry_for=1800.0)
    journal.put()
    await clock.advance(60 + 300 + 6 * 900 + 900)
    assert journal.last(1).state is State.RETRYING
    for fate in journal.fates[Lane("out", 4), 1]:
        assert fate.first_try_ns is not None
        assert fate.first_try_ns <= fate.at_ns
    await clock.advance(1800.0 + 300.0)
    assert journal.last(1).state is State.DEAD


async def test_too_large_splits_down_to_one_and_shrinks_that(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    def reply(batch: Batch) -> list[Outcome]:
        if len(batch.alerts) > 2 or (batch.alerts[0].seq in {5, 6} and not batch.shrink):
            return [TooLarge("HTTP 413")] * len(batch.alerts)
        if batch.alerts[0].seq == 6:
            return [TooLarge("HTTP 413")]
        return [Delivered()] * len(batch.alerts)

    for _ in range(8):
        journal.put()
    output = ScriptedOutput(clock, reply, alerts=8)
    await begin(output)
    states = journal.states()
    assert states.pop(6) is State.DEAD
    assert set(states.values()) == {State.DELIVERED}
    assert [sent.seqs for sent in output.sent if sent.batch.shrink] == [[5], [6]]
    assert "too large even when shortened" in (journal.last(6).why or "")


async def test_a_split_half_is_not_sent_when_the_other_was_told_to_wait(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    def reply(batch: Batch) -> list[Outcome]:
        if len(batch.alerts) == 4 and clock.now < 5:
            return [TooLarge("HTTP 413")] * 4
        return [Throttled(10.0)] * len(batch.alerts) if clock.now < 5 else list(good(batch))

    for _ in range(4):
        journal.put()
    output = ScriptedOutput(clock, reply, alerts=4)
    await begin(output)
    assert [sent.seqs for sent in output.sent] == [[1, 2, 3, 4], [1, 2]]
    await clock.advance(20.0)
    assert set(journal.states().values()) == {State.DELIVERED}


async def test_one_bad_alert_among_a_hundred_is_found_when_the_batch_fails(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    def reply(batch: Batch) -> list[Outcome]:
        bad = any(alert.seq == 37 for alert in batch.alerts)
        return [Retry("HTTP 500") if bad else Delivered()] * len(batch.alerts)

    for _ in range(100):
        journal.put()
    output = ScriptedOutput(clock, reply, alerts=100)
    await begin(output, retry_for=7200.0)
    await clock.advance(600.0)
    states = journal.states()
    assert {seq for seq, state in states.items() if state is not State.DELIVERED} == {37}
    assert len(output.sent) < 100, "by halves, not one by one"
    await clock.advance(2 * 7200.0)
    assert journal.last(37).state is State.DEAD
    assert not journal.contradictions


async def test_a_bulk_reply_gives_each_alert_its_own_fate(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    first = True

    def reply(batch: Batch) -> list[Outcome]:
        nonlocal first
        if not first:
            return [Delivered()] * len(batch.alerts)
        first = False
        return [Delivered(), Retry("HTTP 503"), Rejected("HTTP 400", ""), Throttled(30.0)]

    for _ in range(4):
        journal.put()
    output = ScriptedOutput(clock, reply, alerts=4)
    worker = await begin(output)
    assert journal.states() == {1: State.DELIVERED, 2: State.RETRYING, 3: State.DEAD, 4: None}
    assert worker.status().state is WorkerState.THROTTLED, "one alert's wait holds for the destination"
    await clock.advance(29.0)
    assert len(output.sent) == 1
    await clock.advance(10.0)
    assert journal.states() == {1: State.DELIVERED, 2: State.DELIVERED, 3: State.DEAD, 4: State.DELIVERED}


@pytest.mark.parametrize("wrong", ["raises", "too few"])
async def test_a_fault_in_an_output_is_a_retry_and_says_no_secret(
    journal: MemoryLog, clock: FakeClock, begin: Begin, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = True

    def reply(batch: Batch) -> list[Outcome]:
        if not broken:
            return [Delivered()] * len(batch.alerts)
        if wrong == "raises":
            raise RuntimeError("https://hooks.example/s3cr3t")
        return []

    output = ScriptedOutput(clock, reply)
    await begin(output)
    journal.put()
    await settle()
    assert journal.last(1).state is State.RETRYING
    assert "fault of the relay" in (journal.last(1).why or "")
    broken = False
    await clock.advance(5.0)
    assert journal.last(1).state is State.DELIVERED
    said = capsys.readouterr()
    assert "s3cr3t" not in said.out + said.err + str(journal.fates)
    assert "must not" in said.out + said.err


@pytest.mark.parametrize("hours", [-24, 24 * 365], ids=["back", "on"])
async def test_a_wall_clock_that_is_set_changes_no_wait(
    journal: MemoryLog, clock: FakeClock, begin: Begin, hours: int
) -> None:
    """Neither waits an alert for hours, nor is it given up as if it had been tried for hours."""
    answers = iter([Retry("HTTP 500"), Retry("HTTP 500")])
    output = ScriptedOutput(clock, lambda batch: [next(answers, Delivered())])
    journal.put()
    await begin(output)
    assert journal.states() == {1: State.RETRYING}
    clock.set_wall(hours * 3600.0)
    await clock.advance(10.0)
    assert len(output.sent) == 3
    assert journal.states() == {1: State.DELIVERED}


async def test_a_wall_clock_that_was_ahead_when_the_relay_ended(
    journal: MemoryLog, clock: FakeClock, begin: Begin
) -> None:
    answers = iter([Retry("HTTP 500")])
    journal.put()
    first = await begin(ScriptedOutput(clock, lambda batch: [next(answers, Delivered())]))
    await first.stop()
    clock.set_wall(-24 * 3600.0)
    await begin(ScriptedOutput(clock))
    await clock.advance(LONGEST + 1.0)
    assert journal.states() == {1: State.DELIVERED}
