"""proc.*, thread.*: the calling process and those above it.

Names and numbers are the kernel's at the time of the event; what a process runs comes from the process table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from condition.fields import Kind, Many
from sensor.event import Ancestor, Event, Exec, Task
from sensor.field import Entry, Getter, Maker, number, with_argument
from sensor.image import Image
from sensor.processes import Process
from sensor.rendering import capabilities_text


def image_of(event: Event) -> Image | None:
    """What the calling process runs; after a successful exec, the new program."""
    process: Process = event.process
    return process.image


def parent_image(event: Event) -> Image | None:
    """What the parent runs."""
    return ancestor_image(event, 1)


def ancestor_image(event: Event, level: int) -> Image | None:
    """What the process `level` steps up runs; 0 is the caller."""
    if level == 0:
        return image_of(event)
    ancestors = event.task.ancestors
    if level > len(ancestors):
        return None
    process: Process = event.process
    return process.table.find(ancestors[level - 1]).image


def _from_image(get: Callable[[Image], Any], of: Callable[[Event], Image | None] = image_of) -> Getter:
    def read(event: Event) -> Any:
        image = of(event)
        return get(image) if image is not None else None

    return read


def _line(comm: str, image: Image | None) -> str:
    return f"{comm} {image.args}" if image is not None and image.args else comm


def cmdline(event: Event) -> str:
    """The name and the arguments, as Falco joins them."""
    return _line(event.task.comm, image_of(event))


def _pcmdline(event: Event) -> str | None:
    ancestors = event.task.ancestors
    return _line(ancestors[0].comm, parent_image(event)) if ancestors else None


def _exeline(event: Event) -> str | None:
    image = image_of(event)
    return " ".join(image.argv) if image is not None else None


def _cwd(event: Event) -> str | None:
    detail = event.detail
    process: Process = event.process
    path = detail.cwd if type(detail) is Exec else process.cwd
    if path is None:
        return None
    return path if path.endswith("/") else path + "/"


def _parent(get: Callable[[Ancestor], Any]) -> Getter:
    def read(event: Event) -> Any:
        ancestors = event.task.ancestors
        return get(ancestors[0]) if ancestors else None

    return read


def _above(name: str, of_self: Callable[[Task], Any], get: Callable[[Ancestor], Any]) -> Maker:
    """`name[n]` is one process upward, `name` all of them: an operator holds if any satisfies it."""

    def make(arg: str | None) -> tuple[Getter, Many | None]:
        if arg is None:
            return (lambda event: tuple(get(one) for one in event.task.ancestors)), Many.ANY
        level = number(name, arg)
        if level == 0:
            return (lambda event: of_self(event.task)), None

        def read(event: Event) -> Any:
            ancestors = event.task.ancestors
            return get(ancestors[level - 1]) if level <= len(ancestors) else None

        return read, None

    return make


def _image_above(name: str, get: Callable[[str, Image | None], Any]) -> Maker:
    """As `_above`, for what is known of a program; `get` has the process's name and its image."""

    def make(arg: str | None) -> tuple[Getter, Many | None]:
        if arg is None:
            return every, Many.ANY
        level = number(name, arg)
        return (lambda event: one(event, level)), None

    def one(event: Event, level: int) -> Any:
        task = event.task
        if level > len(task.ancestors):
            return None
        comm = task.ancestors[level - 1].comm if level else task.comm
        return get(comm, ancestor_image(event, level))

    def every(event: Event) -> tuple[Any, ...]:
        found = (one(event, level) for level in range(1, len(event.task.ancestors) + 1))
        return tuple(value for value in found if value is not None)

    return make


def _env(arg: str | None) -> tuple[Getter, Many | None]:
    if arg is None:
        return _from_image(lambda image: " ".join(image.env)), None
    prefix = arg + "="

    def read(event: Event) -> str | None:
        image = image_of(event)
        found = (one for one in image.env if one.startswith(prefix)) if image is not None else iter(())
        value = next(found, None)
        return value[len(prefix) :] if value is not None else None

    return read, None


def _capabilities(get: Callable[[Task], int]) -> Getter:
    return lambda event: capabilities_text(get(event.task))


def timed_fields(boot_epoch_ns: int) -> dict[str, Entry]:
    """The fields that need to know when the machine started, in nanoseconds since the epoch."""

    def ctime_age(event: Event) -> int | None:
        image = image_of(event)
        if image is None or image.ctime_ns is None:
            return None
        return max(0, boot_epoch_ns + event.task.start_ns - image.ctime_ns)

    def parent_age(event: Event) -> int | None:
        ancestors = event.task.ancestors
        return max(0, event.time_ns - boot_epoch_ns - ancestors[0].start_ns) if ancestors else None

    return {
        "proc.pid.ts": Entry(Kind.NUMBER, lambda event: boot_epoch_ns + event.task.start_ns),
        "proc.ppid.ts": Entry(Kind.NUMBER, _parent(lambda one: boot_epoch_ns + one.start_ns)),
        "proc.duration": Entry(
            Kind.NUMBER, lambda event: max(0, event.time_ns - boot_epoch_ns - event.task.start_ns)
        ),
        "proc.ppid.duration": Entry(Kind.NUMBER, parent_age),
        "proc.exe_ino.ctime_duration_proc_start": Entry(Kind.NUMBER, ctime_age),
    }


def _exepath(_: str, image: Image | None) -> str | None:
    return image.exepath if image is not None else None


def _exe(_: str, image: Image | None) -> str | None:
    return image.exe if image is not None else None


FIELDS: dict[str, Entry] = {
    "proc.name": Entry(Kind.STRING, lambda event: event.task.comm),
    "proc.pname": Entry(Kind.STRING, _parent(lambda one: one.comm)),
    "proc.sname": Entry(Kind.STRING, lambda event: event.task.session_comm),
    "proc.pid": Entry(Kind.NUMBER, lambda event: event.task.pid),
    "proc.ppid": Entry(Kind.NUMBER, _parent(lambda one: one.pid)),
    "proc.vpid": Entry(Kind.NUMBER, lambda event: event.task.vpid),
    "proc.vpgid": Entry(Kind.NUMBER, lambda event: event.task.vpgid),
    "proc.pgid": Entry(Kind.NUMBER, lambda event: event.task.pgid),
    "proc.is_vpgid_leader": Entry(Kind.BOOL, lambda event: event.task.vpid == event.task.vpgid),
    "proc.is_pgid_leader": Entry(Kind.BOOL, lambda event: event.task.pid == event.task.pgid),
    "proc.tty": Entry(Kind.NUMBER, lambda event: event.task.tty),
    "proc.exe": Entry(Kind.STRING, _from_image(lambda image: image.exe)),
    "proc.exepath": Entry(Kind.STRING, _from_image(lambda image: image.exepath)),
    "proc.args": Entry(Kind.STRING, _from_image(lambda image: image.args)),
    "proc.cmdnargs": Entry(Kind.NUMBER, _from_image(lambda image: max(0, len(image.argv) - 1))),
    "proc.cmdlenargs": Entry(Kind.NUMBER, _from_image(lambda image: sum(map(len, image.argv[1:])))),
    "proc.cmdline": Entry(Kind.STRING, cmdline),
    "proc.exeline": Entry(Kind.STRING, _exeline),
    "proc.pexe": Entry(Kind.STRING, _from_image(lambda image: image.exe, parent_image)),
    "proc.pexepath": Entry(Kind.STRING, _from_image(lambda image: image.exepath, parent_image)),
    "proc.pcmdline": Entry(Kind.STRING, _pcmdline),
    "proc.cwd": Entry(Kind.STRING, _cwd),
    "proc.env": with_argument(Kind.STRING, _env),
    "proc.is_exe_writable": Entry(Kind.BOOL, _from_image(lambda image: image.writable)),
    "proc.is_exe_upper_layer": Entry(Kind.BOOL, _from_image(lambda image: image.upper_layer)),
    "proc.is_exe_lower_layer": Entry(Kind.BOOL, _from_image(lambda image: image.lower_layer)),
    "proc.is_exe_from_memfd": Entry(Kind.BOOL, _from_image(lambda image: image.from_memfd)),
    "proc.exe_ino": Entry(Kind.NUMBER, _from_image(lambda image: image.ino)),
    "proc.exe_ino.ctime": Entry(Kind.NUMBER, _from_image(lambda image: image.ctime_ns)),
    "proc.exe_ino.mtime": Entry(Kind.NUMBER, _from_image(lambda image: image.mtime_ns)),
    "proc.aname": with_argument(
        Kind.STRING, _above("proc.aname", lambda task: task.comm, lambda one: one.comm)
    ),
    "proc.apid": with_argument(Kind.NUMBER, _above("proc.apid", lambda task: task.pid, lambda one: one.pid)),
    "proc.aexe": with_argument(Kind.STRING, _image_above("proc.aexe", _exe)),
    "proc.aexepath": with_argument(Kind.STRING, _image_above("proc.aexepath", _exepath)),
    "proc.acmdline": with_argument(Kind.STRING, _image_above("proc.acmdline", _line)),
    "thread.tid": Entry(Kind.NUMBER, lambda event: event.task.tid),
    "thread.vtid": Entry(Kind.NUMBER, lambda event: event.task.vtid),
    "thread.ismain": Entry(Kind.BOOL, lambda event: event.task.tid == event.task.pid),
    "thread.cgroups": Entry(Kind.STRING, lambda event: event.task.cgroup.replace("\n", " ")),
    "thread.cap_effective": Entry(Kind.STRING, _capabilities(lambda task: task.cap_effective)),
    "thread.cap_permitted": Entry(Kind.STRING, _capabilities(lambda task: task.cap_permitted)),
    "thread.cap_inheritable": Entry(Kind.STRING, _capabilities(lambda task: task.cap_inheritable)),
}
