"""What people did, and a few words that outlive the process."""

from __future__ import annotations

import sqlite3

from relay.journal.ledger import AuditEntry, AuditPage

KEPT = 10_000
"""Entries of the audit list."""


def add(connection: sqlite3.Connection, entry: AuditEntry) -> None:
    connection.execute("INSERT INTO audit (at_ns, who, what, detail) VALUES (?, ?, ?, ?)", entry[:4])
    connection.execute("DELETE FROM audit WHERE n <= (SELECT max(n) FROM audit) - ?", (KEPT,))


def page(connection: sqlite3.Connection, before: int | None, limit: int) -> AuditPage:
    rows = connection.execute(
        "SELECT at_ns, who, what, detail, n FROM audit WHERE n < ? ORDER BY n DESC LIMIT ?",
        (2**62 if before is None else before, limit + 1),
    )
    entries = [AuditEntry(*row) for row in rows]
    return AuditPage(entries[:limit], entries[limit - 1].n if len(entries) > limit else None)


def note(connection: sqlite3.Connection, name: str, value: str | None) -> None:
    if value is None:
        connection.execute("DELETE FROM note WHERE name = ?", (name,))
    else:
        connection.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, value))


def notes(connection: sqlite3.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT name, value FROM note").fetchall())
