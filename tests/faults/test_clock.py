"""The wall clock is stepped back and forth under load: nothing is lost, doubled, or left waiting for ever."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest

from relay.journal.base import State
from tests.faults import sink as sinks
from tests.faults.kept import read_journal
from tests.faults.load import Load
from tests.faults.process import RelayProcess, webhook
from tests.faults.sink import Connection, Post, Sink

HOUR = 3600 * 10**9
STEPS = (-1, -24, 0, 24, -100 * 24)
"""Hours, one after another, against the true time. The last is back: a later one would release what waits."""


class Clock:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "clock"
        self.step(0)

    def step(self, hours: int) -> None:
        """In place: the relay has the file mapped."""
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(descriptor, struct.pack("q", hours * HOUR), 0)
        os.close(descriptor)


@pytest.mark.timeout(300)
async def test_the_clock_is_stepped(tmp_path: Path, proof: Callable[[str], None]) -> None:
    """One output is well; one fails between the steps; one says 500 to some at first.

    What waits for its next attempt was noted on the clock before the step.
    """
    first: set[str] = set()

    def at_second_try(sink: Sink, connection: Connection, post: Post) -> None:
        if crc32(post.uuids[0].encode()) % 23 == 0 and post.uuids[0] not in first:
            first.add(post.uuids[0])
            connection.reply(500)
        else:
            sinks.ok(sink, connection, post)

    servers = {"well": Sink(sinks.ok), "at-times": Sink(sinks.ok), "moody": Sink(at_second_try)}
    for server in servers.values():
        await server.listen()
    outputs = {name: webhook(server.url(), concurrency=4, timeout="1s") for name, server in servers.items()}
    clock = Clock(tmp_path)
    relay = RelayProcess(
        tmp_path,
        outputs,
        module="tests.faults.stepped_relay",
        environment={"STEPPED_CLOCK": str(clock.file)},
    )
    async with relay:
        load = Load(relay.port)
        load.start()
        for number, hours in enumerate(STEPS, 1):
            servers["at-times"].behave = sinks.status(503) if number % 2 else sinks.ok
            await load.until_answered(300 * number)
            while not first - servers["moody"].accepted.keys():
                await asyncio.sleep(0.005)  # some alert has to wait for its next attempt over the step
            clock.step(hours)
            proof(f"the clock is {hours:+} h, {len(load.answered)} alerts answered")
        servers["at-times"].behave = sinks.ok
        await load.until_answered(300 * (len(STEPS) + 1))
        await load.stop()
        for server in servers.values():
            await server.has(load.answered)
        assert await relay.stop() == 0, relay.log[-4000:]
    kept = await read_journal(relay.data_dir, set(servers))
    assert kept.ids.keys() == load.answered
    assert set(kept.ids.values()) == {1}
    assert first, "no alert was tried twice: the test proves nothing"
    for name, server in servers.items():
        assert kept.states(name) == {State.DELIVERED: len(kept.ids)}
        assert not server.twice
    proof(f"{len(kept.ids)} alerts, all delivered three times over; {len(first)} at the second attempt")


@pytest.mark.timeout(120)
async def test_a_repeat_is_known_after_a_step(tmp_path: Path) -> None:
    """Posted before and after the clock went back, and after a restart on the earlier clock: kept once."""
    clock = Clock(tmp_path)
    relay = RelayProcess(
        tmp_path,
        {},
        module="tests.faults.stepped_relay",
        environment={"STEPPED_CLOCK": str(clock.file)},
        settings={"dedup_window": "48h"},
    )
    async with relay:
        for hours in (0, -1, -24):
            clock.step(hours)
            load = Load(relay.port, total=50, connections=1)
            load.start()
            await load.done()
            assert load.statuses == {200: 50}
        assert await relay.stop() == 0
        await relay.start()
        load = Load(relay.port, total=50, connections=1)
        load.start()
        await load.done()
        assert await relay.stop() == 0
    kept = await read_journal(relay.data_dir, set())
    assert kept.ids == {f"a-{number}": 1 for number in range(50)}
