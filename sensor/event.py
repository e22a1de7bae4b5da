"""What the probe hands over: one event of the kernel, decoded, before any look into a table.

Numbers are the initial namespaces' unless a name says otherwise; times are nanoseconds. Text came from bytes
of the kernel with `errors="replace"`; all of it is attacker-controlled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One process upward of the caller, as it was at the time of the event."""

    pid: int
    start_ns: int  # since boot, CLOCK_BOOTTIME; with pid it names a process for ever
    comm: str


@dataclass(frozen=True, slots=True)
class Task:
    """The calling process, read from its task_struct at the time of the event."""

    pid: int  # tgid
    tid: int
    start_ns: int  # of the thread group leader, since boot
    comm: str
    uid: int  # effective
    gid: int  # effective
    loginuid: int  # -1 when not set
    pgid: int
    sid: int
    session_comm: str | None  # of the session leader; None when it is gone
    tty: int  # as in /proc/PID/stat: pts/0 is 34816; 0 is none
    vpid: int  # in its own pid namespace
    vtid: int
    vpgid: int
    cap_effective: int
    cap_permitted: int
    cap_inheritable: int
    mnt_ns: int  # inode number
    pid_ns: int
    cgroup_id: int
    cgroup: str  # full path(s) from the root; several hierarchies are separated by newline
    ancestors: tuple[Ancestor, ...]  # the parent first; ends at init
    ancestors_cut: bool  # the walk stopped at its bound


@dataclass(frozen=True, slots=True)
class File:
    """The file that an open gave, or failed to give."""

    fd: int  # -1 when the call failed
    name: str  # Falco's: absolute, textual, `.` and `..` and `//` collapsed, links not followed
    nameraw: str  # as passed
    kernel_path: str | None  # where the opened file really is, seen from the process's root
    flags: int  # Falco's PPM_O_* bits
    mode: int
    dev: int
    ino: int


@dataclass(frozen=True, slots=True)
class Socket:
    """A connect, send or dup on a socket; addresses are text, v4-mapped v6 already v4."""

    fd: int
    family: int  # AF_*
    protocol: int  # IPPROTO_*; 0 when unknown
    local: tuple[str, int] | None  # address and port
    remote: tuple[str, int] | None
    path: str | None  # of a unix socket
    is_server: bool | None  # None: not known
    peer: tuple[str, int] | None = None  # of a connect: whom the kernel connected to, if not `remote`


@dataclass(frozen=True, slots=True)
class Exec:
    """The new image of a process after a successful execve or execveat."""

    argv: tuple[str, ...]  # at most 4096 bytes
    env: tuple[str, ...]  # at most 4096 bytes
    filename: str  # as passed
    exepath: str  # of the opened executable, up to the mount namespace's root
    cwd: str  # without a trailing slash, as the process sees it
    writable: bool  # EXE_WRITABLE
    upper_layer: bool
    lower_layer: bool
    from_memfd: bool
    ino: int
    ctime_ns: int  # since the epoch
    mtime_ns: int


Detail: TypeAlias = File | Socket | Exec | None


@dataclass(slots=True)
class Event:
    """`type` is Falco's evt.type; process bookkeeping arrives as `clone` and `procexit`.

    `params` has the parameters of `sensor.table` by name, as numbers and text that are not rendered yet
    (`evt.arg.flags` is made of them on demand). `process` is set by the pipeline: sensor.processes.Process.
    """

    type: str
    time_ns: int  # since the epoch
    num: int
    cpu: int
    task: Task
    res: int | None = None  # the system call's result, negative errno on failure
    detail: Detail = None
    params: dict[str, Any] = field(default_factory=dict)
    child: Task | None = None  # of `clone`
    process: Any = None


@dataclass(frozen=True, slots=True)
class Lost:
    """Events that the kernel could not hand over since the last such record."""

    time_ns: int
    count: int
