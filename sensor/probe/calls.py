"""A system call's arguments as what the event is about, and as Falco's parameters, by the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sensor.event import Detail, File, Socket
from sensor.probe import addresses, open_flags, paths
from sensor.probe.executable import inode
from sensor.probe.record import OPENHOW, CorruptError, Inode, Tag, text
from sensor.table import Kind, Parameter, SystemCall

_DIRECTORIES = (Tag.DIR0, Tag.DIR1)
_STRINGS = (Tag.STR0, Tag.STR1)
_OF_FILE = frozenset({"fd", "flags", "mode"})
"""Parameters of an open that are the file's own."""


@dataclass(slots=True)
class Call:
    """One system call as it was recorded."""

    table: SystemCall
    arch: str
    res: int
    args: Sequence[int]
    found: Mapping[int, bytes]


def detail_of(call: Call) -> tuple[Detail, dict[str, Any]]:
    """What the event is about, and its parameters. Raises CorruptError."""
    if call.table.kind is Kind.OPEN:
        file = _file(call)
        return file, {one.name: _value(call, one) for one in call.table.params if one.name not in _OF_FILE}
    params = {one.name: _value(call, one) for one in call.table.params if one.source != "sock"}
    sock = call.found.get(Tag.SOCK)
    if call.table.kind is not Kind.SOCKET or sock is None:
        return None, params
    named = call.table.fd
    fd = signed(call.args[named]) if named is not None and named >= 0 else call.res
    connect = call.table.event == "connect"
    socket, connected = addresses.socket(fd, sock, call.found.get(Tag.ADDR), connect=connect)
    params["connected"] = connected
    params |= {one.name: _of_socket(one, socket) for one in call.table.params if one.source == "sock"}
    return socket, params


def signed(value: int) -> int:
    """A register as the int that it holds."""
    return ((value & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


def _value(call: Call, parameter: Parameter) -> Any:
    """A number, or text; a relative path is made absolute, an absolute one stays as it was passed."""
    source = parameter.source
    if source == "res":
        return call.res
    at = int(source[3:])
    if source.startswith("str"):
        raw = call.found.get(_STRINGS[at])
        if raw is None:
            return None
        passed = text(raw)
        if parameter.type == "text" or passed.startswith("/"):
            return passed
        return paths.joined(_directory(call, at), passed)
    value = call.args[at]
    return signed(value) if parameter.type in ("int", "fd", "enum") else value


def _directory(call: Call, at: int) -> str | None:
    raw = call.found.get(_DIRECTORIES[at])
    return paths.walked(raw)[0] if raw is not None else None


def _of_socket(parameter: Parameter, socket: Socket) -> str:
    if parameter.type == "tuple":
        return addresses.tuple_text(socket)
    return socket.path if socket.path is not None else addresses.text(socket.remote)


def _flags_and_mode(call: Call) -> tuple[int, int]:
    """As passed; openat2 has them in a structure, creat has no flags."""
    if call.table.event == "openat2":
        raw = call.found.get(Tag.OPENHOW)
        if raw is None:
            return 0, 0
        if len(raw) != OPENHOW.size:
            raise CorruptError("an open_how of another size")
        flags, mode, _ = OPENHOW.unpack(raw)
        return flags, mode
    if call.table.flags is None:
        return open_flags.CREAT, call.args[1]
    return call.args[call.table.flags], call.args[call.table.flags + 1]


def _file(call: Call) -> File:
    found = call.found
    flags, mode = _flags_and_mode(call)
    kernel_path = paths.walked(found[Tag.KPATH])[0] if Tag.KPATH in found else None
    raw = found.get(Tag.STR0)
    nameraw = text(raw) if raw is not None else ""
    name = kernel_path or paths.UNKNOWN  # where the text was swapped out, or taken away by another thread
    if raw is not None:
        name = paths.joined(_directory(call, 0), nameraw)
    at = inode(found)
    falco = open_flags.falco_flags(flags, call.arch)
    return File(
        fd=call.res if call.res >= 0 else -1,
        name=name,
        nameraw=nameraw,
        kernel_path=kernel_path,
        flags=falco | open_flags.of_file(at.fmode, at.overlay, at.upper) if at is not None else falco,
        mode=open_flags.falco_mode(flags, mode),
        dev=_device(at) if at is not None else 0,
        ino=at.ino if at is not None else 0,
    )


def _device(one: Inode) -> int:
    """As user space sees it; the kernel keeps 20 bits of minor number."""
    major, minor = one.dev >> 20, one.dev & 0xFFFFF
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12
