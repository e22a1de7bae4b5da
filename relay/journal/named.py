"""Outputs that begin, are renamed, or go: what the journal notes of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from relay.alert import PRIORITIES
from relay.journal.base import REMOVED, Generation, Orphan
from relay.journal.queries import seq_at

AT_ONCE = 500
"""Rows that are renamed in one transaction: 3 ms, in which no alert is answered."""
_UNSETTLED = (
    " FROM alert WHERE priority = :priority AND seq > :cursor AND seq <= :last AND NOT EXISTS"
    " (SELECT 1 FROM fate WHERE output = :output AND fate.seq = alert.seq AND state != 'retrying')"
    " AND (EXISTS (SELECT 1 FROM fate WHERE output = :output AND fate.seq = alert.seq)"
    " OR alert.seq > coalesce((SELECT to_seq FROM delivered WHERE output = :output"
    " AND delivered.priority = :priority AND from_seq <= alert.seq ORDER BY from_seq DESC LIMIT 1), 0))"
)


def new_generation(
    connection: sqlite3.Connection,
    output: str,
    routing: Mapping[str, str],
    at_ns: int,
    since_ns: int | None,
) -> Generation:
    """In the writer's thread. `since_ns` counts for an output that was never there."""
    (first,) = connection.execute(
        "SELECT max((SELECT coalesce(max(seq), 0) FROM alert), (SELECT seq FROM high_water))"
    ).fetchone()
    known = connection.execute("SELECT 1 FROM generation WHERE output = ? LIMIT 1", (output,)).fetchone()
    if known is None and since_ns is not None:
        first = min(first, seq_at(connection, since_ns) - 1)
    cursor = connection.execute(
        "INSERT INTO generation (output, from_seq, at_ns, routing) VALUES (?, ?, ?, ?)",
        (output, first, at_ns, json.dumps(dict(routing), sort_keys=True)),
    )
    number = cursor.lastrowid or 0
    connection.executemany(
        "INSERT OR IGNORE INTO lane VALUES (?, ?, ?)",
        [(output, priority, first) for priority in range(len(PRIORITIES))],
    )
    return Generation(number, output, first, dict(routing))


def rename(connection: sqlite3.Connection, old: str, new: str) -> bool:
    """Some of it, in the writer's thread; to be called until it says that all is done.

    The names themselves are last: after a crash it is done again, and finds the rest.
    """
    for table, key in (
        ("fate", "seq"),
        ("delivered", "(priority, from_seq)"),
        ("passed", "(priority, from_seq)"),
    ):
        columns = key.strip("()")
        found = connection.execute(
            f"UPDATE {table} SET output = ?1 WHERE output = ?2 AND {key} IN"
            f" (SELECT {columns} FROM {table} WHERE output = ?2 LIMIT ?3)",
            (new, old, AT_ONCE),
        )
        if found.rowcount:
            return False
    for table in ("generation", "lane"):
        connection.execute(f"UPDATE {table} SET output = ? WHERE output = ?", (new, old))
    return True


def removed(generations: Sequence[Generation]) -> dict[str, int]:
    """Outputs whose last generation says so, and the last alert that could be owed to them."""
    last = {one.output: one for one in generations}
    return {name: one.from_seq for name, one in last.items() if one.routing == REMOVED}


def orphans(connection: sqlite3.Connection, gone: Mapping[str, int]) -> list[Orphan]:
    found = []
    for output, last in gone.items():
        waiting, oldest = 0, None
        cursors = connection.execute("SELECT priority, cursor FROM lane WHERE output = ?", (output,))
        for priority, cursor in cursors.fetchall():
            count, first = _owed(connection, output, priority, cursor, last)
            waiting += count
            oldest = first if oldest is None or (first is not None and first < oldest) else oldest
        if oldest is not None:
            found.append(Orphan(output, waiting, oldest))
    return found


def _owed(
    connection: sqlite3.Connection, output: str, priority: int, cursor: int, last: int
) -> tuple[int, int | None]:
    """How many, and when the oldest was received. Only a worker's window has to be looked at closely."""
    (window,) = connection.execute(
        "SELECT max(coalesce((SELECT max(seq) FROM fate"
        " WHERE output = ?1 AND priority = ?2 AND seq > ?3), 0),"
        " coalesce((SELECT max(to_seq) FROM delivered WHERE output = ?1 AND priority = ?2), 0), ?3)",
        (output, priority, cursor),
    ).fetchone()
    window = min(window, last)
    lane = {"output": output, "priority": priority, "cursor": cursor, "last": window}
    (near,) = connection.execute(f"SELECT count(*){_UNSETTLED}", lane).fetchone()
    (beyond,) = connection.execute(
        "SELECT count(*) FROM alert WHERE priority = ? AND seq > ? AND seq <= ?", (priority, window, last)
    ).fetchone()
    late, oldest = connection.execute(
        "SELECT count(*), min(received_ns) FROM fate JOIN alert ON alert.seq = fate.seq"
        " WHERE output = :output AND fate.priority = :priority AND fate.seq <= :cursor"
        " AND state = 'retrying'",
        lane,
    ).fetchone()
    if oldest is None:
        row = connection.execute(
            f"SELECT received_ns{_UNSETTLED} ORDER BY seq LIMIT 1", lane | {"last": last}
        ).fetchone()
        oldest = row[0] if row else None
    return near + beyond + late, oldest
