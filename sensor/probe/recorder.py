"""Raw records of this kernel into a file, undecoded."""

from __future__ import annotations

import platform
import threading
import time
from pathlib import Path

from sensor.probe import ProbeError, ProbeOptions
from sensor.probe.kernel import Kernel
from sensor.probe.recording import Loss, Writer

BATCH = 512
WAIT_S = 0.5


class Recorder:
    """One recording. `records` and `lost` count what was written and what was not had."""

    def __init__(self, file: Path, options: ProbeOptions) -> None:
        self.records = self.lost = 0
        self._file = file
        self._kernel = Kernel(options)
        self._writer: Writer | None = None

    def open(self) -> None:
        """Make the file and attach; raises ProbeError with what is missing."""
        self._kernel.open()
        boot_epoch_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        try:
            self._writer = Writer(self._file, platform.machine(), boot_epoch_ns)
        except OSError as error:
            self._kernel.close()
            raise ProbeError(f"{self._file}: {error.strerror}") from error

    def run(self, stop: threading.Event, seconds: float | None) -> None:
        """Until `stop` is set, at most so many seconds; then close. Raises OSError when writing fails."""
        assert self._writer is not None, "not open"
        end = time.monotonic() + seconds if seconds is not None else float("inf")
        try:
            with self._writer as writer:
                while not stop.is_set() and time.monotonic() < end:
                    if not self._copy(writer):
                        self._kernel.wait(min(WAIT_S, max(0.0, end - time.monotonic())))
                self._kernel.detach()
                while self._copy(writer):
                    pass
        finally:
            self._kernel.close()

    def _copy(self, writer: Writer) -> int:
        records = self._kernel.take(BATCH)
        for record in records:
            writer.record(record)
        self.records += len(records)
        counts = self._kernel.counts()
        lost = counts.lost + counts.outside - self.lost
        if lost:
            writer.lost(Loss(time.clock_gettime_ns(time.CLOCK_BOOTTIME), lost))
            self.lost += lost
        return len(records)
