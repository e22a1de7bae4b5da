"""What is watched and what is not; what becomes of events that the ring has no room for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.event import Event
from sensor.probe import ProbeError, ProbeOptions
from sensor.probe.live import LiveProbe
from tests.sensor.probe.watched import Child, drain, files, seen

pytestmark = pytest.mark.bpf


def watched(options: ProbeOptions, *children: Child) -> tuple[list[Event], int]:
    """What is seen while the children run at the same time."""
    probe = LiveProbe(options, 0)
    probe.open()
    try:
        for one in children:
            one.go()
        return drain(probe)
    finally:
        probe.close()


def test_by_process_with_all_that_it_starts_and_nobody_else() -> None:
    code = "os.fork() and os.wait(); os.fork() and os.wait(); os.open('/', os.O_RDONLY)"
    with Child(code) as inside, Child(code) as outside:
        events, _ = watched(ProbeOptions(scope_pid=inside.pid), outside, inside)
    opened = {event.task.pid for event, _ in files(events)}
    assert len(opened) == 4
    assert outside.pid not in {event.task.pid for event in events}
    started = {event.child.pid for event in events if event.child is not None}
    assert opened == started | {inside.pid}


def test_by_process_with_what_it_had_started_before() -> None:
    with Child("os.open('/', os.O_RDONLY)") as child:
        # The scope is this test's process: its own calls are the sensor's, and are not seen.
        probe = LiveProbe(ProbeOptions(scope_pid=os.getpid()), 0)
        probe.open()
        Path("/etc/passwd").read_text()
        child.go()
        events, _ = drain(probe)
        probe.close()
    assert {event.task.pid for event in events} == {child.pid}
    assert [file.name for _, file in files(events)] == ["/"]


def test_ignored_processes() -> None:
    with Child("os.open('/', os.O_RDONLY)") as quiet, Child("os.open('/', os.O_RDONLY)") as loud:
        options = ProbeOptions(scope_pid=os.getpid(), ignore_pids=frozenset({quiet.pid}))
        events, _ = watched(options, quiet, loud)
    assert {event.task.pid for event in events} == {loud.pid}


def test_only_the_calls_that_are_wanted() -> None:
    code = "os.open('/', os.O_RDONLY); socket.socket(); os.fork() and os.wait()"
    assert "openat" not in {one.type for one in seen(code, syscalls=frozenset({"socket"}))}
    assert "socket" in {one.type for one in seen(code, syscalls=frozenset({"socket"}))}
    # Process bookkeeping always comes.
    assert {one.type for one in seen(code, syscalls=frozenset())} == {"clone", "procexit"}


def test_failed_execs_can_be_left_out() -> None:
    code = "os.access('/', 0); [None for _ in [0] if os.spawnv(os.P_WAIT, '/none', ['none'])]"
    assert "execve" in {one.type for one in seen(code)}
    assert "execve" not in {one.type for one in seen(code, failed_exec=False)}


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A directory of cgroup v2 with one below it."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    roots = [Path(one[1]) for one in mounts if one[2] == "cgroup2"]
    if not roots or not os.access(roots[0], os.W_OK):
        pytest.skip("no cgroup v2 that this user may write to")
    made = roots[0] / f"outrider-test-{os.getpid()}"
    (made / "below").mkdir(parents=True)
    yield made
    for one in (made / "below", made):
        _remove(one)


def _remove(directory: Path) -> None:
    for _ in range(100):  # the kernel lets go of a process a moment after its exit
        try:
            directory.rmdir()
        except OSError:
            time.sleep(0.02)
        else:
            return


def test_by_cgroup_and_below_it(cgroup: Path) -> None:
    code = "os.open('/', os.O_RDONLY)"
    with Child(code) as inside, Child(code) as below, Child(code) as outside:
        (cgroup / "cgroup.procs").write_text(str(inside.pid))
        (cgroup / "below" / "cgroup.procs").write_text(str(below.pid))
        events, _ = watched(ProbeOptions(scope_cgroup=str(cgroup)), outside, inside, below)
    assert {event.task.pid for event, _ in files(events)} == {inside.pid, below.pid}
    assert {event.task.pid for event in events} == {inside.pid, below.pid}
    named = {event.task.pid: event.task.cgroup.split("\n")[0] for event in events}
    assert named[below.pid] == f"/{cgroup.name}/below"
    ids = {event.task.pid: event.task.cgroup_id for event in events}
    assert ids[inside.pid] == cgroup.stat().st_ino


def test_a_cgroup_that_is_none_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ProbeError, match="scope: .*" + path.name):
            LiveProbe(ProbeOptions(scope_cgroup=str(path)), 0).open()


def test_a_process_that_is_none_is_refused() -> None:
    with Child("pass") as child:
        child.go()
    with pytest.raises(ProbeError, match=f"no process {child.pid}"):
        LiveProbe(ProbeOptions(scope_pid=child.pid), 0).open()


def test_what_the_ring_has_no_room_for_is_counted() -> None:
    count = 2_000
    with Child(f"for _ in range({count}): os.close(os.open('/', os.O_RDONLY))") as child:
        events, lost = watched(ProbeOptions(scope_pid=child.pid, ring_bytes=65_536), child)
    assert lost > 0
    assert len(events) > 0
    assert len(events) + lost == count + 1  # the exit, too


@pytest.mark.parametrize("size", [65_536, 70_000])  # a size that the kernel does not take is rounded up
def test_the_ring_wraps_without_a_loss(size: int) -> None:
    rounds, each = 100, 20
    code = f"""
        for _ in range({rounds}):
            for _ in range({each}): os.close(os.open("/", os.O_RDONLY))
            os.write(1, b"."); os.read(0, 1)
        """
    with Child(code) as child:
        probe = LiveProbe(ProbeOptions(scope_pid=child.pid, ring_bytes=size), 0)
        probe.open()
        assert child.process.stdin is not None
        assert child.process.stdout is not None
        found: list[Event] = []
        child.process.stdin.write(b"g")
        for _ in range(rounds):
            child.process.stdin.flush()
            assert child.process.stdout.read(1) == b"."
            events, lost = drain(probe)
            assert lost == 0
            found += events
            child.process.stdin.write(b"g")
        child.go()
        probe.close()
    assert len(found) == rounds * each
    assert {file.name for _, file in files(found)} == {"/"}
