"""A reload under load each second: whatever changes, nothing that was answered is lost or sent twice."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from relay.journal.base import State
from tests.faults import sink as sinks
from tests.faults.kept import read_journal
from tests.faults.load import Load
from tests.faults.process import RelayProcess, webhook
from tests.faults.sink import Sink

BAD_EVERY = 4


def shape(turn: int, servers: Mapping[str, Sink]) -> dict[str, Any]:
    """One output stays, one changes, one is renamed each time, one is switched off and on."""
    outputs = {
        "stays": webhook(servers["stays"].url(), concurrency=4),
        "changes": webhook(servers["changes"].url(), concurrency=4 + turn % 5, match=f"rule != r{turn}"),
        f"renamed-{turn}": webhook(servers["renamed"].url(), renamed_from=f"renamed-{turn - 1}"),
        "switched": webhook(servers["switched"].url(), enabled=turn % 2 == 0),
    }
    if turn % 3 == 0:
        outputs = dict(reversed(outputs.items()))
    return outputs


@pytest.mark.timeout(300)
async def test_a_reload_each_second(tmp_path: Path, full: bool, proof: Callable[[str], None]) -> None:
    turns, pause = (60, 1.0) if full else (8, 0.2)
    servers = {name: Sink(sinks.ok) for name in ("stays", "changes", "renamed", "switched")}
    for server in servers.values():
        await server.listen()
    relay = RelayProcess(tmp_path, shape(0, servers))
    load = Load(relay.port, connections=4)
    refused = 0
    async with relay:
        load.start()
        turn = 0
        for number in range(1, turns + 1):
            await asyncio.sleep(pause)
            if number % BAD_EVERY == 0:
                relay.configure(shape(turn, servers) | {"bad": {"type": "webhook"}})
                refused += 1
                expected = f'outrider_config_reloads_total{{result="refused"}} {refused}.0'
            else:
                turn += 1
                relay.configure(shape(turn, servers))
                expected = f'outrider_output_state{{output="renamed-{turn}",state="ok"}} 1.0'
            relay.signal(signal.SIGHUP)
            while expected not in (await relay.get("/metrics")).text:
                await asyncio.sleep(0.02)
        await load.stop()
        for name in ("stays", "changes", "renamed"):
            await servers[name].has(load.answered)
        assert await relay.stop() == 0, relay.log[-4000:]
    now = f"renamed-{turn}"
    kept = await read_journal(relay.data_dir, {"stays", "changes", now, "switched"})
    assert load.answered <= kept.ids.keys()
    for name, server in servers.items():
        assert not server.twice, name
    for name in ("stays", "changes", now):
        assert kept.states(name) == {State.DELIVERED: len(kept.ids)}, name
    assert kept.states("switched").keys() == {State.DELIVERED, State.NOT_ROUTED}
    assert kept.having("switched", State.DELIVERED) == servers["switched"].accepted.keys()
    proof(f"{turns} reloads, {refused} refused; {len(load.answered)} answered, none lost, none sent twice")
