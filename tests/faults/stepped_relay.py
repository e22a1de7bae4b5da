"""`python -m tests.faults.stepped_relay serve …`: the relay, on a wall clock that a test steps.

The file named by STEPPED_CLOCK holds the step in nanoseconds, as eight bytes; the monotonic clock stays.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path


def install(file: Path) -> None:
    """From now on `time.time_ns` and `time.time` are stepped; before anything of the relay is imported."""
    with file.open("rb") as opened:
        step = mmap.mmap(opened.fileno(), 8, access=mmap.ACCESS_READ)
    real = time.time_ns

    def time_ns() -> int:
        return real() + int(struct.unpack("q", step)[0])

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


if __name__ == "__main__":
    install(Path(os.environ["STEPPED_CLOCK"]))
    from relay.cli import main

    main()
