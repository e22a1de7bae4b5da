"""Names of users and groups: the host's, and inside another mount namespace that namespace's own.

A container owns its /etc/passwd and may make it anything. It is opened so that links cannot lead out of the
container's root and nothing blocks, is read up to 1 MiB, and is read again only if it changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sensor.procfs import Identity

LIMIT = 1 << 20
"""Bytes of a passwd or group file; a larger one is not read."""

RECHECK_NS = 2_000_000_000
"""How long a namespace's files are trusted before it is asked whether they changed."""

_NAMESPACES = 1024


@dataclass(frozen=True, slots=True)
class User:
    """One line of /etc/passwd."""

    name: str
    homedir: str
    shell: str


class RootReader(Protocol):
    """What is asked of /proc; sensor.procfs.Procfs answers."""

    def mnt_ns(self, pid: int) -> int | None: ...
    def hidden_file(
        self, pid: int, path: str, limit: int, known: Identity | None
    ) -> tuple[Identity, bytes] | None: ...


class _Names:
    """The files of one mount namespace."""

    __slots__ = ("checked_ns", "groups", "ids", "users")

    def __init__(self) -> None:
        self.checked_ns: int | None = None
        self.ids: dict[str, Identity] = {}
        self.users: dict[int, User] = {}
        self.groups: dict[int, str] = {}


class Users:
    """Looks up names. `host_pid` is a process of the host's own mount namespace: its init."""

    def __init__(
        self, reader: RootReader, *, host_pid: int = 1, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._reader = reader
        self._host_pid = host_pid
        self._host_ns = reader.mnt_ns(host_pid)
        self._clock = clock
        self._names: dict[int, _Names] = {}

    def user(self, uid: int, pid: int, mnt_ns: int) -> User | None:
        """The user `uid` as the process's mount namespace names it; None is not known."""
        return self._of(pid, mnt_ns).users.get(uid)

    def group(self, gid: int, pid: int, mnt_ns: int) -> str | None:
        """The group `gid` as the process's mount namespace names it; None is not known."""
        return self._of(pid, mnt_ns).groups.get(gid)

    def _of(self, pid: int, mnt_ns: int) -> _Names:
        names = self._names.get(mnt_ns)
        if names is None:
            if len(self._names) >= _NAMESPACES:
                self._names.clear()
            names = self._names[mnt_ns] = _Names()
        now = self._clock()
        if names.checked_ns is None or now - names.checked_ns >= RECHECK_NS:
            names.checked_ns = now
            self._refresh(names, self._host_pid if mnt_ns == self._host_ns else pid)
        return names

    def _refresh(self, names: _Names, pid: int) -> None:
        content = self._changed(names, pid, "/etc/passwd")
        if content is not None:
            names.users = _users(content)
        content = self._changed(names, pid, "/etc/group")
        if content is not None:
            names.groups = _groups(content)

    def _changed(self, names: _Names, pid: int, path: str) -> bytes | None:
        known = names.ids.get(path)
        found = self._reader.hidden_file(pid, path, LIMIT, known)
        if found is None:
            # The process may just be gone: what its namespace said before still holds.
            return None
        identity, content = found
        if identity == known:
            return None
        names.ids[path] = identity
        return content


def _lines(content: bytes, fields: int) -> list[list[str]]:
    rows = (line.split(":") for line in content.decode(errors="replace").split("\n"))
    return [row for row in rows if len(row) >= fields]


def _users(content: bytes) -> dict[int, User]:
    found: dict[int, User] = {}
    for row in _lines(content, 7):
        # The first line with a number names it, as in getpwuid(3).
        if row[2].isascii() and row[2].isdigit():
            found.setdefault(int(row[2][:10]), User(row[0], row[5], row[6]))
    return found


def _groups(content: bytes) -> dict[int, str]:
    found: dict[int, str] = {}
    for row in _lines(content, 3):
        if row[2].isascii() and row[2].isdigit():
            found.setdefault(int(row[2][:10]), row[0])
    return found
