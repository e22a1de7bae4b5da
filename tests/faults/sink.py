"""A destination that behaves as badly as a test wants, and knows what it said yes to."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, cast

from tests.faults.process import free_port

DRIP_SECONDS = 1.0
_UUID = re.compile(rb'"uuid":\s*"([^"]+)"')


@dataclass(frozen=True)
class Post:
    uuids: tuple[str, ...]
    key: str  # Idempotency-Key
    body: bytes


class Connection(asyncio.Protocol):
    """HTTP/1.1 with Content-Length only: what the relay sends."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = b""
        self.generation = sink.generation

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._sink.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._sink.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            lines = self._buffer[:end].decode("latin-1").lower().split("\r\n")[1:]
            headers = dict(line.split(": ", 1) for line in lines)
            stop = end + 4 + int(headers.get("content-length", "0"))
            if len(self._buffer) < stop:
                return
            body, self._buffer = self._buffer[end + 4 : stop], self._buffer[stop:]
            uuids = tuple(found.decode() for found in _UUID.findall(body))
            self._sink.took(self, Post(uuids, headers.get("idempotency-key", ""), body))

    def reply(self, status: int, body: bytes = b"ok", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Reason", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if not self.transport.is_closing():
            self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def reset(self) -> None:
        """RST, not FIN."""
        raw: socket.socket = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


Behaviour: TypeAlias = "Callable[[Sink, Connection, Post], None]"


class Sink:
    """`behave` decides what follows a request; change it at any time.

    `generation` is for tests that kill: a second yes to an alert is charged to the generation of the
    connection that got the yes before.
    """

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.generation = 0
        self.connections: set[Connection] = set()
        self.accepted: dict[str, int] = {}  # uuid -> generation of the last yes
        self.order: list[str] = []  # of the first yes
        self.tried: Counter[str] = Counter()
        self.keys: defaultdict[str, set[str]] = defaultdict(set)  # uuid -> Idempotency-Keys of its requests
        self.twice: Counter[int] = Counter()  # generation that is charged -> yeses too many
        self.twice_in_one: int = 0  # both in the same generation
        self.requests = 0
        self.port = free_port()
        self._server: asyncio.Server | None = None

    def url(self, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}/"

    async def listen(self, tls: ssl.SSLContext | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", self.port, ssl=tls)

    async def refuse(self) -> None:
        """Close everything: a connection is refused from now on."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    async def next_generation(self) -> None:
        """After the relay was killed: take in what it had sent, then count anew."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)  # queues behind its connections
        writer.close()
        while self.connections:
            await asyncio.sleep(0.005)
        self.generation += 1

    def took(self, connection: Connection, post: Post) -> None:
        self.requests += 1
        self.tried.update(post.uuids)
        for uuid in post.uuids:
            self.keys[uuid].add(post.key)
        self.behave(self, connection, post)

    def accept(self, connection: Connection, post: Post) -> None:
        for uuid in post.uuids:
            before = self.accepted.get(uuid)
            if before is None:
                self.order.append(uuid)
            else:
                self.twice[before] += 1
                self.twice_in_one += before == connection.generation
            self.accepted[uuid] = connection.generation

    async def has(self, uuids: set[str]) -> None:
        """Wait until all of them were accepted; the test's time-out is the limit."""
        while not uuids <= self.accepted.keys():
            await asyncio.sleep(0.02)


def ok(sink: Sink, connection: Connection, post: Post) -> None:
    sink.accept(connection, post)
    connection.reply(200)


def status(code: int, **headers: str) -> Behaviour:
    """This status for everything; `Retry_After="2"` is the header Retry-After."""

    def behave(sink: Sink, connection: Connection, post: Post) -> None:
        connection.reply(code, b"no", **headers)

    return behave


def hang(sink: Sink, connection: Connection, post: Post) -> None:
    """Accepts the connection and the request, and never answers."""


def drip(sink: Sink, connection: Connection, post: Post) -> None:
    """A byte a second: each read brings something, the reply is never whole."""
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    def send(at: int) -> None:
        if at < len(reply) and not connection.transport.is_closing():
            connection.transport.write(reply[at : at + 1])
            asyncio.get_running_loop().call_later(DRIP_SECONDS, send, at + 1)

    send(0)


def reset(sink: Sink, connection: Connection, post: Post) -> None:
    """Half of a reply, then RST."""
    connection.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nhalf of")
    asyncio.get_running_loop().call_later(0.01, connection.reset)


def bad_one(poison: set[str], code: int = 400) -> Behaviour:
    """Takes nothing of a request that has one of these alerts, as a bulk endpoint that validates it whole."""

    def behave(sink: Sink, connection: Connection, post: Post) -> None:
        if poison.intersection(post.uuids):
            connection.reply(code, b"one of these is not valid")
        else:
            ok(sink, connection, post)

    return behave
