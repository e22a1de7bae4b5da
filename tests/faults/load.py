"""Senders that know exactly which of their alerts were answered 200."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter
from dataclasses import dataclass

from relay.alert import PRIORITIES

AWAY = 0.02
"""Seconds before a sender tries again to connect."""


@dataclass(frozen=True)
class Posting:
    """One request: an alert, or several as NDJSON."""

    uuids: tuple[str, ...]
    body: bytes


class Load:
    """`connections` senders, each posts one request after another; every fourth posts five alerts at once.

    Every second one sends again, byte for byte, what got no 200 (the others never do, as Falco). `total`
    bounds how many alerts are made; None: until `stop`.
    """

    def __init__(
        self, port: int, *, seed: int = 0, connections: int = 16, total: int | None = None, name: str = "a"
    ) -> None:
        self.answered: set[str] = set()
        self.made: set[str] = set()
        self.statuses: Counter[int] = Counter()
        self.cut_off = 0  # requests that got no reply
        self.again = 0  # requests that were sent again
        self.retry_after: set[str] = set()  # of replies that were not 200
        self._port = port
        self._connections = connections
        self._total = total
        self._name = name
        self._numbers = itertools.count()
        self._random = random.Random(seed)
        self._running = True
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._sender(number)) for number in range(self._connections)]

    async def done(self) -> None:
        """All of `total` was sent, and what is to be sent again was answered."""
        await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        """Make no more alerts; end when what is to be sent again was answered."""
        self._running = False
        await self.done()

    async def cancel(self) -> None:
        """End at once: the relay is gone for good."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until_answered(self, count: int) -> None:
        while len(self.answered) < count:
            await asyncio.sleep(0.01)

    async def _sender(self, number: int) -> None:
        size, repeats = (5 if number % 4 == 3 else 1), number % 2 == 1
        kept: Posting | None = None
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                if not self._running and kept is None:
                    return
                await asyncio.sleep(AWAY)
                continue
            try:
                while True:
                    posting = kept or self._next(size)
                    if posting is None:
                        return
                    self.again += posting is kept
                    kept = posting if repeats else None
                    if await self._post(posting, reader, writer):
                        kept = None
                    elif kept:
                        await asyncio.sleep(AWAY)
            except (OSError, asyncio.IncompleteReadError):
                self.cut_off += 1
            finally:
                writer.transport.abort()

    def _next(self, size: int) -> Posting | None:
        if not self._running or (self._total is not None and len(self.made) >= self._total):
            return None
        uuids = [f"{self._name}-{next(self._numbers)}" for _ in range(size)]
        self.made.update(uuids)
        return Posting(tuple(uuids), b"\n".join(map(self._alert, uuids)))

    def _alert(self, uuid: str) -> bytes:
        alert = {
            "uuid": uuid,
            "rule": f"Rule {self._random.randrange(20)}",
            "priority": self._random.choice(PRIORITIES),
            "time": "2026-10-09T23:31:56.746609046Z",
            "source": "syscall",
            "output": "something happened " + "x" * self._random.randrange(600),
            "output_fields": {"proc.name": "cat", "n": uuid},
        }
        return json.dumps(alert).encode()

    async def _post(
        self, posting: Posting, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        kind = "application/json" if len(posting.uuids) == 1 else "application/x-ndjson"
        head = (
            f"POST / HTTP/1.1\r\nHost: relay\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(posting.body)}\r\n\r\n"
        )
        writer.write(head.encode() + posting.body)
        said = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        headers = dict(line.split(": ", 1) for line in said.split("\r\n")[1:] if line)
        await reader.readexactly(int(headers["content-length"]))
        status = int(said.split(" ", 2)[1])
        self.statuses[status] += 1
        if status == 200:
            self.answered.update(posting.uuids)
            return True
        self.retry_after.add(headers.get("retry-after", "none"))
        return False
