"""SIGTERM under load: it ends with 0, and what was answered is on disk and delivered once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.journal.base import State
from tests.faults import sink as sinks
from tests.faults.kept import read_journal
from tests.faults.load import Load
from tests.faults.process import FAILING, RelayProcess, webhook
from tests.faults.sink import Sink


@pytest.mark.timeout(300)
async def test_sigterm_under_load(tmp_path: Path, full: bool, proof: Callable[[str], None]) -> None:
    """One output is well, one says 503, one hangs; each stop is followed by a start on the same journal."""
    servers = {"well": Sink(sinks.ok), "failing": Sink(sinks.status(503)), "hanging": Sink(sinks.hang)}
    for server in servers.values():
        await server.listen()
    outputs = {name: webhook(server.url(), concurrency=4) for name, server in servers.items()}
    outputs["failing"] |= FAILING
    outputs["hanging"] |= {"timeout": "15s" if full else "2s"}  # longer than the relay waits at its end
    relay = RelayProcess(tmp_path, outputs)
    load = Load(relay.port)
    load.start()
    for stop in range(1, (5 if full else 1) + 1):
        await relay.start()
        await load.until_answered(400 * stop)
        assert await relay.stop() == 0, relay.log[-4000:]
        proof(f"SIGTERM {stop}: exit 0, {len(load.answered)} alerts answered so far")
        kept = await read_journal(relay.data_dir, set(servers))
        assert load.answered <= kept.ids.keys()
        assert set(kept.ids.values()) == {1}
        assert kept.having("well", State.DELIVERED) == servers["well"].accepted.keys(), "fates were written"

    servers["failing"].behave = servers["hanging"].behave = sinks.ok
    async with relay:
        await load.stop()
        for server in servers.values():
            await server.has(load.answered)
        assert await relay.stop() == 0
    kept = await read_journal(relay.data_dir, set(servers))
    for name, server in servers.items():
        assert kept.states(name) == {State.DELIVERED: len(kept.ids)}, name
        assert not server.twice, f"{name}: delivered twice, although it was stopped in order"
    proof(f"{len(load.answered)} answered, {len(kept.ids)} kept, none lost, none delivered twice")
    assert load.answered <= kept.ids.keys()


@pytest.mark.timeout(120)
async def test_a_second_signal_does_not_lose_anything(tmp_path: Path, proof: Callable[[str], None]) -> None:
    """Impatience: SIGTERM twice, SIGINT behind it. What was answered is kept."""
    server = Sink(sinks.hang)
    await server.listen()
    relay = RelayProcess(tmp_path, {"hanging": webhook(server.url(), concurrency=4, timeout="2s")})
    load = Load(relay.port)
    load.start()
    await relay.start()
    await load.until_answered(200)
    relay.signal(signal.SIGTERM)
    relay.signal(signal.SIGINT)
    await relay.stop()
    await load.cancel()
    kept = await read_journal(relay.data_dir, {"hanging"})
    assert load.answered <= kept.ids.keys()
    assert kept.states("hanging").keys() <= {State.WAITING, State.RETRYING}
    proof(f"{len(load.answered)} answered, {len(kept.ids)} kept")
