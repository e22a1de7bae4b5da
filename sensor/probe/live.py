"""The live probe: events of this kernel, as they happen."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence

import structlog

from sensor.event import Event, Lost
from sensor.probe import ProbeOptions
from sensor.probe.decode import Decoder
from sensor.probe.kernel import Kernel

BATCH = 512
"""Records taken at once; the kernel has their room back before they are judged."""

log = structlog.get_logger("sensor")


class LiveProbe:
    """Implements sensor.probe.Probe over the kernel."""

    def __init__(self, options: ProbeOptions, boot_epoch_ns: int) -> None:
        """`boot_epoch_ns` is when this machine started, since the epoch."""
        self._kernel = Kernel(options)
        self._decoder = Decoder(platform.machine(), boot_epoch_ns)
        self._told = 0
        self._compat = False

    def open(self) -> None:
        """Load and attach; raises ProbeError with what is missing."""
        self._kernel.open()

    def read_batch(self, timeout: float) -> Sequence[Event | Lost]:
        """What is there, waiting at most `timeout` seconds for the first of it."""
        records = self._kernel.take(BATCH)
        if not records:
            self._kernel.wait(timeout)
            records = self._kernel.take(BATCH)
        found = [self._decoder.decode(record) for record in records]
        batch: list[Event | Lost] = [event for event in found if event is not None]
        lost = self._lost()
        if lost:
            batch.append(Lost(time.time_ns(), lost))
        return batch

    def detach(self) -> None:
        """No new events from now on."""
        self._kernel.detach()

    def close(self) -> None:
        """Detach and free; may be called twice."""
        self._kernel.close()

    def _lost(self) -> int:
        """Events lost since the last time: no room, not readable, or of a child that is not followed."""
        counts = self._kernel.counts()
        if counts.compat and not self._compat:
            self._compat = True
            log.warning("a 32-bit program runs: its system calls are not judged, only what it executes")
        total = counts.lost + counts.outside + self._decoder.corrupt
        since, self._told = total - self._told, total
        return since
