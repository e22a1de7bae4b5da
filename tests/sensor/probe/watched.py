"""A child process whose code runs only once it is watched, and what the probe saw of it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from types import TracebackType
from typing import Any

from sensor.assembly import boot_epoch_ns
from sensor.event import Event, Exec, File, Lost, Socket
from sensor.probe import ProbeOptions
from sensor.probe.live import LiveProbe

# Everything is imported before it is watched; `os.read` is no system call that the probe knows.
_MAIN = """
import ctypes, fcntl, mmap, os, signal, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
code = compile(sys.argv[1], "child", "exec")
os.write(1, b"r")
os.read(0, 1)
exec(code)
os._exit(0)
"""


class Child:
    """A process of Python code that waits for `go`."""

    def __init__(self, code: str, **options: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", _MAIN, textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **options,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.read(1) == b"r"

    @property
    def pid(self) -> int:
        return self.process.pid

    def go(self) -> str:
        """Let it run to its end; what it wrote."""
        written, _ = self.process.communicate(b"g", timeout=30)
        assert self.process.returncode == 0
        return written.decode(errors="replace")

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def drain(probe: LiveProbe) -> tuple[list[Event], int]:
    """The events that there are, and how many were lost; whatever has ended has its records in the ring."""
    events: list[Event] = []
    lost = 0
    while batch := probe.read_batch(0):
        events += [one for one in batch if isinstance(one, Event)]
        lost += sum(one.count for one in batch if isinstance(one, Lost))
    return events, lost


def seen(code: str, **options: Any) -> list[Event]:
    """The events of a child that ran the code, and of what it started."""
    with Child(code) as child:
        probe = LiveProbe(ProbeOptions(scope_pid=child.pid, **options), boot_epoch_ns())
        probe.open()
        try:
            child.go()
            events, lost = drain(probe)
        finally:
            probe.close()
    assert lost == 0
    return events


def files(events: list[Event], type_: str | None = None) -> list[tuple[Event, File]]:
    return [
        (one, one.detail)
        for one in events
        if isinstance(one.detail, File) and (type_ is None or one.type == type_)
    ]


def sockets(events: list[Event], type_: str) -> list[tuple[Event, Socket]]:
    return [(one, one.detail) for one in events if isinstance(one.detail, Socket) and one.type == type_]


def executed(events: list[Event]) -> list[tuple[Event, Exec]]:
    return [(one, one.detail) for one in events if isinstance(one.detail, Exec)]
