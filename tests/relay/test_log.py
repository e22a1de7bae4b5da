"""The log while an output is down for hours: a bounded number of lines, and none of its secrets."""

from __future__ import annotations

import io
import json
import logging
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import structlog

from relay import log as logs
from relay.delivery import Worker
from relay.log_limit import AGAIN_S, KEYS_MOST, OF_ALL, OF_AN_OUTPUT, LogLimit
from relay.outputs.base import Batch, Delivered, Outcome, Throttled
from tests.relay.delivery.fakes import FakeClock, MemoryLog, ScriptedOutput

HOURS = 6


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def stream(clock: FakeClock) -> Iterator[io.StringIO]:
    before = structlog.get_config()
    handlers, level = logging.root.handlers[:], logging.root.level
    out = io.StringIO()
    logs.configure(stream=out, limit=LogLimit(clock.monotonic))
    yield out
    structlog.configure(**before)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_an_output_that_fails_in_turns_for_hours(clock: FakeClock, stream: io.StringIO) -> None:
    """Busy, well for one alert, busy again: its state changes thousands of times."""
    turns = 0

    def reply(batch: Batch) -> Sequence[Outcome]:
        nonlocal turns
        turns += 1
        return [Throttled(10.0, "429") if turns % 2 else Delivered() for _ in batch.alerts]

    journal = MemoryLog()
    worker = Worker(ScriptedOutput(clock, reply), journal, None, clock=clock, rng=random.Random(1))
    await worker.start()
    for _ in range(HOURS * 360):
        journal.put()
    await clock.advance(HOURS * 3600)
    assert turns > 1000
    found = [line for line in lines(stream) if line.get("output") == "out"]
    said = {line["event"] for line in found}
    assert {"output is ok", "output is throttled"} <= said
    assert len(found) <= len(said) * (OF_AN_OUTPUT + HOURS * 3600 / AGAIN_S + 1)
    assert sum(line.get("left_out", 0) for line in found) > len(found)
    await worker.stop()


def test_what_is_left_out_is_counted(clock: FakeClock, stream: io.StringIO) -> None:
    log = structlog.get_logger()
    for number in range(1000):
        log.warning("output is failing", output="hook", why=f"reply {number}")
    assert len(lines(stream)) == OF_AN_OUTPUT
    log.warning("output is failing", output="other")
    log.warning("output is parked", output="hook")
    assert len(lines(stream)) == OF_AN_OUTPUT + 2  # these are other lines
    clock.now += AGAIN_S
    log.warning("output is failing", output="hook")
    log.warning("output is failing", output="hook")
    assert len(lines(stream)) == OF_AN_OUTPUT + 3
    assert lines(stream)[-1]["left_out"] == 1000 - OF_AN_OUTPUT


def test_a_list_of_problems_is_said_whole(stream: io.StringIO) -> None:
    for number in range(OF_ALL):
        structlog.get_logger().error("configuration is refused", why=f"line {number}")
    assert len(lines(stream)) == OF_ALL


def test_what_libraries_log(clock: FakeClock, stream: io.StringIO) -> None:
    for number in range(1000):
        logging.getLogger("library").error("cannot do %s", number)
    assert len(lines(stream)) == OF_ALL
    clock.now += AGAIN_S
    logging.getLogger("library").error("cannot do %s", "this")
    assert lines(stream)[-1]["event"] == f"cannot do this (and {1000 - OF_ALL} more like it)"


def test_it_holds_a_bounded_number_of_names(clock: FakeClock) -> None:
    limit = LogLimit(clock.monotonic)
    for number in range(3 * KEYS_MOST):
        limit(None, "warning", {"event": f"{number}"})
    assert len(limit._buckets) == KEYS_MOST
