"""A real small tmpfs fills up: 503 with Retry-After, not ready; with room again, everything goes on."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.journal.base import State
from tests.faults import sink as sinks
from tests.faults.kept import read_journal
from tests.faults.load import Load
from tests.faults.process import RelayProcess, webhook
from tests.faults.sink import Sink

SIZE = 16 * 2**20
BALLAST = 8 * 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mounted here; `ballast` takes half of it."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a tmpfs")
    where = tmp_path / "small"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "none", str(where)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"tmpfs cannot be mounted here: {mounted.stderr.decode()}")
    try:
        (where / "ballast").write_bytes(b"\0" * BALLAST)
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("killed", [False, True], ids=["goes-on", "killed-while-full"])
async def test_a_full_disk(
    tmp_path: Path, small_disk: Path, proof: Callable[[str], None], killed: bool
) -> None:
    server = Sink(sinks.ok)
    await server.listen()
    relay = RelayProcess(
        tmp_path, {"well": webhook(server.url(), concurrency=4)}, data_dir=small_disk / "data"
    )
    load = Load(relay.port)
    async with relay:
        load.start()
        while not load.statuses[503]:
            await asyncio.sleep(0.05)
        at_full = len(load.answered)
        free = os.statvfs(small_disk)
        assert (await relay.get("/readyz")).status_code == 503
        assert (await relay.get("/healthz")).status_code == 200, "alive: killing it would help nobody"
        assert "none" not in load.retry_after
        assert "outrider_journal_writable 0" in (await relay.get("/metrics")).text
        proof(f"full after {at_full} alerts, {free.f_bavail * free.f_frsize} bytes free: 503, Retry-After")
        if killed:
            await relay.kill()
            await server.next_generation()
        (small_disk / "ballast").unlink()
        if killed:
            await relay.start()
        await load.until_answered(at_full + 500)
        assert (await relay.get("/readyz")).status_code == 200
        await load.stop()
        await server.has(load.answered)
        assert await relay.stop() == 0, relay.log[-4000:]
    kept = await read_journal(relay.data_dir, {"well"})
    proof(
        f"{len(load.answered)} answered ({dict(load.statuses)}), {len(load.answered - kept.ids.keys())} lost,"
        f" {sum(server.twice.values())} delivered twice"
    )
    assert load.answered <= kept.ids.keys()
    assert set(kept.ids.values()) == {1}
    assert kept.states("well") == {State.DELIVERED: len(kept.ids)}
    assert sum(server.twice.values()) <= (4 if killed else 0)


@pytest.mark.timeout(120)
async def test_ready_again_without_an_alert(
    tmp_path: Path, small_disk: Path, proof: Callable[[str], None]
) -> None:
    """A load balancer sends nothing to a relay that is not ready: it must find out by itself."""
    relay = RelayProcess(tmp_path, {}, data_dir=small_disk / "data")
    load = Load(relay.port)
    async with relay:
        load.start()
        while not load.statuses[503]:
            await asyncio.sleep(0.05)
        await load.cancel()
        assert (await relay.get("/readyz")).status_code == 503
        (small_disk / "ballast").unlink()
        while (await relay.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.1)
        proof("ready again, although nobody posted")
        assert await relay.stop() == 0
