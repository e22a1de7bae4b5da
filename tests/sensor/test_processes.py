"""The process table, fed by hand and by this machine's /proc."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from sensor.image import Image
from sensor.processes import LOSS_EVERY_NS, ProcessTable
from sensor.procfs import TICK_NS, Procfs
from tests.sensor.events import NOW, event, exec_, task


class FakeProc:
    """A /proc of (pid, ticks) → arguments."""

    def __init__(self) -> None:
        self.running: dict[int, tuple[int, str]] = {}
        self.asked = 0

    def pids(self) -> Iterable[int]:
        return list(self.running)

    def start_ticks(self, pid: int) -> int | None:
        found = self.running.get(pid)
        return found[0] if found else None

    def image(self, pid: int, start_ticks: int, *, keep_env: bool = False) -> Image | None:
        self.asked += 1
        found = self.running.get(pid)
        if found is None or found[0] != start_ticks:
            return None
        return Image(tuple(found[1].split()), "/proc/" + found[1].split()[0], "/")

    def cwd(self, pid: int, start_ticks: int) -> str | None:
        found = self.running.get(pid)
        return "/now" if found and found[0] == start_ticks else None


def args(table: ProcessTable, pid: int, **changes: object) -> str | None:
    image = table.find(task(pid, **changes)).image
    return " ".join(image.argv) if image else None


def test_exec_gives_the_image_and_children_inherit_it() -> None:
    table = ProcessTable(FakeProc())
    table.observe(event("execve", task=task(100), detail=exec_("sh", "-c", "x")))
    table.observe(event("clone", task=task(100), child=task(101)))
    table.observe(event("execve", task=task(100), detail=exec_("cat")))
    assert args(table, 100) == "cat"
    assert args(table, 101) == "sh -c x"


def test_a_thread_is_not_a_process() -> None:
    table = ProcessTable(FakeProc())
    table.observe(event("execve", task=task(100), detail=exec_("sh")))
    table.observe(event("clone", task=task(100), child=task(100, tid=101)))
    assert len(table) == 1
    # It comes once, with the thread that ended last: the leader may have gone before.
    table.observe(event("procexit", task=task(100, tid=101)))
    assert table.find(task(100)).exited_ns is not None


def test_a_reused_pid_is_another_process() -> None:
    proc = FakeProc()
    table = ProcessTable(proc)
    table.observe(event("execve", task=task(100), detail=exec_("nginx")))
    again = task(100, start_ns=900 * TICK_NS + 1)
    proc.running[100] = (900, "bash")
    assert args(table, 100, start_ns=again.start_ns) == "bash"
    assert args(table, 100) == "nginx"


def test_proc_is_believed_only_with_the_same_start_time() -> None:
    proc = FakeProc()
    proc.running[100] = (100 * 10_000_000 // TICK_NS + 1, "impostor")
    table = ProcessTable(proc)
    assert args(table, 100) is None
    asked = proc.asked
    assert args(table, 100) is None
    assert proc.asked == asked  # asked once, not on every event


def test_seeds_are_adopted_by_start_time() -> None:
    proc = FakeProc()
    start = task(100).start_ns // TICK_NS
    proc.running |= {100: (start, "sshd -D"), 50: (5, "old")}
    table = ProcessTable(proc)
    assert table.seed() == 2
    proc.running.clear()
    assert args(table, 100) == "sshd -D"
    assert args(table, 50) is None  # another process had that number


def test_after_a_loss_what_is_known_is_read_again() -> None:
    proc = FakeProc()
    table = ProcessTable(proc)
    table.observe(event("execve", task=task(100), detail=exec_("old")))
    table.observe(event("execve", task=task(200), detail=exec_("gone")))
    proc.running[100] = (task(100).start_ns // TICK_NS, "new")
    assert args(table, 100) == "old"
    table.lost(NOW)
    assert args(table, 100) == "new"
    assert args(table, 200) == "gone"  # no better knowledge
    table.observe(event("execve", task=task(100), detail=exec_("newest")))
    assert args(table, 100) == "newest"


def test_exited_processes_stay_for_a_while_only() -> None:
    table = ProcessTable(FakeProc(), grace_ns=1000)
    table.observe(event("execve", task=task(100), detail=exec_("sh")))
    table.observe(event("procexit", task=task(100), time_ns=NOW))
    assert args(table, 100) == "sh"
    table.observe(event("procexit", task=task(101), time_ns=NOW + 1001))
    assert len(table) == 1


def test_the_table_is_bounded_and_drops_the_dead_first() -> None:
    table = ProcessTable(FakeProc(), limit=10)
    table.observe(event("execve", task=task(1), detail=exec_("init")))
    for pid in range(2, 500):
        table.observe(event("execve", task=task(pid), detail=exec_("x")))
        table.observe(event("procexit", task=task(pid)))
    assert len(table) <= 10
    assert table.find(task(1)).known() is not None
    alive = ProcessTable(FakeProc(), limit=10)
    for pid in range(500):
        alive.observe(event("execve", task=task(pid), detail=exec_("x")))
    assert len(alive) <= 10


def test_this_process_is_in_proc() -> None:
    proc = Procfs()
    pid = os.getpid()
    ticks = proc.start_ticks(pid)
    assert ticks is not None
    image = proc.image(pid, ticks, keep_env=True)
    assert image is not None
    assert image.argv[0]
    assert image.exepath == os.path.realpath(sys.executable)
    assert image.env
    assert proc.image(pid, ticks + 1) is None
    assert proc.cwd(pid, ticks) == str(Path.cwd())
    assert pid in proc.pids()


def test_a_name_with_blanks_and_parentheses_does_not_confuse() -> None:
    code = (
        "import ctypes,sys; ctypes.CDLL(None).prctl(15, b'a) R 1 2 (x'); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        proc = Procfs()
        ticks, own = proc.start_ticks(child.pid), proc.start_ticks(os.getpid())
        child.communicate()
    assert ticks is not None
    assert own is not None
    assert own <= ticks
    assert proc.start_ticks(child.pid) is None


def test_a_flood_of_losses_does_not_read_everything_each_time() -> None:
    proc = FakeProc()
    table = ProcessTable(proc)
    table.observe(event("execve", task=task(100), detail=exec_("x")))
    for number in range(100):
        table.lost(NOW + number)
        args(table, 100)
    assert proc.asked == 1
    table.observe(event("clone", task=task(100), time_ns=NOW + LOSS_EVERY_NS))
    args(table, 100)
    assert proc.asked == 2  # the later losses are not forgotten
