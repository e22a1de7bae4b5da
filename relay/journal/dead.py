"""Dead letters: finding them, opening them again, dropping them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from relay.journal.base import State
from relay.journal.ledger import DeadFilter, DeadLetter, DeadPage
from relay.journal.queries import ALERT_COLUMNS, seq_at, to_alert

_FATE = "fate.output, at_ns, first_try_ns, attempts, coalesce(why, ''), reply, request"
_FROM = "FROM fate JOIN alert ON alert.seq = fate.seq JOIN body ON body.seq = fate.seq"


def page(connection: sqlite3.Connection, where: DeadFilter, before: str | None, limit: int) -> DeadPage:
    """Newest first over all outputs: the first of each output's own list, merged."""
    seq, name = _position(before)
    found: list[DeadLetter] = []
    for output in [where.output] if where.output is not None else outputs(connection):
        clauses, values = _clauses(connection, where)
        if seq is not None:
            clauses.append("fate.seq <= ?" if output > name else "fate.seq < ?")
            values.append(seq)
        rows = connection.execute(
            f"SELECT {ALERT_COLUMNS}, {_FATE} {_FROM} WHERE fate.output = ? AND state = 'dead'"
            f" AND {' AND '.join(clauses)} ORDER BY fate.seq DESC LIMIT ?",
            (output, *values, limit + 1),
        )
        found += [DeadLetter(to_alert(row), *row[12:]) for row in rows]
    found.sort(key=lambda letter: (-letter.alert.seq, letter.output))
    more = len(found) > limit
    last = found[limit - 1] if more else None
    return DeadPage(found[:limit], f"{last.alert.seq}.{last.output}" if last else None)


def one(connection: sqlite3.Connection, output: str, seq: int) -> DeadLetter | None:
    row = connection.execute(
        f"SELECT {ALERT_COLUMNS}, {_FATE} {_FROM} WHERE fate.output = ? AND fate.seq = ? AND state = 'dead'",
        (output, seq),
    ).fetchone()
    return DeadLetter(to_alert(row), *row[12:]) if row else None


def numbers(
    connection: sqlite3.Connection, output: str, where: DeadFilter, after: int, limit: int
) -> list[int]:
    """The next dead letters of an output, oldest first."""
    clauses, values = _clauses(connection, where)
    rows = connection.execute(
        f"SELECT fate.seq {_FROM} WHERE fate.output = ? AND state = 'dead' AND fate.seq > ?"
        f" AND {' AND '.join(clauses)} ORDER BY fate.seq LIMIT ?",
        (output, after, *values, limit),
    )
    return [seq for (seq,) in rows]


def count(connection: sqlite3.Connection, output: str, most: int) -> int:
    """How many dead letters the output has, counted up to `most`."""
    query = "SELECT count(*) FROM (SELECT 1 FROM fate WHERE output = ? AND state = 'dead' LIMIT ?)"
    return int(connection.execute(query, (output, most)).fetchone()[0])


def reopen(
    connection: sqlite3.Connection, output: str, seqs: Sequence[int], now_ns: int
) -> list[tuple[int, int]]:
    """In the writer's thread. Returns (priority, seq) of those that were dead and are there."""
    rows = connection.execute(
        "UPDATE fate SET state = 'retrying', next_try_ns = ?1, first_try_ns = ?1 WHERE output = ?2"
        " AND state = 'dead' AND seq IN (SELECT value FROM json_each(?3))"
        " AND EXISTS (SELECT 1 FROM body WHERE body.seq = fate.seq) RETURNING priority, seq",
        (now_ns, output, json.dumps(list(seqs))),
    )
    return rows.fetchall()


def drop(connection: sqlite3.Connection, output: str, seqs: Sequence[int], now_ns: int, who: str) -> int:
    """In the writer's thread; the reason and the reply stay."""
    rows = connection.execute(
        "UPDATE fate SET state = ?1, at_ns = ?2, why = 'dropped by ' || ?3 || '; ' || coalesce(why, '')"
        " WHERE output = ?4 AND state = 'dead' AND seq IN (SELECT value FROM json_each(?5))",
        (State.DISCARDED.value, now_ns, who, output, json.dumps(list(seqs))),
    )
    return rows.rowcount


def refs(connection: sqlite3.Connection, output: str, seqs: Sequence[int]) -> Mapping[int, str]:
    rows = connection.execute(
        "SELECT seq, ref FROM fate WHERE output = ? AND ref IS NOT NULL"
        " AND seq IN (SELECT value FROM json_each(?))",
        (output, json.dumps(list(seqs))),
    )
    return dict(rows.fetchall())


def outputs(connection: sqlite3.Connection) -> list[str]:
    """Every output that has lanes, also those that were removed."""
    return [name for (name,) in connection.execute("SELECT DISTINCT output FROM lane ORDER BY output")]


def _position(before: str | None) -> tuple[int | None, str]:
    if before is None:
        return None, ""
    number, _, name = before.partition(".")
    return int(number), name


def _clauses(connection: sqlite3.Connection, where: DeadFilter) -> tuple[list[str], list[Any]]:
    clauses, values = ["1"], list[Any]()
    if where.rule is not None:
        clauses.append("rule = ?")
        values.append(where.rule)
    if where.priorities is not None:
        clauses.append("alert.priority IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(sorted(where.priorities)))
    if where.why is not None:
        clauses.append("instr(why, ?) > 0")
        values.append(where.why)
    if where.since_ns is not None:
        clauses.append("fate.seq >= ?")
        values.append(seq_at(connection, where.since_ns))
    if where.until_ns is not None:
        clauses.append("fate.seq < ?")
        values.append(seq_at(connection, where.until_ns))
    return clauses, values
