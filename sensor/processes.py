"""The process table: what user space adds to the processes that the kernel names.

Who is whose parent, and what each is called, comes with every event from the kernel itself. This table adds
what they run (exe, arguments, path), found by process number *and* start time.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from sensor.event import Ancestor, Event, Exec, Task
from sensor.image import Image
from sensor.procfs import TICK_NS, Identity, Procfs

LIMIT = 32_768
"""Processes that are remembered; beyond it the oldest go, and are read from /proc if they turn up again."""

GRACE_NS = 60_000_000_000
"""How long a process is known after its exit: events of its children may still be in the ring."""

LOSS_EVERY_NS = 1_000_000_000
"""After lost events what is known is doubted at most this often."""

_MAX_GONE = 8_192


class ProcReader(Protocol):
    """The questions that the table asks; sensor.procfs.Procfs answers them for this machine."""

    def pids(self) -> Iterable[int]: ...
    def start_ticks(self, pid: int) -> int | None: ...
    def image(self, pid: int, start_ticks: int, *, keep_env: bool = False) -> Image | None: ...
    def cwd(self, pid: int, start_ticks: int) -> str | None: ...


class NoProc:
    """For a replay: this machine's /proc knows nothing about the processes of a recording.

    Names of users are the exception: this machine's own, the best there is.
    """

    def pids(self) -> Iterable[int]:
        return ()

    def start_ticks(self, pid: int) -> int | None:
        return None

    def image(self, pid: int, start_ticks: int, *, keep_env: bool = False) -> Image | None:
        return None

    def cwd(self, pid: int, start_ticks: int) -> str | None:
        return None

    def mnt_ns(self, pid: int) -> int | None:
        return None

    def hidden_file(
        self, pid: int, path: str, limit: int, known: Identity | None
    ) -> tuple[Identity, bytes] | None:
        return Procfs().hidden_file(os.getpid(), path, limit, known)


class Process:
    """One process that was seen. `image` and `cwd` ask /proc if nothing better is known."""

    __slots__ = ("_image", "_losses", "exited_ns", "pid", "start_ns", "table")

    def __init__(self, table: ProcessTable, pid: int, start_ns: int, image: Image | None) -> None:
        self.pid = pid
        self.start_ns = start_ns
        self.exited_ns: int | None = None
        self.table = table
        self._image = image
        # An image that is not known counts as read before any loss: it is asked for once.
        self._losses = table.losses if image is not None else -1

    @property
    def image(self) -> Image | None:
        """What it runs; None when it was gone before anyone could ask."""
        if self._losses != self.table.losses:
            # Never read, or an exec may have been among the events that were lost since.
            self._losses = self.table.losses
            self._image = self.table.read(self.pid, self.start_ns) or self._image
        return self._image

    @property
    def cwd(self) -> str | None:
        """The working directory now; the one at its exec if it is gone."""
        now = self.table.reader.cwd(self.pid, self.start_ns // TICK_NS)
        if now is not None:
            return now
        image = self.image
        return image.cwd if image is not None else None

    def replace(self, image: Image) -> None:
        """An exec happened."""
        self._image = image
        self._losses = self.table.losses

    def known(self) -> Image | None:
        """The image without asking /proc."""
        return self._image


class ProcessTable:
    """Processes by (pid, start time). Not thread-safe: it belongs to the thread that judges."""

    def __init__(
        self, reader: ProcReader, *, keep_env: bool = False, limit: int = LIMIT, grace_ns: int = GRACE_NS
    ) -> None:
        self.reader = reader
        self.losses = 0
        self._loss_ns = -LOSS_EVERY_NS
        self._loss_pending = False
        self.keep_env = keep_env
        self._limit = limit
        self._grace_ns = grace_ns
        self._known: dict[tuple[int, int], Process] = {}
        self._seeds: dict[int, tuple[int, Image]] = {}
        self._gone: deque[Process] = deque()

    def __len__(self) -> int:
        return len(self._known)

    def seed(self) -> int:
        """Read the processes that are running; how many there were. Call it once the probe is attached."""
        for pid in self.reader.pids():
            if len(self._seeds) >= self._limit:
                break
            ticks = self.reader.start_ticks(pid)
            image = self.reader.image(pid, ticks, keep_env=self.keep_env) if ticks is not None else None
            if ticks is not None and image is not None:
                self._seeds[pid] = (ticks, image)
        return len(self._seeds)

    def lost(self, time_ns: int) -> None:
        """Events were lost: what is known may be outdated and is read again when it is needed.

        A flood loses events all the time; reading everything again each time would lose more.
        """
        self._loss_pending = True
        self._count_loss(time_ns)

    def _count_loss(self, time_ns: int) -> None:
        if time_ns - self._loss_ns >= LOSS_EVERY_NS:
            self._loss_ns, self._loss_pending = time_ns, False
            self.losses += 1
            self._seeds.clear()

    def observe(self, event: Event) -> None:
        """Take in what the event tells, and set `event.process`."""
        if self._loss_pending:
            self._count_loss(event.time_ns)
        task = event.task
        process = self.find(task)
        detail = event.detail
        if type(detail) is Exec:
            process.replace(Image.of_exec(detail, keep_env=self.keep_env))
        elif event.type == "clone":
            self._fork(process, event.child)
        elif event.type == "procexit":  # once a process, when its last thread ends
            self._exit(process, event.time_ns)
        event.process = process

    def find(self, who: Task | Ancestor) -> Process:
        """The process, remembered from now on."""
        process = self._known.get((who.pid, who.start_ns))
        if process is None:
            process = self._add(who.pid, who.start_ns, self._seed_of(who.pid, who.start_ns))
        return process

    def read(self, pid: int, start_ns: int) -> Image | None:
        """Ask /proc what the process runs."""
        return self.reader.image(pid, start_ns // TICK_NS, keep_env=self.keep_env)

    def _seed_of(self, pid: int, start_ns: int) -> Image | None:
        ticks, image = self._seeds.pop(pid, (-1, None))
        return image if ticks == start_ns // TICK_NS else None

    def _add(self, pid: int, start_ns: int, image: Image | None) -> Process:
        process = Process(self, pid, start_ns, image)
        self._known[pid, start_ns] = process
        if len(self._known) > self._limit:
            # Exited ones first; then whoever was seen first: /proc tells again about those.
            key = next(iter(self._known))
            if self._gone:
                key = (self._gone[0].pid, self._gone[0].start_ns)
                self._gone.popleft()
            self._known.pop(key, None)
        return process

    def _fork(self, parent: Process, child: Task | None) -> None:
        if child is None or child.pid == parent.pid:  # a thread runs what its process runs
            return
        self._seeds.pop(child.pid, None)
        if (child.pid, child.start_ns) not in self._known:
            # Without asking /proc: a child whose parent is not known is read when somebody needs it.
            self._add(child.pid, child.start_ns, parent.known())

    def _exit(self, process: Process, time_ns: int) -> None:
        self._seeds.pop(process.pid, None)
        process.exited_ns = time_ns
        self._gone.append(process)
        while self._gone and self._over(self._gone[0], time_ns):
            old = self._gone.popleft()
            self._known.pop((old.pid, old.start_ns), None)

    def _over(self, process: Process, now_ns: int) -> bool:
        exited = process.exited_ns or 0
        return len(self._gone) > _MAX_GONE or now_ns - exited > self._grace_ns
