"""libcurl, which Falco posts with, silently sends again when a kept connection dies before the reply."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.journal.base import State
from tests.faults import sink as sinks
from tests.faults.conftest import needs
from tests.faults.kept import read_journal
from tests.faults.process import RelayProcess, webhook
from tests.faults.sink import Sink

ALERT: dict[str, Any] = {
    "rule": "r",
    "priority": "Error",
    "output": "o",
    "time": "2026-10-09T23:31:56.746609046Z",
    "output_fields": {},
}


class Dropping:
    """A proxy that swallows the reply to the second request of its first connection, and hangs up."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.connections = 0
        self.requests = 0
        self.swallowed: list[bytes] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        first = self.connections == 1
        relay_reader, relay_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            for request in range(1, 100):
                relay_writer.write(await _message(reader))
                self.requests += 1
                reply = await _message(relay_reader)
                if first and request == 2:
                    self.swallowed.append(reply)
                    return
                writer.write(reply)
        except asyncio.IncompleteReadError:
            return  # the client has hung up
        finally:
            writer.close()
            relay_writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    length = next(line for line in lines if line.startswith("content-length:")).split(":")[1]
    return head + await reader.readexactly(int(length))


@pytest.mark.parametrize("with_uuid", [True, False], ids=["uuid", "no-uuid"])
async def test_what_curl_sends_again_is_kept_once(
    tmp_path: Path, proof: Callable[[str], None], with_uuid: bool
) -> None:
    needs("curl")
    server = Sink(sinks.ok)
    await server.listen()
    relay = RelayProcess(tmp_path, {"well": webhook(server.url())})
    async with relay:
        proxy = Dropping(relay.port)
        async with proxy.running() as port:
            arguments: list[str] = []
            for number in range(3):
                alert = ALERT | {"output": f"alert {number}"} | ({"uuid": f"u-{number}"} if with_uuid else {})
                arguments += ["--next"] if number else []
                arguments += ["-sS", "--noproxy", "*", "-H", "Content-Type: application/json"]
                arguments += ["-d", json.dumps(alert), f"http://127.0.0.1:{port}/"]
            curl = await asyncio.create_subprocess_exec("curl", *arguments, stdout=asyncio.subprocess.PIPE)
            said, _ = await curl.communicate()
        assert curl.returncode == 0, "curl did not notice anything"
        assert len(proxy.swallowed) == 1
        assert b"200" in proxy.swallowed[0].splitlines()[0], "it was journalled before the connection died"
        assert (proxy.requests, proxy.connections) == (4, 2), "curl sent it again by itself"
        assert said.count(b'"duplicate":true') == 1
        while len(server.order) < 3:
            await asyncio.sleep(0.02)
        assert await relay.stop() == 0
    kept = await read_journal(relay.data_dir, {"well"})
    proof(f"curl posted 3 alerts in {proxy.requests} requests; the journal has {len(kept.ids)}")
    assert len(kept.ids) == 3
    assert kept.states("well") == {State.DELIVERED: 3}
    assert server.requests == 3
