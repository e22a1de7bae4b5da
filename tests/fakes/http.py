"""A destination over real HTTP on loopback that answers what a test wants, also what no server should."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True)
class Reply:
    """One answer. `raw` is sent instead of all the rest; `hang` sends nothing more and keeps the line."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    raw: bytes | None = None
    hang: bool = False
    endless: bool = False
    after: asyncio.Event | None = None  # when to answer

    def encoded(self) -> bytes:
        if self.raw is not None:
            return self.raw
        lines = [
            f"HTTP/1.1 {self.status} Reason",
            *(f"{key}: {value}" for key, value in self.headers.items()),
        ]
        if self.endless:
            lines.append("Transfer-Encoding: chunked")
        elif self.status >= 200 and self.status != 204:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if self.endless else self.body)


class Destination:
    """`reply` decides; `received` and `connections` are for the test to look at."""

    def __init__(self, reply: Callable[[Received], Reply] | Reply | None = None) -> None:
        self.reply: Callable[[Received], Reply] | Reply = reply or Reply()
        self.received: list[Received] = []
        self.connections = 0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def netloc(self) -> str:
        return f"127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Destination]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while await self._answered(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its reply. False: the connection is over."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        received = Received(method, path, headers, body)
        self.received.append(received)
        reply = self.reply if isinstance(self.reply, Reply) else self.reply(received)
        if reply.after is not None:
            await reply.after.wait()
        if reply.hang:
            await asyncio.Event().wait()
        writer.write(reply.encoded())
        await writer.drain()
        while reply.endless:
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()
        if reply.raw is not None:
            writer.close()
            return False
        return True
