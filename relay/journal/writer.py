"""The one thread that writes. What arrives together shares a commit; a lone request commits at once."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from relay.journal import transaction
from relay.journal.base import JournalFullError, NewAlert
from relay.journal.dedup import Dedup
from relay.journal.lanes import Plan
from relay.journal.plans import write_plan
from relay.journal.schema import connect

BATCH_ALERTS = 1024
"""Most alerts in one commit: bounds the time a commit takes."""


@dataclass(slots=True)
class Job:
    """A unit of one transaction. `future` gets the result, or the error."""

    future: asyncio.Future[Any]
    alerts: Sequence[NewAlert] = ()
    plans: Sequence[Plan] = ()
    fates: int = 0  # settlements in `plans`
    call: Callable[[sqlite3.Connection], Any] | None = None
    result: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class Stats:
    """Read by metrics; written by the writer's thread only."""

    commits: int = 0
    failed: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Writer:
    """Runs jobs in the order ingest, fates, the rest. `committed` is called in the event loop."""

    path: Path
    connection: sqlite3.Connection
    newest: int
    dedup: Dedup
    clock: Callable[[], int]
    loop: asyncio.AbstractEventLoop
    committed: Callable[[Sequence[Job]], None] = lambda jobs: None
    stats: Stats = field(default_factory=Stats)
    _queue: SimpleQueue[list[Job] | None] = field(default_factory=SimpleQueue)
    _thread: threading.Thread | None = None
    _suspect: bool = False  # a commit failed: look at the file before the next one

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def submit(self, jobs: list[Job]) -> None:
        self._queue.put(jobs)

    def stop(self) -> None:
        """Finish what was submitted; then the connection is closed. Blocks."""
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join()
        self.connection.close()

    def _run(self) -> None:
        running = True
        carried: list[Job] = []
        while running or carried:
            jobs = carried or self._queue.get()
            if jobs is None:
                break
            size = sum(len(job.alerts) for job in jobs)
            while size < BATCH_ALERTS and running:
                try:
                    more = self._queue.get_nowait()
                except Empty:
                    break
                if more is None:
                    running = False
                else:
                    jobs = [*jobs, *more]
                    size += sum(len(job.alerts) for job in more)
            now, carried = _cut(jobs)
            self._commit(now)
            self.loop.call_soon_threadsafe(self.committed, now)

    def _commit(self, jobs: list[Job]) -> None:
        error = self._attempt(jobs)
        if error is None:
            return
        if isinstance(error, sqlite3.OperationalError) or len(jobs) == 1:
            for job in jobs:
                job.error = _explained(error)
            return
        for job in jobs:  # one of them cannot be written: only that one shall fail
            job.error = self._attempt([job])

    def _attempt(self, jobs: Sequence[Job]) -> Exception | None:
        started = time.perf_counter()
        newest = self.newest
        try:
            if self._suspect:
                self._verify()
            self.connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                job.result = self._execute(job)
            self.connection.execute("COMMIT")
        except Exception as error:
            self.newest = newest
            self.dedup.rolled_back()
            self.stats.failed += 1
            self._suspect = True
            with contextlib.suppress(sqlite3.Error):  # the file is opened again before the next commit
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
            return error
        self.dedup.committed()
        self.stats.commits += 1
        self.stats.seconds += time.perf_counter() - started
        return None

    def _execute(self, job: Job) -> Any:
        if job.alerts:
            first = self.newest + 1
            answers = transaction.append(self.connection, job.alerts, first, self.clock(), self.dedup)
            self.newest += sum(not answer.duplicate for answer in answers)
            return answers
        if job.plans:
            return sum(write_plan(self.connection, plan) for plan in job.plans)
        return job.call(self.connection) if job.call else None

    def _verify(self) -> None:
        """After a failed commit: open the file again and see that what was acknowledged is there."""
        self.connection.close()
        self.connection = connect(self.path)
        (highest,) = self.connection.execute("SELECT coalesce(max(seq), 0) FROM alert").fetchone()
        (noted,) = self.connection.execute("SELECT seq FROM high_water").fetchone()
        if max(highest, noted) < self.newest:
            raise sqlite3.OperationalError(
                f"{self.path} ends at alert {highest}, but {self.newest} was acknowledged"
            )
        self._suspect = False


def _cut(jobs: list[Job]) -> tuple[list[Job], list[Job]]:
    """Ingest first, fates second; what is beyond BATCH_ALERTS waits for the next commit."""
    jobs.sort(key=lambda job: 0 if job.alerts else 1 if job.plans else 2)
    size = 0
    for at, job in enumerate(jobs):
        size += len(job.alerts)
        if size > BATCH_ALERTS and at > 0:
            # Fates go along, so that a flood cannot keep them from the disk.
            rest = [late for late in jobs[at:] if late.alerts]
            return jobs[:at] + [late for late in jobs[at:] if not late.alerts], rest
    return jobs, []


def _explained(error: Exception) -> Exception:
    if isinstance(error, sqlite3.OperationalError):
        full = JournalFullError(f"the journal cannot be written: {error}")
        full.__cause__ = error
        return full
    return error
