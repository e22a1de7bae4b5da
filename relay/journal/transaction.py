"""What one commit of the writer does: append alerts, record fates, run small jobs.

Everything here runs in the writer's thread, inside one transaction, on the writer's connection.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from relay.journal.base import Appended, NewAlert
from relay.journal.ids import uuid7

BODY_WINDOW_NS = 3600 * 10**9
"""libcurl sends again when a kept connection dies before the reply; an hour covers any such repeat."""

_CHUNKS = (64, 16, 4, 1)
T = TypeVar("T")


def chunked(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """In pieces of few different lengths, so that the statements stay in sqlite3's cache."""
    at = 0
    for size in _CHUNKS:
        while len(rows) - at >= size:
            yield rows[at : at + size]
            at += size


def insert(connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """INSERT many rows with few statements: each one run gives the interpreter's lock away once."""
    for part in chunked(rows):
        marks = "(" + ",".join("?" * len(part[0])) + ")"
        values = [value for row in part for value in row]
        connection.execute(f"{statement} VALUES {','.join([marks] * len(part))}", values)


@dataclass(slots=True)
class Seen:
    """Finds alerts that were acknowledged before; for one transaction."""

    connection: sqlite3.Connection
    table: str
    since_ns: int
    found: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    new: dict[bytes, tuple[bytes, int, int]] = field(default_factory=dict)

    def look_up(self, keys: Sequence[bytes]) -> None:
        for part in chunked(keys):
            marks = ",".join("?" * len(part))
            query = f"SELECT key, digest, seq FROM {self.table} WHERE at_ns > ? AND key IN ({marks})"
            for key, digest, seq in self.connection.execute(query, (self.since_ns, *part)):
                self.found[key] = (digest, seq)

    def get(self, key: bytes) -> tuple[bytes, int] | None:
        if new := self.new.get(key):
            return new[:2]
        return self.found.get(key)

    def save(self) -> None:
        rows = [(key, digest, seq, at) for key, (digest, seq, at) in self.new.items()]
        if not rows:
            return
        statement = f"INSERT OR REPLACE INTO {self.table} (key, digest, seq, at_ns)"
        insert(self.connection, statement, rows)
        oldest = self.connection.execute(f"SELECT at_ns FROM {self.table} ORDER BY n LIMIT 1").fetchone()
        if oldest[0] <= self.since_ns:  # as many old ones go as new ones came, and some more
            self.connection.execute(
                f"DELETE FROM {self.table} WHERE n IN "
                f"(SELECT n FROM {self.table} ORDER BY n LIMIT ?) AND at_ns <= ?",
                (2 * len(rows) + 8, self.since_ns),
            )


def append(
    connection: sqlite3.Connection, alerts: Sequence[NewAlert], first_seq: int, now_ns: int, window_ns: int
) -> list[Appended]:
    """Insert the alerts from `first_seq` on, but those that were acknowledged before."""
    digests = [hashlib.blake2b(alert.body, digest_size=16).digest() for alert in alerts]
    uuids = Seen(connection, "seen_uuid", now_ns - window_ns)
    bodies = Seen(connection, "seen_body", now_ns - BODY_WINDOW_NS)
    keys = [_uuid_key(alert.uuid) if alert.uuid else None for alert in alerts]
    uuids.look_up([key for key in keys if key])
    bodies.look_up(
        [d for d, key, alert in zip(digests, keys, alerts, strict=True) if not key and alert.has_time]
    )

    answers: list[Appended] = []
    rows: list[tuple[Any, ...]] = []
    raw: list[tuple[Any, ...]] = []
    ids: dict[int, str] = {}
    seq = first_seq
    for alert, digest, key in zip(alerts, digests, keys, strict=True):
        name = alert.uuid
        seen, mark = (uuids, key) if key else (bodies, digest if alert.has_time else None)
        earlier = seen.get(mark) if mark else None
        if earlier and earlier[0] != digest and mark:  # the same uuid with another body is another alert
            mark = hashlib.blake2b(mark + digest, digest_size=16).digest()
            seen.look_up([mark])
            earlier, name = seen.get(mark), None
        if earlier:
            known = ids.get(earlier[1]) or _id_of(connection, earlier[1])
            if known:
                answers.append(Appended(known, earlier[1], duplicate=True))
                continue
        if mark:
            seen.new[mark] = (digest, seq, now_ns)
        name = ids[seq] = name or uuid7(alert.received_ns)
        rows.append(
            (
                seq,
                name,
                alert.time_ns,
                alert.received_ns,
                alert.priority,
                alert.rule,
                alert.source,
                alert.hostname,
                alert.content,
                "\n".join(alert.normalised),
                alert.received_from,
            )
        )
        raw.append((seq, alert.body))
        answers.append(Appended(name, seq))
        seq += 1
    insert(
        connection,
        "INSERT INTO alert (seq, id, time_ns, received_ns, priority, rule, source, hostname, content,"
        " normalised, received_from)",
        rows,
    )
    insert(connection, "INSERT INTO body (seq, body)", raw)
    uuids.save()
    bodies.save()
    return answers


def _uuid_key(uuid: str) -> bytes:
    return hashlib.blake2b(uuid.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _id_of(connection: sqlite3.Connection, seq: int) -> str | None:
    row = connection.execute("SELECT id FROM alert WHERE seq = ?", (seq,)).fetchone()
    return row[0] if row else None
