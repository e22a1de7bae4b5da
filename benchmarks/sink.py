"""Takes what a webhook output sends, as cheaply as Python can. Prints its port, then serves until killed.

GET /stats answers JSON: {"count": posts, "unique": different alerts at each path, "first": s, "last": s,
"ms": {p50, p99, p100: from the body's evt.time to here}} and starts from nothing again.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import cast

import uvloop

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Stats:
    def __init__(self) -> None:
        self.count = 0
        self.uuids: set[bytes] = set()
        self.latency: list[int] = []
        self.first = self.last = 0.0

    def take(self, path: bytes, body: bytes) -> None:
        self.last = time.time()
        self.count += 1
        self.first = self.first or self.last
        uuid = body.find(b'"uuid":"') + 8
        self.uuids.add(path + body[uuid : uuid + 32])
        sent = body.find(b'"evt.time":') + 11
        self.latency.append(int(self.last * 1e9) - int(body[sent : sent + 19]))

    def report(self) -> bytes:
        late = sorted(self.latency)
        at = {f"p{p}": late[int((len(late) - 1) * p / 100)] / 1e6 for p in (50, 99, 100)} if late else {}
        return json.dumps(
            {"count": self.count, "unique": len(self.uuids), "first": self.first, "last": self.last, "ms": at}
        ).encode()


class Sink(asyncio.Protocol):
    """HTTP/1.1 with Content-Length only: what the relay sends."""

    stats = Stats()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            stop = end + 4 + length
            if len(self.buffer) < stop:
                return
            body, self.buffer = self.buffer[end + 4 : stop], self.buffer[stop:]
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get /stats"):
            said = Sink.stats.report()
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
            Sink.stats = Stats()
            return
        Sink.stats.take(head.split(b" ", 2)[1], body)
        self.transport.write(_OK)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
