"""Every field that the stable rules use, on events made by hand; what is absent is None."""

from __future__ import annotations

from typing import Any

import pytest

from condition.fields import Kind, Many, UnknownFieldError
from sensor.containers import Containers
from sensor.event import Ancestor, Event, Socket
from sensor.fields import SensorFields
from sensor.processes import NoProc, ProcessTable
from sensor.procfs import Identity
from sensor.sockets import Destinations
from sensor.users import Users
from tests.sensor.events import NOW, TICK, event, exec_, file, task

BOOT = NOW - 3_000 * TICK
PASSWD = b"root:x:0:0::/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n"
CONTAINER = "ab" * 32


class Roots:
    def mnt_ns(self, pid: int) -> int | None:
        return 1

    def hidden_file(
        self, pid: int, path: str, limit: int, known: Identity | None
    ) -> tuple[Identity, bytes] | None:
        return Identity(1, 2, 3), PASSWD if path == "/etc/passwd" else b"root:x:0:\n"


@pytest.fixture
def fields() -> SensorFields:
    return SensorFields(Users(Roots()), Containers(), BOOT)


def value(fields: SensorFields, made: Event, name: str) -> Any:
    if made.process is None:
        table = ProcessTable(NoProc(), keep_env=True)
        parent = made.task.ancestors[0] if made.task.ancestors else None
        if parent is not None:
            shell = exec_("-bash", "-l", exepath="/usr/bin/bash", cwd="/home")
            table.observe(event("execve", task=task(parent.pid, start_ns=parent.start_ns), detail=shell))
        if made.type != "execve":
            table.observe(event("execve", task=made.task, detail=exec_()))
        table.observe(made)
    name, _, arg = name.partition("[")
    return fields.resolve(name, arg.rstrip("]") or None).get(made)


OPEN = {
    "evt.type": "openat",
    "evt.res": "SUCCESS",
    "evt.rawres": 3,
    "evt.failed": False,
    "evt.is_open_read": True,
    "evt.is_open_write": False,
    "evt.arg.flags": "O_RDONLY",
    "evt.arg[name]": "/etc/shadow",
    "evt.time": NOW,
    "evt.time.iso8601": NOW,
    "evt.datetime": "2026-11-23 13:33:09.679463601",
    "fd.name": "/etc/shadow",
    "fd.nameraw": "/etc/shadow",
    "fd.directory": "/etc",
    "fd.filename": "shadow",
    "fd.type": "file",
    "fd.typechar": "f",
    "fd.num": 3,
    "fd.sip": None,
    "fd.l4proto": None,
    "proc.name": "cat",
    "proc.exe": "cat",
    "proc.exepath": "/usr/bin/cat",
    "proc.args": "/etc/shadow",
    "proc.cmdline": "cat /etc/shadow",
    "proc.exeline": "cat /etc/shadow",
    "proc.cwd": "/root/",
    "proc.pname": "bash",
    "proc.pexe": "-bash",
    "proc.pexepath": "/usr/bin/bash",
    "proc.pcmdline": "bash -l",
    "proc.aname": ("bash", "sshd", "systemd"),
    "proc.aname[0]": "cat",
    "proc.aname[1]": "bash",
    "proc.aname[2]": "sshd",
    "proc.aname[4]": None,
    "proc.aexepath[1]": "/usr/bin/bash",
    "proc.aexepath[2]": None,
    "proc.acmdline[2]": "sshd",
    "proc.apid[3]": 1,
    "proc.sname": "bash",
    "proc.tty": 34816,
    "proc.duration": 2_900 * TICK - 7,
    "proc.env": "HOME=/root LANG=C",
    "proc.env[LANG]": "C",
    "proc.env[LAN]": None,
    "proc.is_exe_from_memfd": False,
    "proc.is_exe_upper_layer": False,
    "user.uid": 0,
    "user.name": "root",
    "user.loginuid": -1,
    "user.loginname": "<NA>",
    "group.gid": 0,
    "group.name": "root",
    "thread.cap_effective": "",
    "container.id": "host",
    "container.name": "host",
    "container.image.repository": "",
    "container.image.tag": "",
    "container.start_ts": BOOT + 7,
    "k8s.ns.name": None,
}


@pytest.mark.parametrize("name", OPEN)
def test_an_open(fields: SensorFields, name: str) -> None:
    assert value(fields, event(), name) == OPEN[name]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (0b1_0000_0110 | 1 << 14, "O_TRUNC|O_CREAT|O_WRONLY|O_F_CREATED"),
        (3, "O_RDWR"),
        (1 | 1 << 12 | 1 << 10, "O_DIRECTORY|O_RDONLY|O_CLOEXEC"),
        (0, "0"),
    ],
)
def test_open_flags_are_in_falcos_order(fields: SensorFields, flags: int, text: str) -> None:
    assert value(fields, event(detail=file(flags=flags)), "evt.arg.flags") == text


def test_a_directory_is_one_only_if_asked_for_as_such(fields: SensorFields) -> None:
    assert value(fields, event(detail=file("/etc", flags=1 | 1 << 10)), "fd.typechar") == "d"
    assert value(fields, event(detail=file("/etc", flags=1)), "fd.typechar") == "f"
    assert value(fields, event(detail=file("/etc")), "fd.directory") == "/"


def test_a_failed_open(fields: SensorFields) -> None:
    failed = file(fd=-1, kernel_path=None)
    made = event(detail=failed, res=-13)
    assert value(fields, made, "evt.res") == "EACCES"
    assert value(fields, made, "fd.num") == -1
    assert value(fields, made, "fd.typechar") == "f"
    assert value(fields, event("open", detail=failed, res=-2), "fd.typechar") == "o"


EXEC = {
    "evt.arg.flags": "EXE_WRITABLE|EXE_FROM_MEMFD",
    "evt.arg.filename": "/proc/self/fd/5",
    "fd.name": None,
    "fd.num": None,
    "evt.is_open_write": False,
    "proc.name": "5",
    "proc.exepath": "memfd:program",
    "proc.cmdline": "5 run helper",
    "proc.args": "run helper",
    "proc.exe": "program",
    "proc.cwd": "/",
    "proc.is_exe_from_memfd": True,
    "proc.exe_ino.ctime": NOW - 10,
    "proc.exe_ino.ctime_duration_proc_start": 0,
}


@pytest.mark.parametrize("name", EXEC)
def test_an_exec(fields: SensorFields, name: str) -> None:
    detail = exec_(
        "program",
        "run",
        "helper",
        filename="/proc/self/fd/5",
        exepath="memfd:program",
        cwd="/",
        writable=True,
        from_memfd=True,
    )
    assert value(fields, event("execve", task=task(comm="5"), detail=detail), name) == EXEC[name]


def test_a_failed_exec_is_judged_with_the_callers_image(fields: SensorFields) -> None:
    table = ProcessTable(NoProc())
    table.observe(event("execve", task=task(), detail=exec_("sh", "-c", "x", exepath="/bin/sh")))
    failed = event("execve", res=-2, params={"filename": "/nowhere"})
    table.observe(failed)
    assert value(fields, failed, "proc.exepath") == "/bin/sh"
    assert value(fields, failed, "evt.arg.filename") == "/nowhere"
    assert value(fields, failed, "evt.arg.flags") == "0"


SOCKET = Socket(5, 2, 6, ("10.0.0.1", 5555), ("1.2.3.4", 443), None, is_server=False)


def test_a_connect(fields: SensorFields) -> None:
    made = event("connect", detail=SOCKET, res=-115)
    expected = {
        "fd.name": "10.0.0.1:5555->1.2.3.4:443",
        "fd.type": "ipv4",
        "fd.typechar": "4",
        "fd.l4proto": "tcp",
        "fd.cip": "10.0.0.1",
        "fd.sip": "1.2.3.4",
        "fd.snet": "1.2.3.4",
        "fd.sport": 443,
        "fd.lport": 5555,
        "fd.rport": 443,
        "fd.ip": ("10.0.0.1", "1.2.3.4"),
        "fd.port": (5555, 443),
        "fd.connected": True,
        "fd.directory": None,
        "evt.res": "EINPROGRESS",
    }
    assert {name: value(fields, made, name) for name in expected} == expected
    assert fields.resolve("fd.ip", None).many is Many.PAIR
    assert fields.resolve("fd.snet", None).kind is Kind.NET


def test_a_server_is_at_the_other_end(fields: SensorFields) -> None:
    server = Socket(5, 10, 6, ("::1", 22), ("2001:db8::1", 999), None, is_server=True)
    made = event("dup2", detail=server, res=0)
    assert value(fields, made, "fd.name") == "2001:db8::1:999->::1:22"
    assert value(fields, made, "fd.sport") == 22
    assert value(fields, made, "fd.cip") == "2001:db8::1"
    assert value(fields, made, "fd.typechar") == "6"


def test_a_v6_socket_that_speaks_v4_is_v4(fields: SensorFields) -> None:
    mapped = Socket(5, 10, 6, ("10.0.0.1", 1), ("10.0.0.2", 2), None, is_server=False)
    assert value(fields, event("connect", detail=mapped), "fd.typechar") == "4"


def test_unix_sockets_have_a_path_and_no_address(fields: SensorFields) -> None:
    local = Socket(5, 1, 0, None, None, "/run/x.sock", is_server=False)
    made = event("connect", detail=local)
    assert value(fields, made, "fd.name") == "/run/x.sock"
    assert value(fields, made, "fd.type") == "unix"
    assert value(fields, made, "fd.ip") is None


@pytest.mark.parametrize(
    ("type_", "params", "name", "text"),
    [
        ("ptrace", {"request": 16}, "evt.arg.request", "PTRACE_ATTACH"),
        ("ptrace", {"request": 0}, "evt.arg.request", "PTRACE_TRACEME"),
        ("ptrace", {"request": 0x4206}, "evt.arg.request", "PTRACE_SEIZE"),
        ("ptrace", {"request": 99999}, "evt.arg.request", "99999"),
        ("socket", {"domain": 17, "type": 3, "proto": 0}, "evt.arg.domain", "AF_PACKET"),
        (
            "socket",
            {"fd": 5, "domain": 17, "type": 3, "proto": 0},
            "evt.args",
            "fd=5 domain=17(AF_PACKET) type=3 proto=0",
        ),
        ("socket", {"domain": 1}, "evt.arg.domain", "AF_LOCAL|AF_UNIX"),
        ("symlink", {"target": "/etc", "linkpath": "/tmp/x"}, "evt.arg.target", "/etc"),
        ("symlink", {"target": "/etc"}, "evt.arg.nothing", None),
    ],
)
def test_parameters_in_words(
    fields: SensorFields, type_: str, params: dict[str, Any], name: str, text: str | None
) -> None:
    assert value(fields, event(type_, params=params), name) == text


def test_in_a_container(fields: SensorFields) -> None:
    made = event(task=task(cgroup=f"/docker/{CONTAINER}"))
    assert value(fields, made, "container.id") == CONTAINER[:12]
    for name in (
        "container.name",
        "container.image.repository",
        "container.image.tag",
        "container.start_ts",
        "k8s.ns.name",
    ):
        assert value(fields, made, name) is None, name


def test_capabilities_have_names(fields: SensorFields) -> None:
    made = event(task=task(cap_effective=1 << 1 | 1 << 21 | 1 << 40))
    assert (
        value(fields, made, "thread.cap_effective") == "CAP_DAC_OVERRIDE CAP_SYS_ADMIN CAP_CHECKPOINT_RESTORE"
    )


def test_a_grandparent_renamed_by_prctl_has_its_new_name(fields: SensorFields) -> None:
    ancestors = (Ancestor(50, 50 * TICK, "bash"), Ancestor(40, 40 * TICK, "innocent"))
    table = ProcessTable(NoProc())
    table.observe(event("execve", task=task(40, start_ns=40 * TICK, comm="evil"), detail=exec_("evil")))
    made = event(task=task(ancestors=ancestors))
    table.observe(made)
    assert value(fields, made, "proc.aname[2]") == "innocent"
    assert value(fields, made, "proc.aexe[2]") == "evil"
    assert value(fields, made, "proc.acmdline[2]") == "innocent"


def test_without_a_parent(fields: SensorFields) -> None:
    made = event(task=task(1, ancestors=(), session_comm=None))
    for name in ("proc.pname", "proc.pcmdline", "proc.pexe", "proc.sname", "proc.aname[1]", "proc.ppid"):
        assert value(fields, made, name) is None, name
    assert value(fields, made, "proc.aname") == ()


@pytest.mark.parametrize(
    ("name", "arg"),
    [
        ("proc.aname", "x"),
        ("proc.aname", "-1"),
        ("proc.name", "1"),
        ("evt.arg", None),
        ("proc.nothing", None),
    ],
)
def test_fields_that_are_not_right_are_refused(fields: SensorFields, name: str, arg: str | None) -> None:
    with pytest.raises(UnknownFieldError, match=name.replace(".", r"\.")):
        fields.resolve(name, arg)


def test_every_field_can_be_asked_of_every_event(fields: SensorFields) -> None:
    table = ProcessTable(NoProc())
    events = [
        event(),
        event("execve", detail=exec_()),
        event("execve", res=-2),
        event("connect", detail=SOCKET),
        event("clone", child=task(101)),
        event("procexit", res=None, task=task(2, ancestors=())),
    ]
    for made in events:
        table.observe(made)
        for name in fields.names():
            arg = "flags" if name in ("evt.arg", "evt.rawarg") else None
            fields.resolve(name, arg).get(made)


def test_a_new_destination_changes_the_name(fields: SensorFields) -> None:
    destinations = Destinations(limit=2)

    def changed(address: str, fd: int = 5, type_: str = "sendto") -> bool:
        made = event(type_, detail=Socket(fd, 2, 17, ("10.0.0.1", 5), (address, 53), None, is_server=False))
        destinations.observe(made)
        result: bool = value(fields, made, "fd.name_changed")
        return result

    assert changed("1.1.1.1")
    assert not changed("1.1.1.1")
    assert changed("8.8.8.8")
    assert changed("8.8.8.8", fd=6)
    assert not changed("8.8.8.8", type_="connect")
    assert changed("8.8.8.8", fd=7)  # the third: the first is forgotten
    assert changed("8.8.8.8", fd=5)
