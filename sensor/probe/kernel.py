"""The eBPF program in this kernel: sized, loaded, attached, and its raw records read."""

from __future__ import annotations

import mmap
import os
import platform
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sensor.probe import ProbeError, ProbeOptions
from sensor.probe.libbpf import Map, Object
from sensor.probe.requirements import check_requirements
from sensor.probe.ring import Ring
from sensor.table import BY_EVENT, I386, Kind, SystemCall, number

OBJECT = Path(__file__).parent.parent / "bpf" / "sensor.bpf.o"
POSSIBLE_CPUS = Path("/sys/devices/system/cpu/possible")

# In this order: nothing that a watched process starts is missed.
_PROGRAMS = ("on_fork", "on_exec", "on_exit", "on_sys_exit")
_SETTINGS = struct.Struct("=II")
_CALL = struct.Struct("=BB2b2bbbBbH4x")
_BY_PID, _BY_CGROUP = 1, 2
_SUBTREE = 32_768
_NONE, _NO_DIRECTORY = -1, -2


class Counts(NamedTuple):
    """The program's counters since it was loaded."""

    lost: int  # the ring was full
    sent: int
    compat: int  # system calls of 32-bit programs on arm64, which are not judged
    outside: int  # children that the scope has no room for


_COUNTS = struct.Struct("=4Q")


class Kernel:
    """One loaded program. `open` raises ProbeError with all that is missing."""

    def __init__(self, options: ProbeOptions) -> None:
        self._options = options
        self._object: Object | None = None
        self._ring: Ring | None = None
        self._counts: mmap.mmap | None = None

    def open(self) -> None:
        """Load, configure, attach; nothing is watched if any of it fails."""
        missing = check_requirements()
        if missing:
            raise ProbeError("\n".join(missing))
        try:
            self._start(Object(OBJECT))
        except OSError as error:
            self.close()
            raise ProbeError(f"the eBPF program cannot be set up: {error}") from error
        except ProbeError:
            self.close()
            raise

    def wait(self, seconds: float) -> None:
        """Until a record is there, at most so long."""
        self._opened.wait(seconds)

    def take(self, limit: int) -> list[bytes]:
        """At most `limit` records that are there now."""
        return self._opened.take(limit)

    def counts(self) -> Counts:
        """The counters as they are."""
        assert self._counts is not None, "not open"
        return Counts(*_COUNTS.unpack_from(self._counts))

    def detach(self) -> None:
        """No new records from now on; those that are there can be taken."""
        if self._object is not None:
            self._object.detach()

    def close(self) -> None:
        """Detach and free; may be called twice."""
        self.detach()
        if self._ring is not None:
            self._ring.close()
        if self._counts is not None:
            self._counts.close()
        if self._object is not None:
            self._object.close()
        self._object = self._ring = self._counts = None

    @property
    def _opened(self) -> Ring:
        assert self._ring is not None, "not open"
        return self._ring

    def _start(self, loaded: Object) -> None:
        options = self._options
        self._object = loaded
        loaded.map("ring").resize(options.ring_bytes)
        loaded.map("scratches").resize(possible_cpus(POSSIBLE_CPUS.read_text()))
        loaded.map("subtree").resize(_SUBTREE if options.scope_pid is not None else 1)
        loaded.load()
        self._configure(loaded)
        ring = loaded.map("ring")
        self._ring = Ring(ring.fd, ring.entries)
        self._counts = mmap.mmap(loaded.map("counts").fd, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ)
        for program in _PROGRAMS:
            loaded.attach(program)
        if options.scope_pid is not None:
            subtree = loaded.map("subtree")
            for pid in descendants(options.scope_pid):  # those that were started before
                subtree.update(pid, b"\1")

    def _configure(self, loaded: Object) -> None:
        options, scope = self._options, 0
        for event in options.syscalls:
            if options.failed_exec or BY_EVENT[event].kind is not Kind.EXEC:
                _enable(loaded, BY_EVENT[event], platform.machine())
        for pid in options.ignore_pids:
            loaded.map("ignored").update(pid, b"\1")
        if options.scope_pid is not None:
            if not Path(f"/proc/{options.scope_pid}").exists():
                raise ProbeError(f"scope: there is no process {options.scope_pid}")
            scope |= _BY_PID
            loaded.map("subtree").update(options.scope_pid, b"\1")
        if options.scope_cgroup is not None:
            scope |= _BY_CGROUP
            _set_cgroup(loaded.map("scope_cgroup"), options.scope_cgroup)
        loaded.map("settings_map").update(0, _SETTINGS.pack(os.getpid(), scope))


def possible_cpus(text: str) -> int:
    """One more than the highest number in a list such as `0-3,8-11`."""
    return max(int(part.split("-")[-1]) for part in text.strip().split(",")) + 1


def _enable(loaded: Object, call: SystemCall, arch: str) -> None:
    native = number(call, arch)
    if native is None:
        return
    loaded.map("calls").update(native, encoded(call, native))
    for compat in I386[call.event] if arch == "x86_64" else ():
        loaded.map("compat_calls").update(compat, encoded(call, native))


def encoded(call: SystemCall, native: int) -> bytes:
    """The call as `struct call` of the program; `native` is the number that its records carry."""
    strings = [*call.strings, _NONE, _NONE][:2]
    directories = [*call.dirs, _NO_DIRECTORY, _NO_DIRECTORY][:2]
    fd = call.fd if call.fd is not None else _NONE
    address = call.address if call.address is not None else _NONE
    how = call.flags if call.event == "openat2" and call.flags is not None else 0
    return _CALL.pack(1, call.kind, *strings, *directories, fd, address, call.message, how, native)


def _set_cgroup(scope: Map, directory: str) -> None:
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ProbeError(f"scope: cgroup {directory}: {error.strerror}") from error
    try:
        scope.update(0, struct.pack("=i", fd))
    except OSError as error:
        raise ProbeError(f"scope: {directory} is not a directory of cgroup v2 ({error.strerror})") from error
    finally:
        os.close(fd)


def descendants(pid: int) -> Iterator[int]:
    """What a process started, and what those started, as far as they are there now."""
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                for child in (task / "children").read_text().split():
                    yield int(child)
                    yield from descendants(int(child))
