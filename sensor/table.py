"""The one table of system calls: numbers, Falco's event, its parameters, and the fields they feed.

The BPF program's set of calls, the decoder, `sensor fields` and the documentation come from it. Order and
names of parameters are Falco's (event_table.c); numbers are rendered as words by `sensor.rendering`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """What the BPF program collects beside the task and the six arguments; the values are its own."""

    PLAIN = 0  # the arguments alone
    OPEN = 1  # path, directory, the opened file
    PATHS = 2  # two strings of the caller, and the directories they are relative to
    SOCKET = 3  # the socket behind a descriptor, and an address that was passed
    EXEC = 4  # the file name that could not be executed


@dataclass(frozen=True, slots=True)
class Parameter:
    """`source`: `res`, `argN` (register N), `strN` (N-th string), `dirN` or `sock` (read from the kernel)."""

    name: str
    type: str  # Falco's: int, fd, uint, flags, path, relpath, text, tuple, addr, errno, enum
    source: str


@dataclass(frozen=True, slots=True)
class SystemCall:
    """One system call as Falco names its event; a number is None where the architecture has no such call.

    `strings`: registers that hold the paths; `dirs`: registers of the directory descriptors, -1 for the cwd;
    `fd`: what names the socket, a register number or -1 for the result; `address`: register of a sockaddr.
    """

    event: str
    x86_64: int | None
    arm64: int | None
    kind: Kind
    params: tuple[Parameter, ...]
    fields: tuple[str, ...] = ()
    strings: tuple[int, ...] = ()
    dirs: tuple[int, ...] = ()
    fd: int | None = None
    address: int | None = None
    message: bool = False  # `address` is that of a msghdr
    flags: int | None = None  # register of the open flags; for openat2, of struct open_how


def _p(text: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(*one.split(":")) for one in text.split())


_FILE = ("fd.name", "fd.nameraw", "fd.num", "fd.typechar", "fd.directory", "fd.filename")
_SOCK = ("fd.name", "fd.type", "fd.sip", "fd.sport", "fd.cip", "fd.cport", "fd.l4proto")
_DUP_FD = "res:fd:res oldfd:fd:arg0"

SYSTEM_CALLS: tuple[SystemCall, ...] = (
    SystemCall(
        "open",
        2,
        None,
        Kind.OPEN,
        _p("fd:fd:res name:path:str0 flags:flags:arg1 mode:uint:arg2"),
        _FILE,
        (0,),
        (-1,),
        flags=1,
    ),
    SystemCall(
        "creat", 85, None, Kind.OPEN, _p("fd:fd:res name:path:str0 mode:uint:arg1"), _FILE, (0,), (-1,)
    ),
    SystemCall(
        "openat",
        257,
        56,
        Kind.OPEN,
        _p("fd:fd:res dirfd:fd:arg0 name:relpath:str0 flags:flags:arg2 mode:uint:arg3"),
        _FILE,
        (1,),
        (0,),
        flags=2,
    ),
    SystemCall(
        "openat2",
        437,
        437,
        Kind.OPEN,
        _p("fd:fd:res dirfd:fd:arg0 name:relpath:str0 flags:flags:arg2 mode:uint:arg3"),
        _FILE,
        (1,),
        (0,),
        flags=2,
    ),
    SystemCall(
        "symlink",
        88,
        None,
        Kind.PATHS,
        _p("res:errno:res target:text:str0 linkpath:path:str1"),
        (),
        (0, 1),
        (-2, -1),
    ),
    SystemCall(
        "symlinkat",
        266,
        36,
        Kind.PATHS,
        _p("res:errno:res target:text:str0 linkdirfd:fd:arg1 linkpath:relpath:str1"),
        (),
        (0, 2),
        (-2, 1),
    ),
    SystemCall(
        "link",
        86,
        None,
        Kind.PATHS,
        _p("res:errno:res oldpath:path:str0 newpath:path:str1"),
        (),
        (0, 1),
        (-1, -1),
    ),
    SystemCall(
        "linkat",
        265,
        37,
        Kind.PATHS,
        _p(
            "res:errno:res olddir:fd:arg0 oldpath:relpath:str0 newdir:fd:arg2 newpath:relpath:str1 "
            "flags:flags:arg4"
        ),
        (),
        (1, 3),
        (0, 2),
    ),
    SystemCall(
        "connect",
        42,
        203,
        Kind.SOCKET,
        _p("res:errno:res tuple:tuple:sock fd:fd:arg0 addr:addr:sock"),
        _SOCK,
        fd=0,
        address=1,
    ),
    SystemCall(
        "sendto",
        44,
        206,
        Kind.SOCKET,
        _p("res:errno:res fd:fd:arg0 size:uint:arg2 tuple:tuple:sock"),
        _SOCK,
        fd=0,
        address=4,
    ),
    SystemCall(
        "sendmsg",
        46,
        211,
        Kind.SOCKET,
        _p("res:errno:res fd:fd:arg0 tuple:tuple:sock"),
        _SOCK,
        fd=0,
        address=1,
        message=True,
    ),
    SystemCall("dup", 32, 23, Kind.SOCKET, _p(_DUP_FD), _SOCK, fd=-1),
    SystemCall("dup2", 33, None, Kind.SOCKET, _p(_DUP_FD + " newfd:fd:arg1"), _SOCK, fd=-1),
    SystemCall("dup3", 292, 24, Kind.SOCKET, _p(_DUP_FD + " newfd:fd:arg1 flags:flags:arg2"), _SOCK, fd=-1),
    SystemCall(
        "socket",
        41,
        198,
        Kind.PLAIN,
        _p("fd:fd:res domain:enum:arg0 type:uint:arg1 proto:uint:arg2"),
        ("fd.num",),
    ),
    SystemCall(
        "ptrace",
        101,
        117,
        Kind.PLAIN,
        _p("res:errno:res addr:uint:arg2 data:uint:arg3 request:enum:arg0 pid:int:arg1"),
    ),
    SystemCall(
        "init_module",
        175,
        105,
        Kind.PLAIN,
        _p("res:errno:res img:uint:arg0 length:uint:arg1 uargs:uint:arg2"),
    ),
    SystemCall(
        "finit_module", 313, 273, Kind.PLAIN, _p("res:errno:res fd:fd:arg0 uargs:uint:arg1 flags:uint:arg2")
    ),
    SystemCall(
        "execve", 59, 221, Kind.EXEC, _p("res:errno:res filename:path:str0"), ("proc.name",), (0,), (-1,)
    ),
    SystemCall(
        "execveat",
        322,
        281,
        Kind.EXEC,
        _p("res:errno:res dirfd:fd:arg0 filename:relpath:str0 flags:flags:arg4"),
        ("proc.name",),
        (1,),
        (0,),
    ),
)

SOCKETCALL = 900
"""The calls of i386's socketcall stand from here on, by their numbers in linux/net.h."""

I386: dict[str, tuple[int, ...]] = {
    "open": (5,),
    "creat": (8,),
    "openat": (295,),
    "openat2": (437,),
    "symlink": (83,),
    "symlinkat": (304,),
    "link": (9,),
    "linkat": (303,),
    "connect": (362, SOCKETCALL + 3),
    "sendto": (369, SOCKETCALL + 11),
    "sendmsg": (370, SOCKETCALL + 16),
    "dup": (41,),
    "dup2": (63,),
    "dup3": (330,),
    "socket": (359, SOCKETCALL + 1),
    "ptrace": (26,),
    "init_module": (128,),
    "finit_module": (350,),
    "execve": (11,),
    "execveat": (358,),
}
"""The numbers of 32-bit programs on x86-64, `int 0x80` of 64-bit ones too; arguments are the same."""

BY_EVENT: dict[str, SystemCall] = {call.event: call for call in SYSTEM_CALLS}
#: Delivered from the scheduler's tracepoints, whatever rules are loaded.
PROCESS_EVENTS = ("clone", "execve", "procexit")
SUPPORTED_EVENTS = frozenset(BY_EVENT) | frozenset(PROCESS_EVENTS)


def number(call: SystemCall, arch: str) -> int | None:
    """The system call's number on `arch` (`x86_64` or `aarch64`); None where it does not exist."""
    if arch == "x86_64":
        return call.x86_64
    if arch in {"aarch64", "arm64"}:
        return call.arm64
    raise ValueError(f"no system call numbers for {arch!r}; known: x86_64, aarch64")
