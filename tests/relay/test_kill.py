"""kill -9 while 32 connections post as fast as they can: what was answered 200 is kept, and delivered."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.relay.process import free_port, ready, start

CONNECTIONS = 32


class Sink(BaseHTTPRequestHandler):
    """A webhook that remembers the uuids it was given."""

    protocol_version = "HTTP/1.1"
    seen: set[str]
    arrived: threading.Event
    wanted: set[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.add(json.loads(body)["uuid"])
        if self.wanted and self.wanted <= self.seen:
            self.arrived.set()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def sink() -> Iterator[tuple[type[Sink], int]]:
    kind = type("OwnSink", (Sink,), {"seen": set(), "arrived": threading.Event(), "wanted": set()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield kind, server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


async def post_until_it_dies(url: str, worker: int, answered: set[str], enough: asyncio.Event) -> None:
    async with httpx.AsyncClient() as http:
        for n in range(100_000):
            uuid = f"w{worker}-{n}"
            try:
                reply = await http.post(
                    url, json={"uuid": uuid, "rule": "r", "priority": "Error", "output": "o"}
                )
            except httpx.TransportError:
                return
            if reply.status_code == 200:
                answered.add(uuid)
            if len(answered) >= 400:
                enough.set()


@pytest.mark.parametrize("round_", range(2))
async def test_kill_9_loses_nothing_that_was_answered(
    tmp_path: Path, sink: tuple[type[Sink], int], round_: int
) -> None:
    kind, sink_port = sink
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = tmp_path / "relay.yaml"
    config.write_text(
        f"listen: 127.0.0.1:{port}\ndata_dir: data\n"
        f"outputs: {{hook: {{type: webhook, url: 'http://127.0.0.1:{sink_port}/'}}}}\n"
    )
    process = start(config)
    answered: set[str] = set()
    enough = asyncio.Event()
    try:
        await ready(url, process)
        posting = [
            asyncio.create_task(post_until_it_dies(url, n, answered, enough)) for n in range(CONNECTIONS)
        ]
        await enough.wait()
        os.kill(process.pid, signal.SIGKILL)
        await asyncio.gather(*posting)
        process.wait()
        kind.wanted = set(answered)
        process = start(config)
        await ready(url, process)
        if not kind.wanted <= kind.seen:
            assert await asyncio.to_thread(kind.arrived.wait, 60), (
                f"{len(kind.wanted - kind.seen)} of {len(answered)} never came"
            )
    finally:
        process.terminate()
        assert process.wait(30) == 0, (tmp_path / "log").read_text()
