"""The fate of an alert at each output: noted, or derived from ranges, cursors and generations."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from relay.alert import Alert
from relay.journal.base import REMOVED, Fate, Generation, State
from relay.journal.queries import Judge, generations


def fates(connection: sqlite3.Connection, alerts: Sequence[Alert], judge: Judge) -> dict[int, list[Fate]]:
    """One fate for every output that had a routing when the alert was journalled."""
    if not alerts:
        return {}
    by_output: dict[str, list[Generation]] = {}
    for generation in generations(connection):
        by_output.setdefault(generation.output, []).append(generation)
    found: dict[int, list[Fate]] = {alert.seq: [] for alert in alerts}
    gone = _expired(connection, [alert.seq for alert in alerts])
    for output, history in by_output.items():
        rows = _rows(connection, output, [alert.seq for alert in alerts])
        cursors = dict(connection.execute("SELECT priority, cursor FROM lane WHERE output = ?", (output,)))
        for alert in alerts:
            fate = rows.get(alert.seq)
            if fate is None and alert.seq in gone:
                fate = _of_expired(connection, output, alert, gone[alert.seq])
            elif fate is None:
                fate = _derived(connection, output, history, alert, judge, cursors)
            if fate is not None:
                found[alert.seq].append(fate)
    return found


def _rows(connection: sqlite3.Connection, output: str, seqs: Sequence[int]) -> dict[int, Fate]:
    rows = connection.execute(
        "SELECT seq, state, at_ns, attempts, why, reply, receipt, confirmed, next_try_ns FROM fate"
        " WHERE output = ? AND seq IN (SELECT value FROM json_each(?))",
        (output, json.dumps(list(seqs))),
    )
    return {
        seq: Fate(output, State(state), at, attempts, why, reply, receipt, bool(confirmed), next_try)
        for seq, state, at, attempts, why, reply, receipt, confirmed, next_try in rows
    }


def _derived(
    connection: sqlite3.Connection,
    output: str,
    history: Sequence[Generation],
    alert: Alert,
    judge: Judge,
    cursors: Mapping[int, int],
) -> Fate | None:
    in_force = [generation for generation in history if generation.from_seq < alert.seq]
    if not in_force or in_force[-1].routing == REMOVED:
        return None
    why = judge(in_force[-1].routing, alert)
    if why is not None:
        return Fate(output, State.NOT_ROUTED, why=why)
    delivered = _delivered(connection, output, alert)
    if delivered is not None:
        return delivered
    if alert.seq > cursors.get(alert.priority, 0):
        return Fate(output, State.WAITING)
    row = connection.execute(
        "SELECT to_seq, state, at_ns, why FROM passed WHERE output = ? AND priority = ? AND from_seq <= ?"
        " ORDER BY from_seq DESC LIMIT 1",
        (output, alert.priority, alert.seq),
    ).fetchone()
    if row and row[0] >= alert.seq:
        return Fate(output, State(row[1]), at_ns=row[2], why=row[3])
    # The cursor passed it without a delivery: the worker's judgement was "not routed".
    return Fate(output, State.NOT_ROUTED, why="not routed when it was judged")


def _delivered(connection: sqlite3.Connection, output: str, alert: Alert) -> Fate | None:
    row = connection.execute(
        "SELECT to_seq, at_ns, confirmed FROM delivered WHERE output = ? AND priority = ? AND from_seq <= ?"
        " ORDER BY from_seq DESC LIMIT 1",
        (output, alert.priority, alert.seq),
    ).fetchone()
    if row and row[0] >= alert.seq:
        return Fate(output, State.DELIVERED, at_ns=row[1], attempts=1, confirmed=bool(row[2]))
    return None


def _expired(connection: sqlite3.Connection, seqs: Sequence[int]) -> dict[int, tuple[int, list[str]]]:
    """When it was taken, and the outputs that were owed it."""
    rows = connection.execute(
        "SELECT seq, at_ns, outputs FROM expired WHERE seq IN (SELECT value FROM json_each(?))",
        (json.dumps(list(seqs)),),
    )
    return {seq: (at_ns, json.loads(outputs)) for seq, at_ns, outputs in rows}


def _of_expired(
    connection: sqlite3.Connection, output: str, alert: Alert, expired: tuple[int, list[str]]
) -> Fate | None:
    """Its body is gone, so its routing cannot be judged any more."""
    at_ns, owed = expired
    if output in owed:
        return Fate(output, State.EXPIRED, at_ns=at_ns, why="removed by retention: the journal was full")
    return _delivered(connection, output, alert)
