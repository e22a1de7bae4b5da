"""A copy of the journal while it goes on."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from relay.journal.schema import connect

PAGES = 512
"""Copied at a time: 2 MiB."""
PAUSE = 0.005
"""Seconds after each, so that the disk serves ingest too."""


def copy(journal: Path, target: Path, leap: int) -> None:
    """Copy the journal as it is now to a new file. Raises OSError, sqlite3.Error.

    One read transaction over the whole copy: the file is of one moment, whatever is written meanwhile (which
    stays in the write-ahead log until the copy is done). A journal that is restored from it gives numbers
    from `leap` on: those that the running one gives from now on are in use elsewhere.
    """
    part = target.with_name(target.name + ".part")
    if target.exists():
        raise FileExistsError(f"{target} exists already")
    os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
    try:
        with closing(connect(journal, read_only=True)) as source, closing(sqlite3.connect(part)) as into:
            source.execute("BEGIN")
            source.execute("SELECT seq FROM high_water").fetchone()  # from here on, it is of this moment
            source.backup(into, pages=PAGES, sleep=PAUSE)
            source.execute("COMMIT")
            into.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
            into.execute("UPDATE high_water SET seq = max(seq, ?)", (leap,))
            into.commit()
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.link(part, target)  # unlike a rename it never replaces what somebody made meanwhile
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        part.unlink(missing_ok=True)
        part.with_name(part.name + "-journal").unlink(missing_ok=True)
