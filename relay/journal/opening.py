"""Taking hold of a data directory and its journal."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from relay.journal.lock import DataDirError, DataDirLock
from relay.journal.schema import connect, upgrade

FILE = "journal.db"


def prepare(data_dir: Path) -> tuple[DataDirLock, sqlite3.Connection, int]:
    """Lock the directory, make or upgrade the file; also the highest number ever given."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        data_dir.chmod(0o700)
        lock = DataDirLock(data_dir)
    except PermissionError as error:
        raise DataDirError(
            f"{error.filename} cannot be used by user {os.geteuid()}: {error.strerror};"
            f" it must belong to that user, such as after chown -R {os.geteuid()}:{os.getegid()} {data_dir}"
        ) from None
    path = data_dir / FILE
    try:
        if not path.exists():  # to close a file that SQLite has open would give up its locks (POSIX)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        connection = connect(path)
        upgrade(connection, path)
        (newest,) = connection.execute(
            "SELECT max((SELECT coalesce(max(seq), 0) FROM alert), (SELECT seq FROM high_water),"
            " (SELECT coalesce(max(cursor), 0) FROM lane))"
        ).fetchone()
    except BaseException:
        lock.release()
        raise
    return lock, connection, newest
