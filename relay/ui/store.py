"""What the login has to remember, in a small file of its own: password, one-time links, sessions.

Only hashes are kept: whoever reads the file can neither use a link nor a session of it. `relay login-link`
writes a link while the relay runs: SQLite's own locks see to both.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import threading
from pathlib import Path

FILE = "login.db"
SESSIONS_MOST = 64
"""Beyond it the oldest end."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS secret (one INTEGER PRIMARY KEY CHECK (one = 1), value BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS password (one INTEGER PRIMARY KEY CHECK (one = 1), hash TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS link (digest BLOB PRIMARY KEY, expires INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS session (
    n INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, expires INTEGER NOT NULL, peer TEXT NOT NULL
) STRICT;
"""


def digest(token: str) -> bytes:
    """Tokens are 256 random bits: a fast hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    connection.execute("INSERT OR IGNORE INTO secret VALUES (1, ?)", (secrets.token_bytes(32),))
    return connection


class LoginStore:
    """Opened on `data_dir`, which is made if missing. Moments are seconds since the epoch.

    Raises OSError and sqlite3.DatabaseError, which name the file.
    """

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = data_dir / FILE
        # Root may not give away, for the owner of the directory, what a link there points to.
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            owner = data_dir.stat()
            if os.geteuid() == 0 and os.fstat(file).st_uid != owner.st_uid:
                os.fchown(file, owner.st_uid, owner.st_gid)  # `sudo relay login-link`: the relay must read it
        finally:
            os.close(file)
        self._lock = threading.Lock()
        try:
            self._db = _open(path)
        except sqlite3.DatabaseError as error:
            raise sqlite3.DatabaseError(f"{path}: {error}") from None
        (self.secret,) = self._db.execute("SELECT value FROM secret").fetchone()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def password(self) -> str | None:
        """The hash, None before the first login."""
        with self._lock:
            row = self._db.execute("SELECT hash FROM password").fetchone()
        return row[0] if row else None

    def add_link(self, now: int, seconds: int) -> str:
        """A new one-time token; earlier ones end."""
        token = secrets.token_urlsafe(32)
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM link")
            self._db.execute("INSERT INTO link VALUES (?, ?)", (digest(token), now + seconds))
        return token

    def link_is_good(self, token: str, now: int) -> bool:
        with self._lock:
            row = self._db.execute(
                "SELECT 1 FROM link WHERE digest = ? AND expires > ?", (digest(token), now)
            ).fetchone()
        return row is not None

    def use_link(self, token: str, password_hash: str, now: int) -> bool:
        """Set the password and end every session and link, if the token is still good: once only."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            used = self._db.execute(
                "DELETE FROM link WHERE digest = ? AND expires > ?", (digest(token), now)
            ).rowcount
            if used:
                self._db.execute("DELETE FROM link")
                self._db.execute("DELETE FROM session")
                self._db.execute("INSERT OR REPLACE INTO password VALUES (1, ?)", (password_hash,))
        return bool(used)

    def set_password(self, password_hash: str) -> None:
        """The same password with today's cost."""
        with self._lock:
            self._db.execute("UPDATE password SET hash = ?", (password_hash,))

    def add_session(self, now: int, seconds: int, peer: str) -> str:
        token = secrets.token_urlsafe(32)
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM session WHERE expires <= ?", (now,))
            self._db.execute(
                "INSERT INTO session (digest, expires, peer) VALUES (?, ?, ?)",
                (digest(token), now + seconds, peer),
            )
            self._db.execute(
                "DELETE FROM session WHERE n NOT IN (SELECT n FROM session ORDER BY n DESC LIMIT ?)",
                (SESSIONS_MOST,),
            )
        return token

    def session_is_good(self, token: str, now: int) -> bool:
        with self._lock:
            row = self._db.execute(
                "SELECT 1 FROM session WHERE digest = ? AND expires > ?", (digest(token), now)
            ).fetchone()
        return row is not None

    def end_session(self, token: str) -> None:
        with self._lock:
            self._db.execute("DELETE FROM session WHERE digest = ?", (digest(token),))
