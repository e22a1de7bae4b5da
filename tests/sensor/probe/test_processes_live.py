"""Processes: what they execute, who is above them, and where they belong."""

from __future__ import annotations

import os
import pty
import sys
import termios
from pathlib import Path

import pytest

from sensor.probe import ProbeOptions
from sensor.probe.live import LiveProbe
from tests.sensor.probe.watched import Child, drain, executed, seen

pytestmark = pytest.mark.bpf


def test_an_exec_has_its_arguments_environment_and_path(tmp_path: Path) -> None:
    (tmp_path / "echo").symlink_to("/bin/echo")
    events = seen(f"""
        os.chdir({str(tmp_path)!r})
        os.execve("./echo", ["called so", "", "a b", "\\udcff"], {{"ONE": "1", "TWO": "x=y"}})
        """)
    ((event, image),) = executed(events)
    assert image.argv == ("called so", "", "a b", "\ufffd")
    assert image.env == ("ONE=1", "TWO=x=y")
    assert (image.filename, image.cwd) == ("./echo", str(tmp_path))
    assert image.exepath == os.path.realpath("/bin/echo")
    assert (event.type, event.res, event.task.comm) == ("execve", 0, "echo")
    found = Path("/bin/echo").stat()  # from now on the kernel marks the ctime as seen
    ((_, image),) = executed(seen("os.execv('/bin/echo', ['echo'])"))
    assert (image.ino, image.ctime_ns, image.mtime_ns) == (found.st_ino, found.st_ctime_ns, found.st_mtime_ns)
    assert image.writable is (os.geteuid() == found.st_uid)


def test_arguments_and_environment_are_cut_at_4096_bytes() -> None:
    ((_, image),) = executed(seen("os.execve('/bin/true', ['true', 'x' * 9000], {'A': 'y' * 9000})"))
    assert image.argv == ("true", "x" * 4091)
    assert image.env == ("A=" + "y" * 4094,)


def test_a_program_in_memory() -> None:
    ((_, image),) = executed(
        seen("""
        fd = os.memfd_create("evil")
        os.write(fd, open("/bin/true", "rb").read())
        os.execve(fd, ["kworker"], {})
        """)
    )
    assert (image.from_memfd, image.exepath) == (True, "memfd:evil")


def test_a_failed_exec_is_the_callers() -> None:
    events = seen("""
        try: os.execv("./none", ["none"])
        except OSError: pass
        """)
    event = next(one for one in events if one.type == "execve")
    assert (event.res, event.detail) == (-2, None)
    assert event.params["filename"] == f"{Path.cwd()}/none".replace("//", "/")
    assert event.task.comm == Path(sys.executable).name[:15]


def test_exec_from_another_thread_is_of_the_process() -> None:
    events = seen("""
        one = threading.Thread(target=os.execv, args=("/bin/true", ["true"]))
        one.start()
        time.sleep(30)
        """)
    ((event, _),) = executed(events)
    before = next((one for one in events if one.num < event.num), event)
    assert event.task.pid == event.task.tid == before.task.pid
    assert event.task.start_ns == before.task.start_ns
    # The thread that led before gave its number away: the process ended once, and after it.
    (ended,) = [one for one in events if one.type == "procexit"]
    assert ended.num > event.num


def test_a_leader_that_ends_first_does_not_end_the_process(tmp_path: Path) -> None:
    events = seen(f"""
        def late():
            time.sleep(0.1)
            os.open({str(tmp_path)!r}, os.O_RDONLY)
            os._exit(0)
        threading.Thread(target=late).start()
        libc.syscall(60 if os.uname().machine == "x86_64" else 93, 0)
        """)
    assert [one.type for one in events] == ["openat", "procexit"]


def test_fork_and_exit() -> None:
    events = seen("""
        pid = os.fork()
        if not pid: os._exit(7)
        os.waitpid(pid, 0)
        """)
    clone = next(one for one in events if one.type == "clone")
    assert clone.child is not None
    assert (clone.res, clone.child.ancestors[0].pid) == (clone.child.pid, clone.task.pid)
    assert clone.task.ancestors == clone.child.ancestors[1:]
    first, second = [one for one in events if one.type == "procexit"]
    assert (first.task.pid, first.params["ret"], first.params["sig"]) == (clone.child.pid, 7, 0)
    assert first.task.start_ns == clone.child.start_ns
    assert (second.task.pid, second.params["ret"]) == (clone.task.pid, 0)


def test_ancestors_reach_from_the_parent_to_init() -> None:
    event = seen("os.open('/', os.O_RDONLY)")[0]
    ours = event.task.ancestors[0]
    assert (ours.pid, event.task.ancestors[-1].pid) == (os.getpid(), 1)
    assert ours.comm == Path("/proc/self/comm").read_text().strip()
    assert not event.task.ancestors_cut
    assert all(one.start_ns <= event.task.start_ns for one in event.task.ancestors)


def test_with_clone_parent_the_parent_is_not_the_caller() -> None:
    events = seen("""
        CLONE_PARENT, number = 0x8000, 56 if os.uname().machine == "x86_64" else 220
        child = libc.syscall(number, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
        if not child:
            os.open("/", os.O_RDONLY)
            os._exit(0)
        time.sleep(0.2)
        """)
    clone = next(one for one in events if one.type == "clone")
    opened = next(one for one in events if one.type == "openat")
    assert clone.child is not None
    assert opened.task.pid == clone.child.pid
    # Its parent is this test's process, the caller's parent.
    assert opened.task.ancestors[0].pid == clone.child.ancestors[0].pid == os.getpid()
    assert clone.task.ancestors[0].pid == os.getpid()


def test_an_orphan_belongs_to_the_subreaper_and_names_are_as_they_are_now() -> None:
    events = seen("""
        libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        libc.prctl(15, b"reaper", 0, 0, 0)
        ready, told = os.pipe()
        middle = os.fork()
        if not middle:
            if not os.fork():
                os.read(ready, 1)
                os.open("/", os.O_RDONLY)
            os._exit(0)
        os.waitpid(middle, 0)
        os.write(told, b"x")
        os.wait()
        """)
    opened = next(one for one in events if getattr(one.detail, "name", "") == "/")
    above = opened.task.ancestors[0]
    assert (above.comm, above.pid) == ("reaper", events[0].task.pid)


def test_session_group_and_terminal() -> None:
    _master, slave = pty.openpty()
    events = seen(f"""
        os.setsid()
        libc.prctl(15, b"leader", 0, 0, 0)
        fcntl.ioctl(os.open({os.ttyname(slave)!r}, os.O_RDWR | os.O_NOCTTY), {termios.TIOCSCTTY})
        if os.fork(): os.wait()
        else: os.open("/", os.O_RDONLY); os._exit(0)
        """)
    leader = events[0].task.pid
    task = next(one.task for one in events if one.detail and getattr(one.detail, "name", "") == "/")
    assert (task.sid, task.pgid, task.vpgid, task.session_comm) == (leader, leader, leader, "leader")
    assert task.tty == os.fstat(slave).st_rdev
    assert events[0].task.tty == 0


def test_credentials_capabilities_and_namespaces() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can change who it is")
    events = seen("os.setresgid(12, 13, 14); os.setresuid(2, 3, 4); os.open('/', os.O_RDONLY)")
    task = events[0].task
    assert (task.uid, task.gid, task.cap_effective, task.loginuid) == (3, 13, 0, _loginuid())
    assert (task.pid, task.tid) == (task.vpid, task.vtid)
    assert task.mnt_ns == Path("/proc/self/ns/mnt").stat().st_ino
    assert task.pid_ns == Path("/proc/self/ns/pid").stat().st_ino


def _loginuid() -> int:
    value = int(Path("/proc/self/loginuid").read_text()) if Path("/proc/self/loginuid").exists() else -1
    return -1 if value == 0xFFFFFFFF else value


def test_the_cgroups_path_is_the_kernels() -> None:
    task = seen("os.open('/', os.O_RDONLY)")[0].task
    told = {line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines()}
    assert set(task.cgroup.split("\n")) == told


def test_a_set_uid_program_is_seen(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make one")
    program = tmp_path / "id"
    program.write_bytes(Path("/bin/true").read_bytes())
    os.chown(program, 5, 6)
    program.chmod(0o6755)
    # By descriptor: the test's directory is closed to that user. Such an execveat is an execve too.
    code = f"""
        at = os.open({str(program)!r}, os.O_RDONLY)
        os.setresgid(12, 12, 12); os.setresuid(7, 7, 7)
        os.execve(at, ["id"], {{}})
        """
    ((event, _),) = executed(seen(code))
    assert (event.type, event.task.uid, event.task.gid) == ("execve", 5, 6)


def test_one_probe_closes_without_the_other() -> None:
    with Child("os.open('/', os.O_RDONLY)") as child:
        probes = [LiveProbe(ProbeOptions(scope_pid=child.pid), 0) for _ in range(2)]
        for one in probes:
            one.open()
        probes[0].close()
        probes[0].close()
        child.go()
        events, _ = drain(probes[1])
        probes[1].close()
    assert [one.type for one in events] == ["openat", "procexit"]
