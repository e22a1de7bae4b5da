"""Events made by hand, for tests that need no kernel."""

from __future__ import annotations

from typing import Any

from sensor.event import Ancestor, Event, Exec, File, Task

TICK = 10_000_000
NOW = 1_795_440_789_679_463_601


def task(pid: int = 100, **changes: Any) -> Task:
    values: dict[str, Any] = {
        "pid": pid,
        "tid": pid,
        "start_ns": pid * TICK + 7,
        "comm": "cat",
        "uid": 0,
        "gid": 0,
        "loginuid": -1,
        "pgid": pid,
        "sid": 50,
        "session_comm": "bash",
        "tty": 34816,
        "vpid": pid,
        "vtid": pid,
        "vpgid": pid,
        "cap_effective": 0,
        "cap_permitted": 0,
        "cap_inheritable": 0,
        "mnt_ns": 1,
        "pid_ns": 2,
        "cgroup_id": 3,
        "cgroup": "/user.slice/session-1.scope",
        "ancestors": (
            Ancestor(50, 50 * TICK + 7, "bash"),
            Ancestor(40, 40 * TICK + 7, "sshd"),
            Ancestor(1, 7, "systemd"),
        ),
        "ancestors_cut": False,
    }
    return Task(**(values | changes))


def exec_(*argv: str, **changes: Any) -> Exec:
    values: dict[str, Any] = {
        "argv": argv or ("cat", "/etc/shadow"),
        "env": ("HOME=/root", "LANG=C"),
        "filename": "/usr/bin/cat",
        "exepath": "/usr/bin/cat",
        "cwd": "/root",
        "writable": False,
        "upper_layer": False,
        "lower_layer": False,
        "from_memfd": False,
        "ino": 77,
        "ctime_ns": NOW - 10,
        "mtime_ns": NOW - 20,
    }
    return Exec(**(values | changes))


def file(name: str = "/etc/shadow", **changes: Any) -> File:
    values: dict[str, Any] = {
        "fd": 3,
        "name": name,
        "nameraw": name,
        "kernel_path": name,
        "flags": 1,
        "mode": 0,
        "dev": 8,
        "ino": 9,
    }
    return File(**(values | changes))


def event(type_: str = "openat", **changes: Any) -> Event:
    values: dict[str, Any] = {
        "type": type_,
        "time_ns": NOW,
        "num": 1,
        "cpu": 0,
        "task": task(),
        "res": 3 if type_.startswith("open") else 0,
        "detail": file() if type_.startswith("open") else None,
    }
    return Event(**(values | changes))
