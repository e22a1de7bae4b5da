"""The one place that reads /proc: typed questions, bounded answers, None for whatever is gone.

A process may exit, exec, or be replaced by another with its number between two reads. So every question about
a process names its start time, which is compared before and after: an answer about another process is none.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sensor.image import Image

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""Nanoseconds in one clock tick: /proc/PID/stat tells start times in whole ticks since boot."""

ARGS_LIMIT = 4096
"""Bytes of arguments or environment that are kept, as in the probe and in Falco."""

_OPENAT2 = 437  # the same number on every architecture
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_IN_ROOT = 0x10
_AT_FDCWD = -100


@dataclass(frozen=True, slots=True)
class Identity:
    """A file's content is the same as long as these are."""

    dev: int
    ino: int
    mtime_ns: int


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_LIBC = ctypes.CDLL(None, use_errno=True)


def open_in_root(root: int, path: str) -> int:
    """Open `path` for reading as if the directory `root` were `/`; give the descriptor.

    Links cannot lead out of `root`; neither a FIFO nor a device blocks. Raises OSError.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    how = _OpenHow(flags, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    result: int = _LIBC.syscall(
        ctypes.c_long(_OPENAT2),
        ctypes.c_int(root),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), path)
    return result


class Procfs:
    """Questions to a /proc; `root` is another directory only in tests."""

    def __init__(self, root: Path = Path("/proc")) -> None:
        self._root = root

    def pids(self) -> Iterator[int]:
        """The processes that there are now."""
        try:
            names = os.listdir(self._root)  # noqa: PTH208  no Path for each of thousands
        except OSError:
            return
        yield from (int(name) for name in names if name.isdecimal())

    def start_ticks(self, pid: int) -> int | None:
        """When the process started, in ticks since boot."""
        text = self._read(pid, "stat", 4096)
        if text is None:
            return None
        # The second field is the name in parentheses and may itself hold blanks and parentheses.
        fields = text[text.rfind(b")") + 2 :].split(b" ")
        try:
            return int(fields[19])
        except (IndexError, ValueError):
            return None

    def image(self, pid: int, start_ticks: int, *, keep_env: bool = False) -> Image | None:
        """What the process runs, if it is still the one that started then."""
        if self.start_ticks(pid) != start_ticks:
            return None
        argv = _strings(self._read(pid, "cmdline", ARGS_LIMIT))
        env = _strings(self._read(pid, "environ", ARGS_LIMIT)) if keep_env else ()
        exepath, ino, ctime_ns, mtime_ns = self._exe(pid)
        cwd = self._link(pid, "cwd")
        if self.start_ticks(pid) != start_ticks:
            return None
        memfd = exepath.startswith("memfd:") if exepath is not None else None
        return Image(argv, exepath, cwd, env, None, None, None, memfd, ino, ctime_ns, mtime_ns)

    def cwd(self, pid: int, start_ticks: int) -> str | None:
        """The working directory, if the process is still the one that started then."""
        path = self._link(pid, "cwd")
        return path if path is not None and self.start_ticks(pid) == start_ticks else None

    def mnt_ns(self, pid: int) -> int | None:
        """The inode number of the process's mount namespace."""
        try:
            return (self._root / str(pid) / "ns" / "mnt").stat().st_ino
        except OSError:
            return None

    def hidden_file(
        self, pid: int, path: str, limit: int, known: Identity | None
    ) -> tuple[Identity, bytes] | None:
        """A regular file of at most `limit` bytes under the process's root; b"" if it is still `known`.

        Whoever owns that root may have made the file a link, a FIFO, a device, a directory or something
        huge: a link is followed inside that root only, all the rest is None.
        """
        try:
            root = os.open(self._root / str(pid) / "root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return _regular(root, path, limit, known)
        except OSError:
            return None
        finally:
            os.close(root)

    def _read(self, pid: int, name: str, limit: int) -> bytes | None:
        try:
            fd = os.open(f"{self._root}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return os.read(fd, limit)
        except OSError:
            return None
        finally:
            os.close(fd)

    def _link(self, pid: int, name: str) -> str | None:
        try:
            raw = os.readlink(os.fsencode(f"{self._root}/{pid}/{name}"))  # noqa: PTH115  not always UTF-8
            return _text(raw)
        except OSError:
            return None

    def _exe(self, pid: int) -> tuple[str | None, int | None, int | None, int | None]:
        path = self._link(pid, "exe")
        if path is None:  # a kernel thread, or not ours to see
            return None, None, None, None
        try:
            found = os.stat(f"{self._root}/{pid}/exe")  # noqa: PTH116
        except OSError:
            return path, None, None, None
        if found.st_nlink == 0:
            path = path.removesuffix(" (deleted)")
        if path.startswith("/memfd:"):
            path = path[1:]  # as the probe and Falco name it
        return path, found.st_ino, found.st_ctime_ns, found.st_mtime_ns


def _regular(root: int, path: str, limit: int, known: Identity | None) -> tuple[Identity, bytes] | None:
    fd = open_in_root(root, path)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            return None
        identity = Identity(found.st_dev, found.st_ino, found.st_mtime_ns)
        if identity == known:
            return identity, b""
        content = bytearray()
        while len(content) <= limit and (chunk := os.read(fd, 65536)):
            content += chunk
        return (identity, bytes(content)) if len(content) <= limit else None
    finally:
        os.close(fd)


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _strings(raw: bytes | None) -> tuple[str, ...]:
    """NUL-ended strings; the last may be cut by the limit."""
    if not raw:
        return ()
    return tuple(_text(part) for part in raw.removesuffix(b"\0").split(b"\0"))
