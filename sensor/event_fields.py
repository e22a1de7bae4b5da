"""evt.*: the event itself, its parameters and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from condition.fields import Kind, UnknownFieldError
from sensor import rendering
from sensor.event import Event, Exec, File, Socket
from sensor.field import Entry, Getter, with_argument
from sensor.table import BY_EVENT

OPENS = frozenset({"open", "openat", "openat2", "creat", "open_by_handle_at"})


def _opened_with(bit: int) -> Getter:
    def get(event: Event) -> bool:
        detail = event.detail
        return type(detail) is File and bool(detail.flags & bit)

    return get


def _created(event: Event) -> bool:
    detail = event.detail
    return type(detail) is File and bool(detail.flags & rendering.OPEN_CREATED)


def _open_exec(event: Event) -> bool:
    detail = event.detail
    if type(detail) is not File:
        return False
    made = rendering.OPEN_CREAT | rendering.OPEN_TMPFILE
    return bool(detail.flags & made) and bool(detail.mode & 0o111)


def _res(event: Event) -> str | None:
    return None if event.res is None else rendering.result_text(event.res)


def _datetime(digits: bool) -> Getter:
    def get(event: Event) -> str:
        seconds, rest = divmod(event.time_ns, 1_000_000_000)
        text = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
        return f"{text}.{rest:09d}" if digits else text

    return get


# --- parameters -------------------------------------------------------------------------------------


def _exec_flags(exec_: Exec) -> str:
    bits = (
        (exec_.writable, "EXE_WRITABLE"),
        (exec_.upper_layer, "EXE_UPPER_LAYER"),
        (exec_.from_memfd, "EXE_FROM_MEMFD"),
        (exec_.lower_layer, "EXE_LOWER_LAYER"),
    )
    return "|".join(name for on, name in bits if on) or "0"


_FILE: Mapping[str, Callable[[File], Any]] = {
    "fd": lambda file: file.fd,
    "name": lambda file: file.name,
    "flags": lambda file: file.flags,
    "mode": lambda file: file.mode,
    "dev": lambda file: file.dev,
    "ino": lambda file: file.ino,
}
_EXEC: Mapping[str, Callable[[Exec], Any]] = {
    "exe": lambda exec_: exec_.argv[0] if exec_.argv else "",
    "args": lambda exec_: " ".join(exec_.argv[1:]),
    "cwd": lambda exec_: "",  # Falco's execve leaves it empty
    "env": lambda exec_: " ".join(exec_.env),
    "flags": _exec_flags,
    "exe_ino": lambda exec_: exec_.ino,
    "exe_ino_ctime": lambda exec_: exec_.ctime_ns,
    "exe_ino_mtime": lambda exec_: exec_.mtime_ns,
    "trusted_exepath": lambda exec_: exec_.exepath,
    "filename": lambda exec_: exec_.filename,
}


def raw_argument(event: Event, name: str) -> Any:
    """A parameter as number or text; None if the event has none of that name."""
    if name == "res":
        return event.res
    if name in event.params:
        return event.params[name]
    detail = event.detail
    if type(detail) is File and name in _FILE:
        return _FILE[name](detail)
    if type(detail) is Exec and name in _EXEC:
        return _EXEC[name](detail)
    if type(detail) is Socket and name == "fd":
        return detail.fd
    if event.type in ("execve", "execveat"):
        return _caller(event, name)
    return None


def _caller(event: Event, name: str) -> Any:
    """The parameters of an execve that tell about the process."""
    task = event.task
    if name == "flags":  # of an execve that failed
        return "0"
    return {
        "comm": task.comm,
        "tid": task.tid,
        "pid": task.pid,
        "ptid": task.ancestors[0].pid if task.ancestors else None,
        "tty": task.tty,
        "vpgid": task.vpgid,
        "loginuid": task.loginuid,
        "uid": task.uid,
        "gid": task.gid,
        "pgid": task.pgid,
    }.get(name)


def argument(event: Event, name: str) -> str | None:
    """A parameter in the form that has words where there are words: AF_PACKET, O_TRUNC, ENOENT."""
    value = raw_argument(event, name)
    if value is None:
        return None
    return _words(event, name, value) or _plain(name, value)


def _plain(name: str, value: Any) -> str:
    if name == "mode" and isinstance(value, int):
        return f"0{value:o}"
    return str(value)


def _words(event: Event, name: str, value: Any) -> str | None:
    if not isinstance(value, int):
        return None
    if name == "res":
        return rendering.result_text(value) if value < 0 else None
    if name == "flags" and event.type in OPENS:
        return rendering.flags_text(value, rendering.OPEN_FLAGS)
    if name == "flags" and event.type == "linkat":
        return rendering.flags_text(value, rendering.LINK_FLAGS)
    if name == "request" and event.type == "ptrace":
        return rendering.PTRACE_REQUESTS.get(value)
    if name == "domain":
        return rendering.FAMILIES.get(value)
    return None


def arguments(event: Event) -> str:
    """evt.args: `domain=17(AF_PACKET) type=3 proto=0`."""
    parts = []
    call = BY_EVENT.get(event.type)
    for name in [one.name for one in call.params] if call is not None else []:
        value = raw_argument(event, name)
        words = _words(event, name, value)
        plain = "<NA>" if value is None else _plain(name, value)
        parts.append(f"{name}={plain}({words})" if words else f"{name}={plain}")
    return " ".join(parts)


def _arg(render: Callable[[Event, str], Any]) -> Callable[[str | None], tuple[Getter, None]]:
    def make(arg: str | None) -> tuple[Getter, None]:
        if not arg:
            raise UnknownFieldError("evt.arg needs the name of a parameter, such as evt.arg.flags")
        return (lambda event: render(event, arg)), None

    return make


def _raw_text(event: Event, name: str) -> str | None:
    value = raw_argument(event, name)
    return None if value is None else str(value)


FIELDS: dict[str, Entry] = {
    "evt.type": Entry(Kind.STRING, lambda event: event.type),
    "evt.num": Entry(Kind.NUMBER, lambda event: event.num),
    "evt.cpu": Entry(Kind.NUMBER, lambda event: event.cpu),
    "evt.time": Entry(Kind.NUMBER, lambda event: event.time_ns),
    "evt.time.iso8601": Entry(Kind.NUMBER, lambda event: event.time_ns),
    "evt.rawtime": Entry(Kind.NUMBER, lambda event: event.time_ns),
    "evt.rawtime.s": Entry(Kind.NUMBER, lambda event: event.time_ns // 1_000_000_000),
    "evt.rawtime.ns": Entry(Kind.NUMBER, lambda event: event.time_ns % 1_000_000_000),
    "evt.datetime": Entry(Kind.STRING, _datetime(digits=True)),
    "evt.datetime.s": Entry(Kind.STRING, _datetime(digits=False)),
    "evt.dir": Entry(Kind.STRING, lambda event: "<"),
    "evt.source": Entry(Kind.STRING, lambda event: "syscall"),
    "evt.count": Entry(Kind.NUMBER, lambda event: 1),
    "evt.res": Entry(Kind.STRING, _res),
    "evt.rawres": Entry(Kind.NUMBER, lambda event: event.res),
    "evt.failed": Entry(Kind.BOOL, lambda event: event.res is not None and event.res < 0),
    "evt.is_open_read": Entry(Kind.BOOL, _opened_with(rendering.OPEN_READ)),
    "evt.is_open_write": Entry(Kind.BOOL, _opened_with(rendering.OPEN_WRITE)),
    "evt.is_open_create": Entry(Kind.BOOL, _created),
    "evt.is_open_exec": Entry(Kind.BOOL, _open_exec),
    "evt.args": Entry(Kind.STRING, arguments),
    "evt.arg": with_argument(Kind.STRING, _arg(argument)),
    "evt.rawarg": with_argument(Kind.STRING, _arg(_raw_text)),
}
