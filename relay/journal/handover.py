"""What is owed changes hands: replay to an output, adoption and discard of what a removed output was owed.

Everything goes in slices: a reader finds the next ones, the writer changes them in one short transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from relay.alert import Alert
from relay.journal.base import Filter, Generation, Lane, State
from relay.journal.queries import FROM_ALERT, Judge, by_seq, filter_clauses, to_alert

SLICE = 200
"""Rows that one transaction changes: 3 ms, in which no alert is answered."""

_REOPEN = (
    "INSERT INTO fate"
    " (output, seq, priority, state, at_ns, first_try_ns, attempts, confirmed, next_try_ns, why)"
    " VALUES (?1, ?2, ?3, 'retrying', ?4, ?4, 0, 0, ?4, ?5) ON CONFLICT DO UPDATE SET state = 'retrying',"
    " at_ns = ?4, first_try_ns = ?4, next_try_ns = ?4, why = ?5"
)
_HAS_FINAL = (
    "SELECT EXISTS (SELECT 1 FROM fate WHERE output = ?1 AND seq = ?3 AND state != 'retrying')"
    " OR EXISTS (SELECT 1 FROM delivered WHERE output = ?1 AND priority = ?2 AND from_seq <= ?3"
    " AND to_seq >= ?3)"
)


@dataclass(slots=True)
class Slice:
    """The next alerts of a long operation."""

    alerts: list[Alert]
    last: int  # everything up to here was looked at
    looked_at: int


def next_alerts(
    connection: sqlite3.Connection,
    where: Filter,
    after: int,
    end: int,
    accept: Callable[[Alert], bool] | None,
) -> Slice:
    clauses, values = filter_clauses(connection, where)
    rows = connection.execute(
        f"{FROM_ALERT} WHERE {' AND '.join(clauses)} AND alert.seq > ? AND alert.seq <= ?"
        " ORDER BY alert.seq LIMIT ?",
        (*values, after, end, SLICE),
    )
    alerts = [to_alert(row) for row in rows]
    last = alerts[-1].seq if len(alerts) == SLICE else end
    return Slice([one for one in alerts if accept is None or accept(one)], last, len(alerts))


def reopen(
    connection: sqlite3.Connection, output: str, alerts: Sequence[tuple[int, int]], now_ns: int, why: str
) -> list[tuple[int, int]]:
    """In the writer's thread: those of the (priority, seq) that the output is done with are open again."""
    cursors = dict(connection.execute("SELECT priority, cursor FROM lane WHERE output = ?", (output,)))
    opened = []
    for priority, seq in alerts:
        if _is_open(connection, output, seq) or not _is_there(connection, seq):
            continue
        if seq > cursors.get(priority, -1) and not _final(connection, output, priority, seq):
            continue  # it is owed already
        connection.execute(_REOPEN, (output, seq, priority, now_ns, why))
        opened.append((priority, seq))
    return opened


@dataclass(slots=True)
class Debt:
    """A slice of what a lane of a removed output is owed."""

    lane: Lane
    rows: list[int]  # open rows
    unread: list[int]  # those without, right after the cursor
    cursor: int  # where the lane is when these are settled
    routed: list[int]  # of both, those that were meant for the output


def next_debt(
    connection: sqlite3.Connection, lane: Lane, last: int, history: Sequence[Generation], judge: Judge
) -> Debt | None:
    """Open rows first, then what was never tried; None if nothing is owed. `last`: of the removed output."""
    key = {"output": lane.output, "priority": lane.priority, "last": last, "most": SLICE}
    (cursor,) = connection.execute(
        "SELECT coalesce((SELECT cursor FROM lane WHERE output = :output AND priority = :priority), :last)",
        key,
    ).fetchone()
    rows = connection.execute(
        "SELECT seq FROM fate WHERE output = :output AND priority = :priority AND state = 'retrying'"
        " ORDER BY seq LIMIT :most",
        key,
    ).fetchall()
    if rows:
        numbers = [seq for (seq,) in rows]
        return Debt(lane, numbers, [], cursor, numbers)
    if cursor >= last:
        return None
    unread = connection.execute(
        "SELECT seq FROM alert WHERE priority = :priority AND seq > :cursor AND seq <= :last"
        " ORDER BY seq LIMIT :most",
        key | {"cursor": cursor},
    ).fetchall()
    found = [seq for (seq,) in unread if not _final(connection, lane.output, lane.priority, seq)]
    routed = [alert.seq for alert in by_seq(connection, found) if _routed(alert, history, judge)]
    return Debt(lane, [], found, unread[-1][0] if len(unread) == SLICE else last, routed)


def settle_debt(connection: sqlite3.Connection, debt: Debt, now_ns: int, why: str) -> None:
    """In the writer's thread: the removed output is not owed these any more."""
    output, priority = debt.lane.output, debt.lane.priority
    connection.executemany(
        "UPDATE fate SET state = ?, at_ns = ?, why = ?, next_try_ns = NULL WHERE output = ? AND seq = ?",
        [(State.DISCARDED.value, now_ns, why, output, seq) for seq in debt.rows],
    )
    if debt.unread:
        _pass(connection, debt, now_ns, why)
    connection.execute(
        "UPDATE lane SET cursor = max(cursor, ?) WHERE output = ? AND priority = ?",
        (debt.cursor, output, priority),
    )


def _pass(connection: sqlite3.Connection, debt: Debt, now_ns: int, why: str) -> None:
    """One range for all slices of one operation."""
    key: tuple[Any, ...] = (debt.lane.output, debt.lane.priority)
    before = connection.execute(
        "SELECT from_seq, to_seq, why FROM passed WHERE output = ? AND priority = ?"
        " ORDER BY from_seq DESC LIMIT 1",
        key,
    ).fetchone()
    (cursor,) = connection.execute(
        "SELECT cursor FROM lane WHERE output = ? AND priority = ?", key
    ).fetchone()
    if before and before[1] == cursor and before[2] == why:
        connection.execute(
            "UPDATE passed SET to_seq = ?, at_ns = ? WHERE output = ? AND priority = ? AND from_seq = ?",
            (debt.cursor, now_ns, *key, before[0]),
        )
    else:
        connection.execute(
            "INSERT INTO passed VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*key, cursor + 1, debt.cursor, now_ns, State.DISCARDED.value, why),
        )


def without_own(
    connection: sqlite3.Connection, debt: Debt, into: str, history: Sequence[Generation], judge: Judge
) -> list[int]:
    """What of the debt `into` neither has nor will have by its own routing."""
    lane = Lane(into, debt.lane.priority)
    (cursor,) = connection.execute(
        "SELECT coalesce((SELECT cursor FROM lane WHERE output = ? AND priority = ?), 0)",
        (lane.output, lane.priority),
    ).fetchone()
    return [
        alert.seq
        for alert in by_seq(connection, debt.routed)
        if not _is_open(connection, into, alert.seq)
        and not _final(connection, into, lane.priority, alert.seq)
        and not (alert.seq > cursor and _routed(alert, history, judge))
    ]


def take_over(
    connection: sqlite3.Connection,
    debt: Debt,
    into: str,
    seqs: Sequence[int],
    now_ns: int,
    whys: tuple[str, str],
) -> list[tuple[int, int]]:
    """In the writer's thread: `into` is owed these, and the removed output nothing of the slice.

    `whys` of the new rows, and of the old. Returns (priority, seq) of the rows that were opened.
    """
    priority = debt.lane.priority
    connection.executemany(_REOPEN, [(into, seq, priority, now_ns, whys[0]) for seq in seqs])
    settle_debt(connection, debt, now_ns, whys[1])
    return [(priority, seq) for seq in seqs]


def _routed(alert: Alert, history: Sequence[Generation], judge: Judge) -> bool:
    in_force = [one for one in history if one.from_seq < alert.seq]
    return bool(in_force) and judge(in_force[-1].routing, alert) is None


def _final(connection: sqlite3.Connection, output: str, priority: int, seq: int) -> bool:
    return bool(connection.execute(_HAS_FINAL, (output, priority, seq)).fetchone()[0])


def _is_open(connection: sqlite3.Connection, output: str, seq: int) -> bool:
    row = connection.execute(
        "SELECT 1 FROM fate WHERE output = ? AND seq = ? AND state = 'retrying'", (output, seq)
    ).fetchone()
    return row is not None


def _is_there(connection: sqlite3.Connection, seq: int) -> bool:
    return connection.execute("SELECT 1 FROM body WHERE seq = ?", (seq,)).fetchone() is not None
