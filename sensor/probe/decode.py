"""A record's bytes as an event. Whatever the bytes are, a record is an event or is counted as corrupt."""

from __future__ import annotations

import struct
from functools import lru_cache

from sensor.event import Ancestor, Event, Task
from sensor.probe import paths
from sensor.probe.calls import Call, detail_of
from sensor.probe.executable import executed
from sensor.probe.record import (
    ANCESTOR,
    CHILD_AT,
    CHUNKS_AT,
    HEAD,
    MAGIC,
    TASK,
    TASK_AT,
    CorruptError,
    Tag,
    Type,
    chunks,
    text,
)
from sensor.table import SYSTEM_CALLS, number

_HAS_SESSION, _CUT = 1, 2
"""Bits of a task's flags."""


@lru_cache(maxsize=1024)
def _ancestors(raw: bytes) -> tuple[Ancestor, ...]:
    if len(raw) % ANCESTOR.size:
        raise CorruptError("a part of an ancestor")
    return tuple(Ancestor(pid, start, text(comm)) for pid, _, start, comm in ANCESTOR.iter_unpack(raw))


@lru_cache(maxsize=1024)
def _cgroup(cgroups: tuple[bytes, ...]) -> str:
    """One path a line; hierarchies that say the same are one."""
    return "\n".join(dict.fromkeys(paths.walked(one)[0] for one in cgroups))


@lru_cache(maxsize=4096)
def _task(raw: bytes, ancestors: bytes, cgroups: tuple[bytes, ...]) -> Task:
    """Remembered by its bytes: a process that does much is decoded once."""
    pid, tid, start, *ids, flags, effective, permitted, inheritable, cgroup_id, comm, session = TASK.unpack(
        raw
    )
    uid, gid, loginuid, pgid, sid, tty, vpid, vtid, vpgid, mnt_ns, pid_ns = ids
    return Task(
        pid=pid,
        tid=tid,
        start_ns=start,
        comm=text(comm),
        uid=uid,
        gid=gid,
        loginuid=loginuid,
        pgid=pgid,
        sid=sid,
        session_comm=text(session) if flags & _HAS_SESSION else None,
        tty=tty,
        vpid=vpid,
        vtid=vtid,
        vpgid=vpgid,
        cap_effective=effective,
        cap_permitted=permitted,
        cap_inheritable=inheritable,
        mnt_ns=mnt_ns,
        pid_ns=pid_ns,
        cgroup_id=cgroup_id,
        cgroup=_cgroup(cgroups),
        ancestors=_ancestors(ancestors),
        ancestors_cut=bool(flags & _CUT),
    )


class Decoder:
    """For the records of one machine. `corrupt` counts what could not be read."""

    def __init__(self, arch: str, boot_epoch_ns: int) -> None:
        """`arch` as platform.machine() gives it; times become times since the epoch by `boot_epoch_ns`."""
        self.corrupt = 0
        self._boot_epoch_ns = boot_epoch_ns
        self._arch = "aarch64" if arch == "arm64" else arch
        self._calls = {number(call, arch): call for call in SYSTEM_CALLS}
        self._num = 0

    def decode(self, record: bytes) -> Event | None:
        """The event; None for a record that is corrupt, which is counted."""
        try:
            event = self._decode(record)
        except (CorruptError, struct.error):
            self.corrupt += 1
            return None
        self._num += 1
        event.num = self._num
        return event

    def _decode(self, record: bytes) -> Event:
        magic, length, type_, nr, cpu, time, res, *args, size, _ = HEAD.unpack_from(record)
        if magic != MAGIC or length != len(record) or size != length - CHUNKS_AT:
            raise CorruptError("not a record of this layout")
        found: dict[int, bytes] = {}
        cgroups: list[bytes] = []
        for tag, content in chunks(record):
            if tag == Tag.CGROUP:
                cgroups.append(content)
            else:
                found[tag] = content
        above, groups = found.get(Tag.ANCESTORS, b""), tuple(cgroups)
        task = _task(record[TASK_AT:CHILD_AT], above, groups)
        event = Event("", self._boot_epoch_ns + time, 0, cpu, task)
        if type_ == Type.SYSCALL:
            call = self._calls.get(nr)
            if call is None:
                raise CorruptError(f"system call {nr} is not in the table")
            event.type, event.res = call.event, res
            event.detail, event.params = detail_of(Call(call, self._arch, res, args, found))
        elif type_ == Type.EXEC:
            event.type, event.res, event.detail = "execve", 0, executed(found, task)
        elif type_ == Type.CLONE:
            event.type, event.res = "clone", res
            event.child = child = _task(record[CHILD_AT:CHUNKS_AT], above, groups)
            # The walk is the child's: with CLONE_PARENT its parent is the caller's parent, not the caller.
            parent = child.ancestors[0] if child.ancestors else None
            if parent is not None and (parent.pid, parent.start_ns) == (task.pid, task.start_ns):
                event.task = _task(record[TASK_AT:CHILD_AT], above[ANCESTOR.size :], groups)
        elif type_ == Type.EXIT:
            event.type = "procexit"
            event.params = {"status": res, "ret": res >> 8 & 0xFF, "sig": res & 0x7F, "core": res >> 7 & 1}
        else:
            raise CorruptError(f"a record of type {type_}")
        return event
