"""libbpf through ctypes: opens, loads and attaches the compiled object. Only what the probe needs of it."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from sensor.probe import ProbeError

SONAME = "libbpf.so.1"
"""libbpf 1.x: CO-RE for every kernel since 5.8; 1.0 raises the memlock limit where that is needed."""

MISSING = f"{SONAME} is not installed: apt-get install libbpf1 (Debian, Ubuntu), dnf install libbpf (Fedora)"

_LINES = 400
"""Of libbpf's log that are kept: the verifier tells why at its end."""

_Print = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_POINTERS = ("bpf_object__open_file", "bpf_object__find_map_by_name", "bpf_object__find_program_by_name")
_INTS = ("bpf_object__load", "bpf_map__set_max_entries", "bpf_map__fd", "bpf_map_update_elem")


class Log:
    """What libbpf says, which would go to stderr otherwise; its end explains a failure."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        libc = ctypes.CDLL(None)
        buffer = ctypes.create_string_buffer(65536)

        def take(_level: int, form: bytes, args: int) -> int:
            libc.vsnprintf(buffer, ctypes.c_size_t(len(buffer)), form, ctypes.c_void_p(args))
            self.lines += buffer.value.decode(errors="replace").splitlines()
            del self.lines[:-_LINES]
            return 0

        self.callback = _Print(take)

    def end(self, lines: int = 12) -> str:
        """The last lines that are not mere progress, indented."""
        told = [line for line in self.lines if line.strip()]
        return "".join(f"\n    {line}" for line in told[-lines:])


class Library:
    """The shared library with its functions declared. Raises ProbeError where it is not installed."""

    def __init__(self) -> None:
        try:
            self.lib: Any = ctypes.CDLL(SONAME, use_errno=True)
        except OSError as error:
            raise ProbeError(MISSING) from error
        for name in _POINTERS:
            getattr(self.lib, name).restype = ctypes.c_void_p
        for name in _INTS:
            getattr(self.lib, name).restype = ctypes.c_int
        self.lib.bpf_map__max_entries.restype = ctypes.c_uint32
        self.lib.bpf_program__attach.restype = ctypes.c_void_p
        self.lib.libbpf_set_print.restype = ctypes.c_void_p
        self.log = Log()
        self.lib.libbpf_set_print(self.log.callback)


@functools.cache
def library() -> Library:
    """One for the whole process: libbpf calls the log back as long as it is loaded."""
    return Library()


class Map:
    """One map of an object."""

    def __init__(self, library: Library, pointer: int, name: str) -> None:
        self._lib = library.lib
        self._pointer = ctypes.c_void_p(pointer)
        self.name = name

    @property
    def fd(self) -> int:
        """The descriptor; there is one once the object is loaded."""
        return int(self._lib.bpf_map__fd(self._pointer))

    def resize(self, entries: int) -> None:
        """Set the number of entries (bytes, of a ring); before the load. Raises ProbeError."""
        result = self._lib.bpf_map__set_max_entries(self._pointer, ctypes.c_uint32(entries))
        if result:
            raise ProbeError(f"map {self.name}: {entries} entries are not possible: {os.strerror(-result)}")

    @property
    def entries(self) -> int:
        """As many as there are: libbpf rounds a ring up to what the kernel takes."""
        return int(self._lib.bpf_map__max_entries(self._pointer))

    def update(self, key: int, value: bytes) -> None:
        """Write one entry; keys are 32 bits wide. Raises OSError."""
        number = ctypes.c_uint32(key)
        result = self._lib.bpf_map_update_elem(
            self.fd, ctypes.byref(number), ctypes.c_char_p(value), ctypes.c_uint64(0)
        )
        if result:
            raise OSError(-result, os.strerror(-result), f"map {self.name}")


class Object:
    """A compiled object: opened, its maps sized, loaded, its programs attached; closed once."""

    def __init__(self, file: Path) -> None:
        self._library = library()
        self._lib = self._library.lib
        self._links: list[int] = []
        pointer = self._lib.bpf_object__open_file(os.fsencode(file), None)
        self._pointer = ctypes.c_void_p(pointer)
        if not pointer:
            raise self._error(f"{file} cannot be opened", ctypes.get_errno())

    def map(self, name: str) -> Map:
        """The map of that name."""
        pointer = self._lib.bpf_object__find_map_by_name(self._pointer, name.encode())
        if not pointer:
            raise ProbeError(f"the eBPF object has no map {name}: it belongs to another version")
        return Map(self._library, pointer, name)

    def load(self) -> None:
        """Hand maps and programs to the kernel. Raises ProbeError with what the kernel said."""
        result = self._lib.bpf_object__load(self._pointer)
        if result:
            raise self._error("the kernel does not take the eBPF program", -result)

    def attach(self, program: str) -> None:
        """Let the program run from now on, until `close`. Raises ProbeError."""
        found = self._lib.bpf_object__find_program_by_name(self._pointer, program.encode())
        if not found:
            raise ProbeError(f"the eBPF object has no program {program}: it belongs to another version")
        link = self._lib.bpf_program__attach(ctypes.c_void_p(found))
        if not link:
            raise self._error(f"{program} cannot be attached", ctypes.get_errno())
        self._links.append(link)

    def detach(self) -> None:
        """Let no program run any more; maps stay until `close`."""
        while self._links:
            self._lib.bpf_link__destroy(ctypes.c_void_p(self._links.pop()))

    def close(self) -> None:
        """Detach and free everything; may be called twice."""
        self.detach()
        if self._pointer:
            self._lib.bpf_object__close(self._pointer)
            self._pointer = ctypes.c_void_p(None)

    def _error(self, what: str, number: int) -> ProbeError:
        name = errno.errorcode.get(number, str(number))
        with suppress(ValueError, OverflowError):
            name = f"{name}, {os.strerror(number)}"
        return ProbeError(f"{what} ({name}){self._library.log.end()}")
