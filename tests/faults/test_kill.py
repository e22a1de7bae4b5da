"""kill -9 at random moments, again and again on one journal, while senders and outputs are busy.

Of three outputs one fails all the time. Afterwards it heals, and everything is held against everything:
what was answered, what the journal has, what each destination said yes to.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.journal.base import State
from tests.faults import sink as sinks
from tests.faults.kept import read_journal
from tests.faults.load import Load
from tests.faults.process import RelayProcess, webhook
from tests.faults.sink import Sink

CONCURRENCY = {"one": 8, "batches": 2, "failing": 4}
BATCH = {"one": 1, "batches": 20, "failing": 1}
LONGEST = 0.8
"""Seconds after which the latest kill comes."""
STARTING = 0.2
"""So many of the kills come while the relay starts."""


def configured(servers: dict[str, Sink]) -> dict[str, dict[str, object]]:
    return {
        name: webhook(
            server.url(),
            concurrency=CONCURRENCY[name],
            timeout="2s",
            **({"format": "ndjson", "batch": BATCH[name]} if BATCH[name] > 1 else {}),
        )
        for name, server in servers.items()
    }


async def kill_once(relay: RelayProcess, moments: random.Random) -> None:
    """Start it, and kill it at a random moment, which may be before it is ready."""
    if moments.random() < STARTING:
        relay.spawn()
    else:
        await relay.start()
    await asyncio.sleep(moments.uniform(0.0, LONGEST))
    await relay.kill()


@pytest.mark.timeout(1800)
async def test_kill_9_loses_nothing_that_was_answered(
    tmp_path: Path, full: bool, seed: int, proof: Callable[[str], None]
) -> None:
    kills = 100 if full else 8
    proof(f"{kills} kills, seed {seed}")
    moments = random.Random(seed)
    servers = {"one": Sink(sinks.ok), "batches": Sink(sinks.ok), "failing": Sink(sinks.status(503))}
    for server in servers.values():
        await server.listen()
    relay = RelayProcess(tmp_path, configured(servers))
    load = Load(relay.port, seed=seed)
    load.start()
    for done in range(1, kills + 1):
        await kill_once(relay, moments)
        for server in servers.values():
            await server.next_generation()
        if done % 20 == 0:
            proof(f"{done} kills, {len(load.answered)} alerts answered")

    servers["failing"].behave = sinks.ok
    async with relay:
        await load.stop()
        for server in servers.values():
            await server.has(load.answered)
        assert await relay.stop() == 0, relay.log[-4000:]
    for server in servers.values():
        await server.refuse()

    kept = await read_journal(relay.data_dir, set(servers))
    lost = load.answered - kept.ids.keys()
    proof(
        f"{len(load.answered)} answered, {len(lost)} lost; {load.cut_off} requests without a reply,"
        f" {load.again} sent again, {sum(n - 1 for n in kept.ids.values())} twice in the journal"
    )
    assert not lost
    assert len(load.answered) > 50 * kills, "hardly any load: the test proves nothing"
    assert not kept.ids.keys() - load.made
    assert set(kept.ids.values()) == {1}
    for name, server in servers.items():
        bound = CONCURRENCY[name] * BATCH[name]
        most, sum_ = max(server.twice.values(), default=0), sum(server.twice.values())
        proof(f"{name}: {sum_} delivered twice, at most {most} by one kill (allowed: {bound})")
        assert kept.states(name) == {State.DELIVERED: len(kept.ids)}
        assert server.accepted.keys() == kept.ids.keys()
        assert server.twice_in_one == 0
    for name, server in servers.items():
        assert max(server.twice.values(), default=0) <= CONCURRENCY[name] * BATCH[name], name
    if full:
        assert sum(sum(server.twice.values()) for server in servers.values()) > 0, "no kill hit a delivery"
