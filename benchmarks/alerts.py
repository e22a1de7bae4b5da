"""Alerts of about 1.1 KB for load, as Falco writes them, each with its own uuid."""

from __future__ import annotations

import itertools
import json
import time
import uuid

_FIELDS = {
    "container.id": "host",
    "container.image.repository": None,
    "evt.time": "@",
    "evt.type": "openat",
    "fd.name": "/etc/shadow",
    "proc.aname[2]": "sshd",
    "proc.aname[3]": "sshd",
    "proc.aname[4]": "systemd",
    "proc.cmdline": "cat /etc/shadow",
    "proc.exepath": "/usr/bin/cat",
    "proc.name": "cat",
    "proc.pcmdline": "bash -l",
    "proc.pname": "bash",
    "proc.tty": 34816,
    "user.loginuid": 1000,
    "user.name": "root",
    "user.uid": 0,
}
_ALERT = {
    "hostname": "node-17",
    "output": "16:31:56.746609046: Warning Sensitive file opened for reading by non-trusted program | "
    "file=/etc/shadow gparent=sshd ggparent=sshd gggparent=systemd evt_type=openat user=root user_uid=0 "
    "user_loginuid=1000 process=cat proc_exepath=/usr/bin/cat parent=bash command=cat /etc/shadow "
    "terminal=34816 container_id=host container_name=host",
    "output_fields": _FIELDS,
    "priority": "Warning",
    "rule": "Read sensitive file untrusted",
    "source": "syscall",
    "tags": ["T1555", "container", "filesystem", "host", "maturity_stable", "mitre_credential_access"],
    "time": "2026-10-09T23:31:56.746609046Z",
    "uuid": "@",
}


class Alerts:
    """`next(alerts)` is one alert's JSON; all have the same length, no two the same uuid."""

    def __init__(self) -> None:
        text = json.dumps(_ALERT, separators=(",", ":")).encode()
        self._head, self._middle, self._tail = text.replace(b'"evt.time":"@"', b'"evt.time":@').split(b"@")
        self._run = uuid.uuid4().hex[:20].encode()
        self._numbers = itertools.count()
        self.length = len(next(self))

    def __iter__(self) -> Alerts:
        return self

    def __next__(self) -> bytes:
        return self.at(time.time_ns())

    def at(self, time_ns: int) -> bytes:
        """One that is taken to be posted then: latency counts from there."""
        return b"%s%d%s%s%012x%s" % (
            self._head,
            time_ns,
            self._middle,
            self._run,
            next(self._numbers),
            self._tail,
        )
