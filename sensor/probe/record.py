"""The layout of a record as sensor/bpf/sensor.bpf.c writes it; numbers are little-endian."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

LAYOUT = 1
"""Of head, task and chunks. With a change of theirs raise it, and run scripts/record_demo.py again."""

MAGIC = 0x4F555431


class Type(IntEnum):
    """What a record tells."""

    SYSCALL = 1
    EXEC = 2
    CLONE = 3
    EXIT = 4


class Tag(IntEnum):
    """What a chunk behind the head holds."""

    ANCESTORS = 1
    CGROUP = 2
    CWD = 3
    STR0 = 4
    STR1 = 5
    DIR0 = 6
    DIR1 = 7
    KPATH = 8
    ARGV = 9
    ENV = 10
    FILENAME = 11
    EXEPATH = 12
    INODE = 13
    SOCK = 14
    ADDR = 15
    OPENHOW = 16


HEAD = struct.Struct("<IIHHIQq6QII")
TASK = struct.Struct("<IIQ2Ii9I4Q16s16s")
CHUNK = struct.Struct("<HH")
ANCESTOR = struct.Struct("<IIQ16s")
INODE = struct.Struct("<QQqq10I")
SOCK = struct.Struct("<HHHH16s16sII")
OPENHOW = struct.Struct("<QQQ")

TASK_AT = HEAD.size
CHILD_AT = TASK_AT + TASK.size
CHUNKS_AT = CHILD_AT + TASK.size
LONGEST = CHUNKS_AT + 49_152 + 4_096
"""Bytes of a record at most: SPACE and TEXT of the program."""


class Inode(NamedTuple):
    """An opened file's inode, and the mode it was opened with."""

    ino: int
    sflags: int  # of the superblock
    ctime_s: int
    mtime_s: int
    ctime_ns: int
    mtime_ns: int
    dev: int  # the kernel's own: major << 20 | minor
    mode: int
    uid: int
    gid: int
    iflags: int
    fmode: int
    overlay: int
    upper: int


class CorruptError(ValueError):
    """The bytes are no record of this layout."""


def time_of(record: bytes) -> int:
    """Nanoseconds since boot. Raises CorruptError."""
    if len(record) < HEAD.size:
        raise CorruptError("a head is cut")
    return int(HEAD.unpack_from(record)[5])


def text(raw: bytes) -> str:
    """Up to the first NUL."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


def chunks(record: bytes) -> list[tuple[int, bytes]]:
    """(tag, content) of each, in the order they were written. Raises CorruptError."""
    found = []
    unpack, at, end = CHUNK.unpack_from, CHUNKS_AT, len(record)
    while at < end:
        if end - at < 4:
            raise CorruptError("a chunk's head is cut")
        tag, length = unpack(record, at)
        at += 4
        last = at + length
        if last > end:
            raise CorruptError("a chunk is longer than its record")
        found.append((tag, record[at:last]))
        at = (last + 3) & ~3
    return found
