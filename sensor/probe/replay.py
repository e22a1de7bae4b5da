"""A recorded stream as a probe: the same bytes, the same decoder, no kernel."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import structlog

from sensor.event import Event, Lost
from sensor.probe import ProbeError
from sensor.probe.decode import Decoder
from sensor.probe.record import CorruptError, time_of
from sensor.probe.recording import TABLE, Loss, frames, read_header

BATCH = 512

log = structlog.get_logger("sensor")


class ReplayProbe:
    """Implements sensor.probe.Probe over a file. Times are the recorded ones, as in Falco.

    Attributes:
        boot_epoch_ns: when the recorded machine started, known after `open`.
    """

    def __init__(self, file: Path, *, now: bool = False) -> None:
        """With `now` all times are moved so that the last record is of this moment."""
        self._file = file
        self._now = now
        self._stream: BinaryIO | None = None
        self._frames: Iterator[bytes | Loss] = iter(())
        self._decoder = Decoder("x86_64", 0)
        self._corrupt = 0
        self.boot_epoch_ns = 0

    def open(self) -> None:
        """Read the header; raises ProbeError for a file that cannot be replayed."""
        try:
            self._stream = self._file.open("rb")
        except OSError as error:
            raise ProbeError(f"{self._file}: {error.strerror}") from error
        try:
            header = read_header(self._stream)
            self.boot_epoch_ns = self._moved(self._stream) if self._now else header.boot_epoch_ns
            self._frames = frames(self._stream)
            self._decoder = Decoder(header.arch, self.boot_epoch_ns)
        except (ProbeError, ValueError) as error:
            self.close()
            raise ProbeError(f"{self._file}: {error}") from error
        if header.table != TABLE:
            log.warning("recorded with another table of system calls: what is not in it is missing")

    def read_batch(self, timeout: float) -> Sequence[Event | Lost]:
        """The next events; empty at the end of the file, where a cut one is said."""
        batch: list[Event | Lost] = []
        try:
            for frame in itertools.islice(self._frames, BATCH):
                if isinstance(frame, Loss):
                    batch.append(Lost(self.boot_epoch_ns + frame.time_ns, frame.events))
                elif (event := self._decoder.decode(frame)) is not None:
                    batch.append(event)
        except ProbeError as error:
            log.error("the recording ends early", file=str(self._file), why=str(error))
        if self._decoder.corrupt > self._corrupt:
            count, self._corrupt = self._decoder.corrupt - self._corrupt, self._decoder.corrupt
            batch.append(Lost(batch[-1].time_ns if batch else self.boot_epoch_ns, count))
        return batch

    def detach(self) -> None:
        """Read no further."""
        self._frames = iter(())

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._stream is not None:
            self._stream.close()

    def _moved(self, stream: BinaryIO) -> int:
        """When the recorded machine would have started if its last record were of now."""
        begin, last = stream.tell(), 0
        with suppress(ProbeError):  # one that is cut is said when it is read
            for frame in frames(stream):
                with suppress(CorruptError):
                    last = max(last, frame.time_ns if isinstance(frame, Loss) else time_of(frame))
        stream.seek(begin)
        return time.time_ns() - last
