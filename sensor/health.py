"""A sign of life in a file, for `sensor healthy`: a container's health check has no other way in."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

BEAT_S = 5.0
LIMIT_S = 30.0
"""A sensor that gave no sign for so long hangs."""


def default_file() -> Path:
    """In a directory of our own user's, which is made; raises OSError if somebody else made it."""
    directory = Path(tempfile.gettempdir()) / f"outrider-sensor-{os.geteuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise OSError(f"{directory} is not a directory that only this user can write to; remove it")
    return directory / "alive"


class Heartbeat:
    """Touches the file every few seconds, from the loop that it vouches for."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._last: float | None = None

    def beat(self) -> None:
        """To be called at least every LIMIT_S; cheap."""
        now = self._clock()
        if self._last is None or now - self._last >= BEAT_S:
            self._last = now
            with suppress(OSError):  # a full disk shows as no sign of life, and ends no watch
                self._file.write_text(f"{now}\n")

    def end(self) -> None:
        """The sensor has ended by itself."""
        self._file.unlink(missing_ok=True)


def problem(file: Path, now: float) -> str | None:
    """Why the sensor is not healthy, or None. `now` is time.monotonic(), which all processes share."""
    try:
        last = float(file.read_text())
    except (OSError, ValueError):
        return "no sensor is running"
    age = now - last
    return f"no sign of life for {age:.0f} s" if age > LIMIT_S else None
