"""The journal's tables, and how an older file becomes one of today.

Steps are numbered and only ever added; `PRAGMA user_version` says which have been taken. Each takes the same
time whatever the size of the file: it makes tables and columns. What has to be filled in for alerts that are
there already is filled in behind ingest, from a mark on (`counted`), as it goes on for new ones.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

PAGE_SIZE = 4096

STEPS: tuple[str, ...] = (
    """
    -- Narrow columns for lists, apart from the bodies, so that a list reads few pages.
    CREATE TABLE alert (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        time_ns INTEGER NOT NULL,
        received_ns INTEGER NOT NULL,
        priority INTEGER NOT NULL,
        rule TEXT NOT NULL,
        source TEXT NOT NULL,
        hostname TEXT NOT NULL,
        content TEXT NOT NULL,
        normalised TEXT NOT NULL,
        received_from TEXT NOT NULL
    ) STRICT;
    CREATE INDEX alert_lane ON alert (priority, seq);
    CREATE INDEX alert_rule ON alert (rule, seq);
    -- key: what a repetition of the alert is recognised by (relay.journal.dedup).
    CREATE TABLE body (seq INTEGER PRIMARY KEY, body BLOB NOT NULL, key BLOB) STRICT;

    -- What was seen lately. Of their own and small: random keys are dear in a large table.
    CREATE TABLE seen_uuid (
        n INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, digest BLOB NOT NULL,
        seq INTEGER NOT NULL, at_ns INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE seen_body (
        n INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, digest BLOB NOT NULL,
        seq INTEGER NOT NULL, at_ns INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE seen_mark (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL) STRICT;
    INSERT INTO seen_mark VALUES (1, 0);

    -- Numbers are never used again: the highest that was ever given, noted before rows are deleted.
    CREATE TABLE high_water (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL) STRICT;
    INSERT INTO high_water VALUES (1, 0);

    CREATE TABLE generation (
        number INTEGER PRIMARY KEY, output TEXT NOT NULL, from_seq INTEGER NOT NULL,
        at_ns INTEGER NOT NULL, routing TEXT NOT NULL
    ) STRICT;

    -- cursor: all of the lane up to here is settled.
    CREATE TABLE lane (
        output TEXT NOT NULL, priority INTEGER NOT NULL, cursor INTEGER NOT NULL,
        PRIMARY KEY (output, priority)
    ) STRICT, WITHOUT ROWID;
    -- Delivered at the first try, without a receipt: every routed alert of the lane from..to.
    CREATE TABLE delivered (
        output TEXT NOT NULL, priority INTEGER NOT NULL, from_seq INTEGER NOT NULL,
        to_seq INTEGER NOT NULL, at_ns INTEGER NOT NULL, confirmed INTEGER NOT NULL,
        PRIMARY KEY (output, priority, from_seq)
    ) STRICT, WITHOUT ROWID;
    -- Every other fate; rows with state 'retrying' are open, the rest are final. 'dead' are the dead letters.
    CREATE TABLE fate (
        output TEXT NOT NULL, seq INTEGER NOT NULL, priority INTEGER NOT NULL, state TEXT NOT NULL,
        at_ns INTEGER NOT NULL, first_try_ns INTEGER NOT NULL, attempts INTEGER NOT NULL,
        confirmed INTEGER NOT NULL, next_try_ns INTEGER, why TEXT, reply TEXT, receipt TEXT, ref TEXT,
        PRIMARY KEY (output, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX fate_open ON fate (output, priority, seq) WHERE state = 'retrying';
    CREATE INDEX fate_dead ON fate (output, seq) WHERE state = 'dead';

    CREATE TABLE refused (
        n INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, received_from TEXT NOT NULL,
        reason TEXT NOT NULL, body BLOB NOT NULL
    ) STRICT;
    """,
    """
    ALTER TABLE fate ADD COLUMN request TEXT;  -- of a dead letter: method, host, size
    -- Closed by a person, whole: every alert of the lane from..to that was owed.
    CREATE TABLE passed (
        output TEXT NOT NULL, priority INTEGER NOT NULL, from_seq INTEGER NOT NULL,
        to_seq INTEGER NOT NULL, at_ns INTEGER NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL,
        PRIMARY KEY (output, priority, from_seq)
    ) STRICT, WITHOUT ROWID;
    -- What is left of an alert that retention took while `outputs` (a JSON list) were owed it.
    CREATE TABLE expired (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL, time_ns INTEGER NOT NULL, received_ns INTEGER NOT NULL,
        priority INTEGER NOT NULL, rule TEXT NOT NULL, source TEXT NOT NULL, hostname TEXT NOT NULL,
        received_from TEXT NOT NULL, at_ns INTEGER NOT NULL, outputs TEXT NOT NULL
    ) STRICT;
    -- Who fills the journal: counted behind ingest, up to the alert in `counted`.
    CREATE TABLE share (
        received_from TEXT NOT NULL, rule TEXT NOT NULL, priority INTEGER NOT NULL,
        alerts INTEGER NOT NULL, bytes INTEGER NOT NULL,
        PRIMARY KEY (received_from, rule, priority)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE counted (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL) STRICT;
    INSERT INTO counted VALUES (1, 0);

    CREATE TABLE audit (
        n INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT;
    CREATE TABLE note (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    """,
)
VERSION = len(STEPS)


class SchemaError(RuntimeError):
    """The file was written by a newer program. str() says which file and which versions."""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection with the journal's settings. Any thread may use it, one at a time."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("PRAGMA mmap_size = 268435456")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    else:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -16384")
        connection.execute("PRAGMA wal_autocheckpoint = 2000")
    return connection


def upgrade(connection: sqlite3.Connection, path: Path) -> None:
    """Take the steps that are missing, each in a transaction of its own. Raises SchemaError."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise SchemaError(
            f"{path} has schema {version}, this program knows up to {VERSION}: "
            "run the newer program, or restore the backup made before the upgrade"
        )
    for number, step in enumerate(STEPS[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {step}; PRAGMA user_version = {number}; COMMIT;")
