"""Posts alerts as fast as they are answered, or at a fixed rate, over kept connections.

usage: python -m benchmarks.load HOST:PORT [--connections 32] [--seconds 5] [--rate 500] [--batch 100]
Prints one line of JSON: {"answered": alerts, "other": replies that were not 200, "seconds": s}.
The client is a bare asyncio protocol: it has to cost less than what it measures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import cast

import uvloop

from benchmarks.alerts import Alerts

TICK_NS = 3_000_000
"""What the load's own timer may be late; beyond it an alert has waited for a free connection."""


class Connection(asyncio.Protocol):
    """One kept connection with at most one request under way."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.idle = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)
        self.buffer = b""

    def send(self, request: bytes) -> None:
        self.idle = False
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        _, found, length = head.lower().partition(b"content-length:")
        if found and len(rest) < int(length.split(b"\r\n", 1)[0]):
            return
        self.buffer = b""
        self.idle = True
        self.load.answered(self, ok=head.startswith(b"HTTP/1.1 200"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.lost(self)


class Load:
    """The whole run: counts, and decides when the next request goes out."""

    def __init__(self, host: str, batch: int) -> None:
        self.alerts = Alerts()
        kind = "application/json" if batch == 1 else "application/x-ndjson"
        length = (self.alerts.length + 1) * batch - 1
        self.head = (
            f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        ).encode()
        self.batch = batch
        self.good = self.bad = 0
        self.running = True
        self.closed_loop = True
        self.connections: list[Connection] = []

    def request(self) -> bytes:
        return self.head + b"\n".join([next(self.alerts) for _ in range(self.batch)])

    def answered(self, connection: Connection, *, ok: bool) -> None:
        if ok:
            self.good += self.batch
        else:
            self.bad += 1
        if self.running and self.closed_loop:
            connection.send(self.request())

    def lost(self, connection: Connection) -> None:
        if self.running:
            self.bad += 1
            self.connections.remove(connection)

    async def run(self, host: str, port: int, connections: int, seconds: float, rate: float) -> float:
        loop = asyncio.get_running_loop()
        self.closed_loop = rate == 0
        for _ in range(connections):
            _, connection = await loop.create_connection(lambda: Connection(self), host, port)
            self.connections.append(connection)
        start = time.perf_counter()
        if rate:
            await self._paced(start, seconds, rate)
        else:
            for connection in self.connections:
                connection.send(self.request())
            await asyncio.sleep(seconds)
        took = time.perf_counter() - start
        good = self.good
        self.running = False
        while not all(connection.idle for connection in self.connections):
            await asyncio.sleep(0.01)
        self.measured = good
        return took

    async def _paced(self, start: float, seconds: float, rate: float) -> None:
        # Open loop: a late reply does not make the next request late; a free connection takes it. If none is
        # free, the alert waits, and that counts: it is posted when it was due.
        sent = 0
        begun_ns = time.time_ns()
        while (now := time.perf_counter() - start) < seconds:
            while sent < now * rate:
                free = next((one for one in self.connections if one.idle), None)
                if free is None:
                    break
                due_ns, now_ns = begun_ns + int(sent / rate * 1e9), time.time_ns()
                late = now_ns - due_ns > TICK_NS
                free.send(
                    self.head + self.alerts.at(due_ns if late else now_ns)
                    if self.batch == 1
                    else self.request()
                )
                sent += 1
            await asyncio.sleep(0.0005)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    host, _, port = options.address.rpartition(":")
    load = Load(options.address, options.batch)
    took = uvloop.run(load.run(host, int(port), options.connections, options.seconds, options.rate))
    print(json.dumps({"answered": load.measured, "sent": load.good, "other": load.bad, "seconds": took}))


if __name__ == "__main__":
    main()
