"""Recorded streams: the ring buffer's raw records in a file, so that a replay exercises the decoder.

A file is the magic, the header's length and the header (JSON), then frames: kind and length, then a record's
bytes or, for losses, time (ns since boot) and count. Numbers are little-endian. It holds what processes were
given as arguments and environment: it is readable for its owner only.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

import orjson

from sensor.probe import ProbeError
from sensor.probe.record import LAYOUT, LONGEST
from sensor.table import SYSTEM_CALLS

MAGIC = b"OUTRIDER"
_HEADER_MOST = 65_536
_LENGTH = struct.Struct("<I")
_FRAME = struct.Struct("<II")
_LOSS = struct.Struct("<QQ")
_RECORD, _LOST = 1, 2

TABLE = hashlib.sha256(repr(SYSTEM_CALLS).encode()).hexdigest()[:16]
"""Names the table of system calls by which a recorder chose what to record."""


@dataclass(frozen=True, slots=True)
class Header:
    """Of whom the records are, and how to read them."""

    layout: int
    arch: str
    boot_epoch_ns: int
    table: str


class Loss(NamedTuple):
    """Events that the recorder did not get."""

    time_ns: int  # since boot
    events: int


class Writer:
    """Writes one new file."""

    def __init__(self, file: Path, arch: str, boot_epoch_ns: int) -> None:
        """Raises OSError, FileExistsError too: nothing is overwritten."""
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._stream = os.fdopen(fd, "wb")
        header = orjson.dumps(Header(LAYOUT, arch, boot_epoch_ns, TABLE))
        self._stream.write(MAGIC + _LENGTH.pack(len(header)) + header)

    def record(self, record: bytes) -> None:
        """One record as it came out of the ring."""
        self._stream.write(_FRAME.pack(_RECORD, len(record)) + record)

    def lost(self, loss: Loss) -> None:
        """Events that are missing here."""
        self._stream.write(_FRAME.pack(_LOST, _LOSS.size) + _LOSS.pack(*loss))

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()


def read_header(stream: BinaryIO) -> Header:
    """The header; raises ProbeError where it is none that can be read."""
    head = stream.read(len(MAGIC) + _LENGTH.size)
    if len(head) != len(MAGIC) + _LENGTH.size or not head.startswith(MAGIC):
        raise ProbeError("it is not a stream that `sensor record` wrote")
    (length,) = _LENGTH.unpack_from(head, len(MAGIC))
    try:
        value = orjson.loads(stream.read(min(length, _HEADER_MOST)))
        header = Header(
            int(value["layout"]), str(value["arch"]), int(value["boot_epoch_ns"]), str(value["table"])
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ProbeError("its header is damaged") from error
    if header.layout != LAYOUT:
        raise ProbeError(
            f"it was recorded in layout {header.layout}, this sensor reads {LAYOUT}: record it again"
        )
    return header


def frames(stream: BinaryIO) -> Iterator[bytes | Loss]:
    """What follows the header. Raises ProbeError where the file is cut or damaged."""
    while head := stream.read(_FRAME.size):
        if len(head) != _FRAME.size:
            raise ProbeError("it is cut off")
        kind, length = _FRAME.unpack(head)
        if length > LONGEST:
            raise ProbeError("it is damaged")
        content = stream.read(length)
        if len(content) != length:
            raise ProbeError("it is cut off")
        if kind == _RECORD:
            yield content
        elif kind == _LOST and length == _LOSS.size:
            yield Loss(*_LOSS.unpack(content))
        else:
            raise ProbeError("it is damaged")
