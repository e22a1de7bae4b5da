"""Writing what a settle has planned: runs in the writer's thread, inside its transaction."""

from __future__ import annotations

import sqlite3
from typing import Any

from relay.journal.base import Settlement, State
from relay.journal.lanes import Plan

_ROW = (
    "INSERT INTO fate (output, seq, priority, state, at_ns, first_try_ns, attempts, confirmed, next_try_ns,"
    " why, reply, receipt, ref, request) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET state = excluded.state, at_ns = excluded.at_ns,"
    " first_try_ns = excluded.first_try_ns, attempts = excluded.attempts, confirmed = excluded.confirmed,"
    " next_try_ns = excluded.next_try_ns, why = excluded.why, reply = excluded.reply,"
    " receipt = excluded.receipt, ref = coalesce(excluded.ref, ref), request = excluded.request"
)
_RANGE = (
    "INSERT INTO delivered VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET to_seq = excluded.to_seq, at_ns = excluded.at_ns"
)


def write_plan(connection: sqlite3.Connection, plan: Plan) -> int:
    """The rows of one settle. Returns how many of `plan.late` are closed by it."""
    output, priority = plan.lane.output, plan.lane.priority
    for run in plan.new:
        connection.execute(
            "INSERT OR REPLACE INTO delivered VALUES (?, ?, ?, ?, ?, ?)",
            (output, priority, run.from_seq, run.to_seq, run.at_ns, int(run.confirmed)),
        )
    for run in plan.longer:  # retention may have removed its row, when all its alerts were gone
        connection.execute(
            _RANGE, (output, priority, run.from_seq, run.to_seq, run.at_ns, int(run.confirmed))
        )
    for one in plan.rows:
        connection.execute(_ROW, _values(plan, one))
    closed = 0
    for one in plan.late:
        still_open = connection.execute(
            "SELECT 1 FROM fate WHERE output = ? AND seq = ? AND state = 'retrying'", (output, one.seq)
        ).fetchone()
        if still_open:
            connection.execute(_ROW, _values(plan, one))
            closed += one.state is not State.RETRYING
    connection.execute(
        "INSERT INTO lane VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET cursor = max(cursor, excluded.cursor)",
        (output, priority, plan.cursor),
    )
    return closed


def _values(plan: Plan, one: Settlement) -> tuple[Any, ...]:
    return (
        plan.lane.output,
        one.seq,
        plan.lane.priority,
        one.state.value,
        one.at_ns,
        one.first_try_ns or one.at_ns,
        one.attempts,
        int(one.confirmed),
        one.next_try_ns if one.state is State.RETRYING else None,
        one.why,
        one.reply,
        one.receipt,
        one.ref,
        one.request,
    )
