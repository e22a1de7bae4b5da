"""The journal on SQLite: Log and Ledger of relay.journal.base in one file of `data_dir`."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from relay.alert import PRIORITIES, Alert
from relay.journal import fates, named, queries
from relay.journal.base import (
    Appended,
    Depth,
    Fate,
    Filter,
    Generation,
    Lane,
    NewAlert,
    Page,
    Pending,
    Settlement,
)
from relay.journal.dedup import Dedup
from relay.journal.desk import Desk
from relay.journal.gate import Gate
from relay.journal.lanes import LaneState
from relay.journal.lock import DataDirLock
from relay.journal.opening import FILE, prepare
from relay.journal.schema import connect
from relay.journal.tail import Tail
from relay.journal.writer import Job, Stats, Writer

READERS = 3
FATES_WAIT = 0.002
"""Seconds that a few fates wait for an alert to share its commit: else the next alert waits for theirs."""
FATES_MOST = 16
"""So many fates are committed at once: an output may be waiting for them."""
QUEUE_BYTES = 32 * 2**20
"""Bodies that wait for the writer; beyond it `append` waits, and sockets are not read."""
TAIL_BYTES = 4 * 2**20
"""The newest alerts stay in memory: a worker that keeps up never reads them from the file."""
REFUSED_KEPT = 1000
REFUSED_BYTES = 64 * 1024

T = TypeVar("T")


class Journal(Desk):
    """Open with `await Journal.open(data_dir)`, close with `await close()`. One event loop uses it."""

    def __init__(self, data_dir: Path, lock: DataDirLock, writer: Writer, judge: queries.Judge) -> None:
        self.data_dir = data_dir
        self.judge = judge
        self.reopened: Callable[[str], None] = lambda output: None
        self._lock = lock
        self._writer = writer
        self._path = writer.path
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="journal-reader")
        self._local = threading.local()
        self._reading: list[sqlite3.Connection] = []  # one a reader's thread
        self._incoming: list[Job] = []
        self._writing = 0  # jobs at the writer; meanwhile others gather here
        self._soon = False  # they are handed over at the end of this turn of the loop
        self._timer: asyncio.TimerHandle | None = None  # or then
        self._closing = False
        self._queued_bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self._news = asyncio.Event()
        self._newest = writer.newest
        self._by_priority = [0] * len(PRIORITIES)
        self._appended = [0] * len(PRIORITIES)  # since the start
        self._tails = [Tail(writer.newest) for _ in PRIORITIES]
        self._lanes: dict[Lane, LaneState] = {}
        self._loading: dict[Lane, asyncio.Task[LaneState]] = {}
        self._gate = Gate()  # inside: lanes are read from the file; alone: alerts go, or rows are re-opened
        self._generations: list[Generation] = []

    @classmethod
    async def open(
        cls,
        data_dir: Path,
        *,
        judge: queries.Judge = lambda routing, alert: None,
        dedup_window_s: float = 48 * 3600,
        clock: Callable[[], int] = time.time_ns,
    ) -> Journal:
        """Make or open the journal. Raises DataDirError, SchemaError, sqlite3.DatabaseError.

        `judge` says why a routing (the text of a generation) leaves an alert out, or None.
        """
        lock, connection, newest = prepare(data_dir)
        path = data_dir / FILE
        loop = asyncio.get_running_loop()
        dedup = Dedup.load(connection, int(dedup_window_s * 1e9))
        writer = Writer(path, connection, newest, dedup, clock, loop)
        journal = cls(data_dir, lock, writer, judge)
        writer.committed = journal._committed
        for priority in range(len(PRIORITIES)):
            newest = connection.execute(
                "SELECT max(seq) FROM alert WHERE priority = ?", (priority,)
            ).fetchone()
            journal._by_priority[priority] = newest[0] or 0
        journal._generations = queries.generations(connection)
        writer.start()
        return journal

    async def close(self) -> None:
        """Commit what was handed over, and give the directory free. Once is enough; again does nothing."""
        if self._closing:
            return
        self._closing = True
        self._hand_over()
        await asyncio.to_thread(self._readers.shutdown)
        for connection in self._reading:
            connection.close()  # the writer's is the last: it brings the log into the file and removes it
        await asyncio.to_thread(self._writer.stop)
        self._lock.release()

    @property
    def stats(self) -> Stats:
        return self._writer.stats

    def size(self) -> int:
        """Bytes of the file and its write-ahead log."""
        names = (self._path, self._path.with_name(self._path.name + "-wal"))
        return sum(path.stat().st_size for path in names if path.exists())

    # Log

    async def append(self, alerts: Sequence[NewAlert]) -> Sequence[Appended]:
        """See Log. Raises JournalFullError when the commit failed; nothing of it was acknowledged."""
        if not alerts:
            return []
        while self._queued_bytes > QUEUE_BYTES:
            self._room.clear()
            await self._room.wait()
        self._queued_bytes += sum(len(alert.body) for alert in alerts)
        answers: Sequence[Appended] = await self._submit(alerts=alerts)
        return answers

    async def cursor(self, lane: Lane) -> int:
        return (await self._lane(lane)).cursor

    async def read(self, lane: Lane, after: int, limit: int) -> Sequence[Alert]:
        state = await self._lane(lane)
        again = state.unsettled(after, limit)
        if again:
            return await self._read(queries.by_seq, again, queries.LANE_BYTES)
        position = max(after, state.read_to)
        if self._by_priority[lane.priority] <= position:
            return []
        found = self._tails[lane.priority].after(position, limit)
        if found is None:
            async with self._gate.together():
                found = await self._read(queries.lane_after, lane.priority, position, limit)
                state = self._lanes.get(lane, state)  # it may have been loaded again meanwhile
                if position == max(after, state.read_to):
                    state.extend([alert.seq for alert in found])
        else:
            state.extend([alert.seq for alert in found])
        mine = [alert for alert in found if alert.seq not in state.open] if state.open else found
        return mine if mine or not found else await self.read(lane, found[-1].seq, limit)

    async def fetch(self, seqs: Sequence[int]) -> Sequence[Alert]:
        return await self._read(queries.by_seq, list(seqs))

    async def pending(self, lane: Lane, after: int = 0, limit: int | None = None) -> Sequence[Pending]:
        return await self._read(queries.pending, lane, after, limit)

    async def settle(self, lane: Lane, settlements: Sequence[Settlement]) -> None:
        state = await self._lane(lane)
        plan = state.settle(settlements)
        try:
            state.closed_late(await self._submit(plans=[plan], fates=len(settlements)))
        except BaseException:
            self._lanes.pop(lane, None)  # memory is ahead of the file: read it again
            raise

    def newest(self, priority: int | None = None) -> int:
        return self._newest if priority is None else self._by_priority[priority]

    async def wait_newer(self, seq: int) -> int:
        while self._newest <= seq:
            await self._news.wait()
        return self._newest

    # Ledger

    async def alerts(self, where: Filter, *, before: int | None = None, limit: int = 50) -> Page:
        return await self._read(queries.listed, where, before, limit)

    async def alert(self, alert_id: str) -> Alert | None:
        return await self._read(queries.by_id, alert_id)

    async def fates(self, alerts: Sequence[Alert]) -> Mapping[int, Sequence[Fate]]:
        return await self._read(fates.fates, alerts, self.judge)

    async def counts(self, since_ns: int, most: int) -> Sequence[int]:
        return await self._read(queries.counts, since_ns, most)

    async def depth(self, output: str) -> Depth:
        states = [await self._lane(Lane(output, priority)) for priority in range(len(PRIORITIES))]
        waiting = [state.balance + count for state, count in zip(states, self._appended, strict=True)]
        if not any(waiting):
            return Depth(0, None)
        firsts = [
            (state.lane.priority, state.cursor, count > state.late)
            for state, count in zip(states, waiting, strict=True)
            if count
        ]
        return Depth(sum(waiting), await self._read(queries.oldest_unsettled, output, firsts))

    async def generation(
        self, output: str, routing: Mapping[str, str], *, since_ns: int | None = None
    ) -> Generation:
        mine = [generation for generation in self._generations if generation.output == output]
        if mine and mine[-1].routing == routing:
            return mine[-1]
        at = self._writer.clock()
        new: Generation = await self._submit(
            call=lambda db: named.new_generation(db, output, routing, at, since_ns)
        )
        self._generations.append(new)
        self._forget(output)
        return new

    async def rename(self, old: str, new: str) -> None:
        while not await self._submit(call=lambda db: named.rename(db, old, new)):
            pass
        self._generations = [
            replace(one, output=new) if one.output == old else one for one in self._generations
        ]
        self._forget(old)
        self._forget(new)

    def _forget(self, output: str) -> None:
        """Its lanes were changed in the file."""
        for priority in range(len(PRIORITIES)):
            self._lanes.pop(Lane(output, priority), None)

    async def generations(self) -> Sequence[Generation]:
        return tuple(self._generations)

    async def refuse(self, body: bytes, reason: str, received_from: str, at_ns: int) -> None:
        await self._submit(call=lambda db: _refuse(db, (at_ns, received_from, reason, body[:REFUSED_BYTES])))

    async def probe(self) -> None:
        """Write something small, to see whether it can be done. Raises JournalFullError."""
        newest = self._newest
        await self._submit(call=lambda db: db.execute("UPDATE high_water SET seq = max(seq, ?)", (newest,)))

    async def refused(self, limit: int) -> Sequence[Mapping[str, object]]:
        return await self._read(queries.refused, limit)

    async def expired(self, *, before: int | None = None, limit: int = 50) -> Page:
        """What is left of alerts that retention took while they were owed, newest first."""
        return await self._read(queries.expired, before, limit)

    # Inside

    def _now(self) -> int:
        return self._writer.clock()

    async def _submit(self, **job: Any) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._incoming.append(Job(future, **job))
        self._arrange()
        return await future

    def _arrange(self) -> None:
        """Hand over what has gathered: at the end of this turn of the loop, or, a few fates only, soon."""
        if self._closing:
            self._hand_over()
            return
        if self._writing or self._soon or not self._incoming:
            return
        loop = asyncio.get_running_loop()
        if not self._few_fates():
            self._soon = True
            loop.call_soon(self._hand_over)
        elif self._timer is None:
            self._timer = loop.call_later(FATES_WAIT, self._hand_over)

    def _few_fates(self) -> bool:
        return (
            all(job.plans for job in self._incoming) and sum(job.fates for job in self._incoming) < FATES_MOST
        )

    def _hand_over(self) -> None:
        self._soon = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        jobs, self._incoming = self._incoming, []
        if jobs:
            self._writing += len(jobs)
            self._writer.submit(jobs)

    def _committed(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.alerts:
                self._queued_bytes -= sum(len(alert.body) for alert in job.alerts)
                if job.error is None:
                    self._remember(job)
            if job.future.done():
                continue  # whoever waited was cancelled
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)
        self._writing -= len(jobs)
        self._arrange()
        if self._queued_bytes <= QUEUE_BYTES:
            self._room.set()
        self._news.set()
        self._news.clear()

    def _remember(self, job: Job) -> None:
        for new, answer in zip(job.alerts, job.result, strict=True):
            if answer.duplicate:
                continue
            self._newest = answer.seq
            self._by_priority[new.priority] = answer.seq
            self._appended[new.priority] += 1
            self._tails[new.priority].add(_alert(new, answer), TAIL_BYTES // len(PRIORITIES))

    async def _lane(self, lane: Lane) -> LaneState:
        state = self._lanes.get(lane)
        if state is not None:
            return state
        task = self._loading.get(lane)
        if task is None:
            task = asyncio.ensure_future(self._load(lane))
            self._loading[lane] = task
            task.add_done_callback(lambda _: self._loading.pop(lane, None))
        return await asyncio.shield(task)

    async def _load(self, lane: Lane) -> LaneState:
        async with self._gate.together():
            newest, appended = self._newest, self._appended[lane.priority]
            cursor, beyond, order, closed, opened, late = await self._read(queries.lane_numbers, lane, newest)
            balance = beyond - len(closed) - appended + late
            state = LaneState(lane, cursor, balance, order, 0, closed, opened, late)
            self._lanes[lane] = state
            return state

    async def _read(self, function: Callable[..., T], *args: Any) -> T:
        def call() -> T:
            connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = connect(self._path, read_only=True)
                self._reading.append(connection)
            return function(connection, *args)

        return await asyncio.get_running_loop().run_in_executor(self._readers, call)


def _alert(new: NewAlert, answer: Appended) -> Alert:
    return Alert(
        seq=answer.seq,
        id=answer.id,
        time_ns=new.time_ns,
        received_ns=new.received_ns,
        priority=new.priority,
        rule=new.rule,
        source=new.source,
        hostname=new.hostname,
        raw=new.body,
        content=new.content,
        received_from=new.received_from,
        normalised=new.normalised,
    )


def _refuse(connection: sqlite3.Connection, row: tuple[int, str, str, bytes]) -> None:
    connection.execute("INSERT INTO refused (at_ns, received_from, reason, body) VALUES (?, ?, ?, ?)", row)
    connection.execute("DELETE FROM refused WHERE n <= (SELECT max(n) FROM refused) - ?", (REFUSED_KEPT,))
