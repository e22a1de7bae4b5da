"""Appending alerts: runs in the writer's thread, inside its transaction, on its connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from relay.journal.base import Appended, NewAlert
from relay.journal.dedup import Dedup, Known, digest, insert
from relay.journal.ids import uuid7


def append(
    connection: sqlite3.Connection,
    alerts: Sequence[NewAlert],
    first_seq: int,
    now_ns: int,
    dedup: Dedup,
) -> list[Appended]:
    """Insert the alerts from `first_seq` on, but those that were acknowledged before."""
    digests = [digest(alert.body) for alert in alerts]
    keys = [
        digest(alert.uuid.encode()) if alert.uuid else (mine if alert.has_time else None)
        for alert, mine in zip(alerts, digests, strict=True)
    ]
    found = {
        True: dedup.uuids.find(
            connection, [k for k, a in zip(keys, alerts, strict=True) if k and a.uuid], now_ns
        ),
        False: dedup.bodies.find(
            connection, [k for k, a in zip(keys, alerts, strict=True) if k and not a.uuid], now_ns
        ),
    }
    answers: list[Appended] = []
    rows: list[tuple[Any, ...]] = []
    bodies: list[tuple[Any, ...]] = []
    ids: dict[int, str] = {}
    seq = first_seq
    for alert, mine, key in zip(alerts, digests, keys, strict=True):
        name = alert.uuid
        known = found[bool(name)]
        earlier = known.get(key) if key else None
        if key and earlier and earlier[0] != mine:
            # The same uuid with another body is another alert, and has a key of its own.
            key = digest(key + mine)
            name = None
            earlier = known.get(key) or dedup.uuids.find(connection, [key], now_ns).get(key)
        if earlier:
            again = ids.get(earlier[1]) or _id_of(connection, earlier[1])
            if again:
                answers.append(Appended(again, earlier[1], duplicate=True))
                continue
        if key:
            new: Known = (mine, seq, now_ns)
            known[key] = new
            dedup.add(dedup.uuids if alert.uuid else dedup.bodies, key, new)
        name = ids[seq] = name or uuid7(alert.received_ns)
        rows.append(_row(seq, name, alert))
        bodies.append((seq, alert.body, key))
        answers.append(Appended(name, seq))
        seq += 1
    insert(
        connection,
        "INSERT INTO alert (seq, id, time_ns, received_ns, priority, rule, source, hostname, content,"
        " normalised, received_from)",
        rows,
    )
    insert(connection, "INSERT INTO body (seq, body, key)", bodies)
    dedup.move(connection, 2 * len(rows), now_ns)
    return answers


def _row(seq: int, name: str, alert: NewAlert) -> tuple[Any, ...]:
    return (
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


def _id_of(connection: sqlite3.Connection, seq: int) -> str | None:
    row = connection.execute("SELECT id FROM alert WHERE seq = ?", (seq,)).fetchone()
    return row[0] if row else None
