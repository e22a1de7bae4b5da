"""Reading: every function here runs in a reader's thread, on that thread's own connection."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

from relay.alert import PRIORITIES, Alert
from relay.journal.base import Filter, Generation, Lane, Page, Pending, State
from relay.journal.ids import uuid7_ms

Judge = Callable[[Mapping[str, str], Alert], str | None]
"""Why this routing leaves the alert out; None if it takes it."""

ALERT_COLUMNS = (
    "alert.seq, id, time_ns, received_ns, alert.priority, rule, source, hostname, content, normalised,"
    " received_from, body"
)
FROM_ALERT = f"SELECT {ALERT_COLUMNS} FROM alert JOIN body ON body.seq = alert.seq"
EXPIRED = "Retention removed this alert while it was owed; this is all that is left of it."
_LEFT = (
    "SELECT seq, id, time_ns, received_ns, priority, rule, source, hostname, 'text', '', received_from,"
    f" CAST('{EXPIRED}' AS BLOB) FROM expired"
)
_CLOCK_SLACK_NS = 10 * 60 * 10**9
LANE_BYTES = 2**20
"""Bodies that are read of a lane at once, and one more: the largest have 5 MiB."""
PAGE_BYTES = 16 * 2**20
"""The same for a page of a list, which then has fewer rows."""


def to_alert(row: Sequence[Any]) -> Alert:
    return Alert(
        seq=row[0],
        id=row[1],
        time_ns=row[2],
        received_ns=row[3],
        priority=row[4],
        rule=row[5],
        source=row[6],
        hostname=row[7],
        content=row[8],
        normalised=tuple(row[9].split("\n")) if row[9] else (),
        received_from=row[10],
        raw=row[11],
    )


def lane_after(connection: sqlite3.Connection, priority: int, after: int, limit: int) -> list[Alert]:
    query = f"{FROM_ALERT} WHERE priority = ? AND alert.seq > ? ORDER BY alert.seq LIMIT ?"
    return _up_to(LANE_BYTES, connection.execute(query, (priority, after, limit)))


def by_seq(connection: sqlite3.Connection, seqs: Sequence[int], size: int | None = None) -> list[Alert]:
    query = f"{FROM_ALERT} WHERE alert.seq IN (SELECT value FROM json_each(?)) ORDER BY alert.seq"
    return _up_to(size, connection.execute(query, (json.dumps(list(seqs)),)))


def _up_to(size: int | None, rows: sqlite3.Cursor) -> list[Alert]:
    """The first that together have so many bytes, the one that reaches it too; all without a size."""
    found = []
    with closing(rows):  # what is not read must not keep the transaction open
        for row in rows:
            found.append(to_alert(row))
            if size is not None:
                size -= len(found[-1].raw)
                if size <= 0:
                    break
    return found


def lane_numbers(
    connection: sqlite3.Connection, lane: Lane, newest: int
) -> tuple[int, int, list[int], set[int], set[int], int]:
    """Cursor, how many alerts lie beyond it up to `newest`; the numbers up to the last that has a fate, which
    of these are settled, and which open (the worker's window bounds them); how many are open below it."""
    row = connection.execute(
        "SELECT cursor FROM lane WHERE output = ? AND priority = ?", _key(lane)
    ).fetchone()
    cursor = row[0] if row else 0
    (beyond,) = connection.execute(
        "SELECT count(*) FROM alert WHERE priority = ? AND seq > ? AND seq <= ?",
        (lane.priority, cursor, newest),
    ).fetchone()
    ranges = connection.execute(
        "SELECT from_seq, to_seq FROM delivered WHERE output = ? AND priority = ? AND to_seq > ?"
        " ORDER BY from_seq",
        (*_key(lane), cursor),
    ).fetchall()
    rows = connection.execute(
        "SELECT seq, state FROM fate WHERE output = ? AND seq > ? AND priority = ?",
        (lane.output, cursor, lane.priority),
    ).fetchall()
    read_to = max([to for _, to in ranges] + [seq for seq, _ in rows], default=cursor)
    order = [
        seq
        for (seq,) in connection.execute(
            "SELECT seq FROM alert WHERE priority = ? AND seq > ? AND seq <= ? ORDER BY seq",
            (lane.priority, cursor, read_to),
        )
    ]
    opened = {seq for seq, state in rows if state == State.RETRYING}
    closed = {seq for seq, state in rows if state != State.RETRYING}
    for start, end in ranges:
        closed.update(seq for seq in order if start <= seq <= end and seq not in opened)
    (late,) = connection.execute(
        "SELECT count(*) FROM fate WHERE output = ? AND priority = ? AND seq <= ? AND state = 'retrying'",
        (*_key(lane), cursor),
    ).fetchone()
    return cursor, beyond, order, closed & set(order), opened, late


def pending(connection: sqlite3.Connection, lane: Lane, after: int, limit: int | None) -> list[Pending]:
    rows = connection.execute(
        "SELECT seq, attempts, first_try_ns, next_try_ns, coalesce(why, '') FROM fate"
        " WHERE output = ? AND priority = ? AND state = 'retrying' AND seq > ? ORDER BY seq LIMIT ?",
        (*_key(lane), after, -1 if limit is None else limit),
    )
    return [Pending(*row) for row in rows]


def oldest_unsettled(
    connection: sqlite3.Connection, output: str, lanes: Iterable[tuple[int, int, bool]]
) -> int | None:
    """received_ns of the oldest of the first unsettled of each (priority, cursor, is any beyond it)."""
    found = []
    for priority, cursor, beyond in lanes:
        found += connection.execute(
            "SELECT received_ns FROM alert WHERE seq = (SELECT min(seq) FROM fate WHERE output = ?"
            " AND priority = ? AND state = 'retrying' AND seq <= ?)",
            (output, priority, cursor),
        ).fetchall()
        if beyond:
            found += connection.execute(
                "SELECT received_ns FROM alert WHERE priority = ? AND seq > ? ORDER BY seq LIMIT 1",
                (priority, cursor),
            ).fetchall()
    return min((moment for (moment,) in found), default=None)


def listed(connection: sqlite3.Connection, where: Filter, before: int | None, limit: int) -> Page:
    """Newest first; fewer than `limit` where their bodies are large."""
    clauses, values = filter_clauses(connection, where)
    if before is not None:
        clauses.append("alert.seq < ?")
        values.append(before)
    query = f"{FROM_ALERT} WHERE {' AND '.join(clauses)} ORDER BY alert.seq DESC LIMIT ?"
    with closing(connection.execute(query, (*values, limit))) as rows:
        alerts = _up_to(PAGE_BYTES, rows)
    clauses.append("alert.seq < ?")
    more = f"SELECT 1 FROM alert WHERE {' AND '.join(clauses)} LIMIT 1"
    if alerts and connection.execute(more, (*values, alerts[-1].seq)).fetchone():
        return Page(alerts, alerts[-1].seq)
    return Page(alerts, None)


def filter_clauses(connection: sqlite3.Connection, where: Filter) -> tuple[list[str], list[Any]]:
    """SQL. A time becomes a sequence number by halving: received_ns grows with it."""
    clauses, values = ["1"], list[Any]()
    if where.priorities is not None:
        clauses.append(f"priority IN ({','.join('?' * len(where.priorities))})")
        values += sorted(where.priorities)
    for column in ("rule", "source", "hostname"):
        wanted = getattr(where, column)
        if wanted is not None:
            clauses.append(f"{column} = ?")
            values.append(wanted)
    if where.since_ns is not None:
        clauses.append("alert.seq >= ?")
        values.append(seq_at(connection, where.since_ns))
    if where.until_ns is not None:
        clauses.append("alert.seq < ?")
        values.append(seq_at(connection, where.until_ns))
    return clauses, values


def counts(connection: sqlite3.Connection, since_ns: int, most: int) -> list[int]:
    """By priority, each up to `most`: bounded, whatever came in that time."""
    first = seq_at(connection, since_ns)
    query = "SELECT count(*) FROM (SELECT 1 FROM alert WHERE priority = ? AND seq >= ? LIMIT ?)"
    return [
        connection.execute(query, (priority, first, most)).fetchone()[0]
        for priority in range(len(PRIORITIES))
    ]


def seq_at(connection: sqlite3.Connection, received_ns: int) -> int:
    """The first sequence number received at or after this moment.

    min and max are asked for apart: together SQLite would scan the table for them.
    """
    low, high = connection.execute(
        "SELECT coalesce((SELECT min(seq) FROM alert), 1), coalesce((SELECT max(seq) FROM alert), 0) + 1"
    ).fetchone()
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            "SELECT seq, received_ns FROM alert WHERE seq >= ? ORDER BY seq LIMIT 1", (middle,)
        ).fetchone()
        if row is None or row[0] >= high or row[1] >= received_ns:
            high = middle
        else:
            low = row[0] + 1
    return int(low)


def by_id(connection: sqlite3.Connection, alert_id: str) -> Alert | None:
    """There is no index on ids (random keys are dear): the time in a UUIDv7 leads near it, else a scan."""
    milliseconds = uuid7_ms(alert_id)
    if milliseconds is not None:
        near = milliseconds * 10**6
        low = seq_at(connection, near - _CLOCK_SLACK_NS)
        high = seq_at(connection, near + _CLOCK_SLACK_NS)
        query = f"{FROM_ALERT} WHERE id = ? AND alert.seq >= ? AND alert.seq <= ?"
        row = connection.execute(query, (alert_id, low, high)).fetchone()
        if row:
            return to_alert(row)
    # The newest first: a person looks at what just happened.
    found = connection.execute(
        "SELECT seq FROM alert WHERE id = ? ORDER BY seq DESC LIMIT 1", (alert_id,)
    ).fetchone()
    if found:
        return next(iter(by_seq(connection, [found[0]])), None)
    left = connection.execute(f"{_LEFT} WHERE id = ? ORDER BY seq DESC LIMIT 1", (alert_id,)).fetchone()
    return to_alert(left) if left else None


def generations(connection: sqlite3.Connection) -> list[Generation]:
    rows = connection.execute("SELECT number, output, from_seq, routing FROM generation ORDER BY number")
    return [Generation(number, output, seq, json.loads(text)) for number, output, seq, text in rows]


def expired(connection: sqlite3.Connection, before: int | None, limit: int) -> Page:
    """What is left of alerts that were owed, newest first."""
    query = f"{_LEFT} WHERE seq < ? ORDER BY seq DESC LIMIT ?"
    rows = connection.execute(query, (2**62 if before is None else before, limit + 1))
    alerts = [to_alert(row) for row in rows]
    return Page(alerts[:limit], alerts[limit - 1].seq if len(alerts) > limit else None)


def refused(connection: sqlite3.Connection, limit: int) -> list[dict[str, object]]:
    rows = connection.execute(
        "SELECT n, at_ns, received_from, reason, body FROM refused ORDER BY n DESC LIMIT ?", (limit,)
    )
    return [
        {"n": n, "at_ns": at, "received_from": peer, "reason": reason, "body": body}
        for n, at, peer, reason, body in rows
    ]


def _key(lane: Lane) -> tuple[str, int]:
    return lane.output, lane.priority
