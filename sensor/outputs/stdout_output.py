"""One alert a line on standard output."""

from __future__ import annotations

import sys
import threading
from typing import BinaryIO

import structlog

from sensor.outputs.channel import Alert

log = structlog.get_logger("sensor")


class StdoutOutput:
    """Writes to a stream; each line is flushed, so that a reader sees it at once."""

    name = "stdout"

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout.buffer
        self._broken = False

    def send(self, alert: Alert, stopping: threading.Event) -> bool:
        """Write the line. A reader that is gone is said once."""
        if self._broken:
            return False
        try:
            self._stream.write(alert.body + b"\n")
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._broken = True
            log.error("standard output cannot be written to any more", error=str(error))
            return False
        return True

    def close(self) -> None:
        """Nothing: the stream is the process's."""
