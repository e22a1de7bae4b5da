"""The destination's name does not resolve, or the resolver never answers.

The relay runs in a mount namespace of its own, in which /etc/resolv.conf points to a resolver of the test.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from relay.delivery.status import WorkerState
from relay.journal.base import State
from tests.faults.process import RelayProcess
from tests.faults.test_destinations import Scene, output_state

RESOLVER = "127.53.0.53"
NAME = "sink.test.example"
IN_NAMESPACE = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


class Resolver(asyncio.DatagramProtocol):
    """Port 53 on loopback. `answer` is None (never answers), "" (no such name), or an address."""

    answer: str | None = None
    asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.asked += 1
        if self.answer is None:
            return
        end = data.index(b"\0", 12) + 5
        question, wants_a = data[12:end], data[end - 4 : end - 2] == b"\0\1"
        found = self.answer if wants_a else ""
        flags = 0x8180 if self.answer else 0x8183
        reply = data[:2] + struct.pack("!HHHHH", flags, 1, bool(found), 0, 0) + question
        if found:
            reply += struct.pack("!HHHIH4B", 0xC00C, 1, 1, 1, 4, *map(int, found.split(".")))
        self._transport.sendto(reply, address)  # type: ignore[attr-defined]


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    try:
        transport, made = await asyncio.get_running_loop().create_datagram_endpoint(
            Resolver, local_addr=(RESOLVER, 53)
        )
    except OSError as error:
        pytest.skip(f"a resolver cannot listen on {RESOLVER}:53: {error.strerror}")
    yield made
    transport.close()


@pytest.fixture
def before(tmp_path: Path) -> list[str]:
    """What to put in front of the relay's command."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a mount namespace needs root and unshare")
    file = tmp_path / "resolv.conf"
    file.write_text(f"nameserver {RESOLVER}\n")
    command = ["unshare", "--mount", "sh", "-c", IN_NAMESPACE, str(file)]
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"no mount namespace here: {tried.stderr.decode()}")
    return command


@pytest.mark.timeout(300)
@pytest.mark.parametrize("answer", ["", None], ids=["no-such-name", "resolver-hangs"])
async def test_a_name_that_is_not_found(
    tmp_path: Path,
    before: list[str],
    resolver: Resolver,
    full: bool,
    proof: Callable[[str], None],
    answer: str | None,
) -> None:
    """The others go on meanwhile; when the name resolves, everything arrives, in the same process."""
    resolver.answer = answer
    scene = Scene(tmp_path, 4000 if full else 400, proof)
    await scene.listen()
    scene.outputs["bad"]["url"] = f"http://{NAME}:{scene.bad.port}/"
    relay: RelayProcess = scene.relay(before=before)
    async with relay:
        threads = relay.threads()
        answered = await scene.pour(relay)
        while await output_state(relay, "bad") != WorkerState.FAILING:
            await asyncio.sleep(0.1)
        assert resolver.asked > 0
        assert not scene.bad.accepted
        proof(f"the others have all {len(answered)}; threads {threads}, then {relay.threads()}")
        resolver.answer = "127.0.0.1"
        await scene.bad.has(answered)
        kept = await scene.verdict(relay)
    assert kept.states("bad") == {State.DELIVERED: len(answered)}
