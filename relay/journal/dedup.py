"""Which alerts were acknowledged before. Random keys are dear in a table on disk: each dirties its own page.

So new keys are gathered in memory, and go to the tables later, sorted, in slices: neighbours share a page.
What a crash takes from memory is read again from the alerts themselves. All of it is the writer's thread's.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

BODY_WINDOW_NS = 3600 * 10**9
"""libcurl sends again when a kept connection dies before the reply; an hour covers any such repeat."""

GATHERED = 16_384
"""Keys in memory before they are sorted and moved: about 4 MB."""
SLICE = 64
"""At least so many keys move with a commit, once there is something to move."""

Known: TypeAlias = tuple[bytes, int, int]
"""Digest of the body, sequence number, when (ns)."""


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def insert(connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """INSERT many rows with few statements: each one run gives the interpreter's lock away once."""
    for at in range(0, len(rows), 64):
        part = rows[at : at + 64]
        marks = "(" + ",".join("?" * len(part[0])) + ")"
        values = [value for row in part for value in row]
        connection.execute(f"{statement} VALUES {','.join([marks] * len(part))}", values)


@dataclass(slots=True)
class Seen:
    """One table of keys with what is not in it yet."""

    table: str
    window_ns: int
    gathered: dict[bytes, Known] = field(default_factory=dict)
    moving: dict[bytes, Known] = field(default_factory=dict)
    order: list[bytes] = field(default_factory=list)  # the keys of `moving`, sorted
    moved: int = 0  # of `order`, how many are in the table
    stored: bool = True  # the table has rows

    def find(self, connection: sqlite3.Connection, keys: Sequence[bytes], now_ns: int) -> dict[bytes, Known]:
        """Those of the keys that were seen within the window."""
        since = now_ns - self.window_ns
        found: dict[bytes, Known] = {}
        asked = []
        for key in keys:
            known = self.gathered.get(key) or self.moving.get(key)
            if known is None:
                asked.append(key)
            elif known[2] > since:
                found[key] = known
        if not self.stored:
            return found
        for at in range(0, len(asked), 64):
            part = asked[at : at + 64]
            query = (
                f"SELECT key, digest, seq, at_ns FROM {self.table} WHERE key IN ({','.join('?' * len(part))})"
            )
            for key, body, seq, moment in connection.execute(query, part):
                if moment > since:
                    found[key] = (body, seq, moment)
        return found

    def move(self, connection: sqlite3.Connection, count: int, now_ns: int) -> int:
        """Put the next slice into the table; returns how many. The caller raises `moved` after the commit."""
        if not self.moving:
            return 0
        keys = self.order[self.moved : self.moved + max(SLICE, count)]
        rows = [(key, *self.moving[key]) for key in keys]
        insert(connection, f"INSERT OR REPLACE INTO {self.table} (key, digest, seq, at_ns)", rows)
        oldest = connection.execute(f"SELECT at_ns FROM {self.table} ORDER BY n LIMIT 1").fetchone()
        since = now_ns - self.window_ns
        if oldest and oldest[0] <= since:  # as many old ones go as new ones come, and some more
            connection.execute(
                f"DELETE FROM {self.table} WHERE n IN"
                f" (SELECT n FROM {self.table} ORDER BY n LIMIT ?) AND at_ns <= ?",
                (2 * len(rows), since),
            )
        return len(rows)

    def begin_moving(self) -> None:
        if not self.moving and len(self.gathered) >= GATHERED:
            self.moving, self.gathered = self.gathered, {}
            self.order = sorted(self.moving)
            self.moved = 0
            self.stored = True

    @property
    def lowest(self) -> int | None:
        """The lowest sequence number that is not in the table for certain."""
        held = self.moving or self.gathered
        return min((known[1] for known in held.values()), default=None)


@dataclass(slots=True)
class Dedup:
    """Both tables, and what the transaction under way adds to them."""

    uuids: Seen
    bodies: Seen
    new: list[tuple[Seen, bytes, Known]] = field(default_factory=list)
    moving: list[tuple[Seen, int]] = field(default_factory=list)

    @classmethod
    def load(cls, connection: sqlite3.Connection, window_ns: int) -> Dedup:
        """Read again what was in memory when the last process ended."""
        dedup = cls(Seen("seen_uuid", window_ns), Seen("seen_body", BODY_WINDOW_NS))
        (mark,) = connection.execute("SELECT seq FROM seen_mark").fetchone()
        rows = connection.execute(
            "SELECT body.seq, key, body, received_ns FROM body JOIN alert ON alert.seq = body.seq"
            " WHERE body.seq > ? AND key IS NOT NULL",
            (mark,),
        )
        for seq, key, body, received_ns in rows:
            mine = digest(body)
            seen = dedup.bodies if key == mine else dedup.uuids
            seen.gathered[key] = (mine, seq, received_ns)
        for seen in (dedup.uuids, dedup.bodies):
            row = connection.execute(f"SELECT 1 FROM {seen.table} LIMIT 1").fetchone()
            seen.stored = row is not None
        return dedup

    def add(self, seen: Seen, key: bytes, known: Known) -> None:
        self.new.append((seen, key, known))

    def move(self, connection: sqlite3.Connection, count: int, now_ns: int) -> None:
        """Move slices within the transaction."""
        for seen in self._both():
            moved = seen.move(connection, count, now_ns)
            if moved:
                self.moving.append((seen, moved))
                if seen.moved + moved >= len(seen.moving):
                    self._mark(connection, seen)

    def _mark(self, connection: sqlite3.Connection, done: Seen) -> None:
        """Below this number nothing has to be read again at start."""
        lowest = [
            low
            for seen in self._both()
            if (low := min((k[1] for k in seen.gathered.values()), default=None)) is not None
        ]
        lowest += [low for seen in self._both() if seen is not done and (low := seen.lowest) is not None]
        lowest += [known[1] for _, _, known in self.new]
        highest = max((known[1] for known in done.moving.values()), default=0)
        mark = min(lowest) - 1 if lowest else highest
        connection.execute("UPDATE seen_mark SET seq = max(seq, ?)", (mark,))

    def committed(self) -> None:
        for seen, moved in self.moving:
            seen.moved += moved
            if seen.moved >= len(seen.moving):
                seen.moving = {}
        for seen, key, known in self.new:
            seen.gathered[key] = known
        self.rolled_back()
        for seen in self._both():
            seen.begin_moving()

    def rolled_back(self) -> None:
        self.new.clear()
        self.moving.clear()

    def _both(self) -> Iterator[Seen]:
        yield self.uuids
        yield self.bodies
