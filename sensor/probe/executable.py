"""A successful exec: arguments, path and inode of the new program."""

from __future__ import annotations

from collections.abc import Mapping

from sensor.event import Exec, Task
from sensor.probe import paths
from sensor.probe.record import INODE, CorruptError, Inode, Tag, text

_RDONLY, _IMMUTABLE = 1, 8
_OWNER_CAPS = (1 << 1) | (1 << 3)  # CAP_DAC_OVERRIDE, CAP_FOWNER
_NO_ID = 0xFFFFFFFF
_QUERIED = 1 << 31
"""In a ctime's nanoseconds since Linux 6.13 (I_CTIME_QUERIED): somebody has seen this time."""


def inode(found: Mapping[int, bytes]) -> Inode | None:
    """The inode of the opened file. Raises CorruptError."""
    raw = found.get(Tag.INODE)
    if raw is None:
        return None
    if len(raw) != INODE.size:
        raise CorruptError("an inode of another size")
    return Inode(*INODE.unpack(raw))


def writable(one: Inode, task: Task) -> bool:
    """Whether the process could write to its own program, decided as Falco does (extract__exe_writable)."""
    if one.sflags & _RDONLY or one.iflags & _IMMUTABLE or _NO_ID in (one.uid, one.gid):
        return False
    if task.uid == one.uid:
        return True
    if one.mode & (0o020 if task.gid == one.gid else 0o002):
        return True
    return bool(task.cap_effective & _OWNER_CAPS)


def strings(raw: bytes | None) -> tuple[str, ...]:
    """Of a block of texts that end with NUL; the last one may be cut."""
    if not raw:
        return ()
    return tuple(one.decode("utf-8", "replace") for one in raw.removesuffix(b"\0").split(b"\0"))


def executed(found: Mapping[int, bytes], task: Task) -> Exec:
    """What the process runs now. Raises CorruptError."""
    filename = text(found.get(Tag.FILENAME, b""))
    exepath, rooted = paths.walked(found[Tag.EXEPATH]) if Tag.EXEPATH in found else (filename, True)
    at = inode(found)
    return Exec(
        argv=strings(found.get(Tag.ARGV)),
        env=strings(found.get(Tag.ENV)),
        filename=filename,
        exepath=exepath,
        cwd=paths.walked(found[Tag.CWD])[0] if Tag.CWD in found else paths.UNKNOWN,
        writable=at is not None and writable(at, task),
        upper_layer=at is not None and bool(at.overlay and at.upper),
        lower_layer=at is not None and bool(at.overlay and not at.upper),
        from_memfd=not rooted and exepath.startswith("memfd:"),
        ino=at.ino if at is not None else 0,
        ctime_ns=at.ctime_s * 1_000_000_000 + (at.ctime_ns & ~_QUERIED) if at is not None else 0,
        mtime_ns=at.mtime_s * 1_000_000_000 + at.mtime_ns if at is not None else 0,
    )
