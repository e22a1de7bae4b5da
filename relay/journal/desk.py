"""What people do with the journal: dead letters, replay, orphans, the audit list, backup.

Long work goes in slices, each a short transaction, so that ingest never waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from relay.alert import PRIORITIES, Alert
from relay.journal import audit, backup, dead, handover, named
from relay.journal.base import Filter, Generation, Lane, Orphan
from relay.journal.gate import Gate
from relay.journal.lanes import LaneState
from relay.journal.ledger import AuditEntry, AuditPage, DeadFilter, DeadLetter, DeadPage, Progress
from relay.journal.queries import Judge, seq_at

T = TypeVar("T")


class Desk:
    """A part of the journal, which has the rest. `reopened` is told of an output that has rows to read."""

    judge: Judge
    reopened: Callable[[str], None]
    _gate: Gate
    _lanes: dict[Lane, LaneState]
    _generations: list[Generation]
    _newest: int
    _path: Path

    def _now(self) -> int:
        raise NotImplementedError

    async def _read(self, function: Callable[..., T], *args: Any) -> T:
        raise NotImplementedError

    async def _submit(self, **job: Any) -> Any:
        raise NotImplementedError

    def _forget(self, output: str) -> None:
        raise NotImplementedError

    # Dead letters

    async def dead_letters(
        self, where: DeadFilter, *, before: str | None = None, limit: int = 50
    ) -> DeadPage:
        """Raises ValueError for a `before` that did not come from here."""
        return await self._read(dead.page, where, before, limit)

    async def dead_letter(self, output: str, seq: int) -> DeadLetter | None:
        return await self._read(dead.one, output, seq)

    async def dead_count(self, output: str, most: int = 1000) -> int:
        """How many dead letters the output has, counted up to `most`."""
        return await self._read(dead.count, output, most)

    async def resend(
        self, output: str, which: DeadFilter | Sequence[int], *, progress: Progress | None = None
    ) -> int:
        said = progress or Progress()
        async for seqs in self._dead(output, which, said):
            async with self._gate.alone():
                now = self._now()
                opened = await self._submit(call=lambda db: dead.reopen(db, output, seqs, now))  # noqa: B023
                self._open_again(output, opened)
            said.changed += len(opened)
        said.ended = True
        return said.changed

    async def drop(
        self, output: str, which: DeadFilter | Sequence[int], who: str, *, progress: Progress | None = None
    ) -> int:
        said = progress or Progress()
        async for seqs in self._dead(output, which, said):
            now = self._now()
            said.changed += await self._submit(call=lambda db: dead.drop(db, output, seqs, now, who))  # noqa: B023
        said.ended = True
        return said.changed

    async def _dead(self, output: str, which: DeadFilter | Sequence[int], said: Progress) -> Any:
        """Slices of the numbers of dead letters."""
        if not isinstance(which, DeadFilter):
            said.total = len(which)
            for at in range(0, len(which), handover.SLICE):
                seqs = list(which[at : at + handover.SLICE])
                said.looked_at += len(seqs)
                yield seqs
            return
        after = 0
        while seqs := await self._read(dead.numbers, output, which, after, handover.SLICE):
            after = seqs[-1]
            said.looked_at += len(seqs)
            yield seqs

    async def refs(self, output: str, seqs: Sequence[int]) -> Mapping[int, str]:
        return await self._read(dead.refs, output, seqs)

    # What changes hands

    async def replay(
        self,
        output: str,
        where: Filter,
        *,
        accept: Callable[[Alert], bool] | None = None,
        progress: Progress | None = None,
    ) -> Progress:
        said = progress or Progress()
        after, end = 0, self._newest  # what comes meanwhile goes to the output anyway
        if where.since_ns is not None:
            after = await self._read(seq_at, where.since_ns) - 1
        while after < end:
            found = await self._read(handover.next_alerts, where, after, end, accept)
            numbers = [(alert.priority, alert.seq) for alert in found.alerts]
            if numbers:
                async with self._gate.alone():
                    now = self._now()
                    opened = await self._submit(
                        call=lambda db: handover.reopen(db, output, numbers, now, "replayed")  # noqa: B023
                    )
                    self._open_again(output, opened)
                said.changed += len(opened)
            said.looked_at += found.looked_at
            after = found.last
        said.ended = True
        return said

    async def orphans(self) -> Sequence[Orphan]:
        gone = named.removed(self._generations)
        return await self._read(named.orphans, gone) if gone else []

    async def adopt(self, orphan: str, into: str, *, progress: Progress | None = None) -> int:
        """Raises ValueError if `orphan` was not removed, or `into` is not there."""
        last = self._removed(orphan)
        mine = self._history(into)
        if not mine or into == orphan or into in named.removed(self._generations):
            raise ValueError(f"there is no output {into!r} to take over what is owed")
        said = progress or Progress()
        whys = (f"adopted from {orphan}", f"adopted by {into}")
        for priority in range(len(PRIORITIES)):
            lane = Lane(orphan, priority)
            while True:
                async with self._gate.alone():
                    debt = await self._read(handover.next_debt, lane, last, self._history(orphan), self.judge)
                    if debt is None:
                        break
                    seqs = await self._read(handover.without_own, debt, into, mine, self.judge)
                    now = self._now()
                    opened = await self._submit(
                        call=lambda db: handover.take_over(db, debt, into, seqs, now, whys)  # noqa: B023
                    )
                    self._forget(orphan)
                    self._open_again(into, opened)
                said.looked_at += len(debt.rows) + len(debt.unread)
                said.changed += len(opened)
        said.ended = True
        return said.changed

    async def discard(self, orphan: str, who: str, *, progress: Progress | None = None) -> int:
        """Raises ValueError if `orphan` was not removed."""
        last = self._removed(orphan)
        said = progress or Progress()
        why = f"discarded by {who} after the output was removed"
        for priority in range(len(PRIORITIES)):
            lane = Lane(orphan, priority)
            while True:
                async with self._gate.alone():
                    debt = await self._read(handover.next_debt, lane, last, self._history(orphan), self.judge)
                    if debt is None:
                        break
                    now = self._now()
                    await self._submit(call=lambda db: handover.settle_debt(db, debt, now, why))  # noqa: B023
                    self._forget(orphan)
                said.looked_at += len(debt.rows) + len(debt.unread)
                said.changed += len(debt.routed)
        said.ended = True
        return said.changed

    def _removed(self, orphan: str) -> int:
        last = named.removed(self._generations).get(orphan)
        if last is None:
            raise ValueError(f"{orphan!r} is not an output that was removed")
        return last

    def _history(self, output: str) -> list[Generation]:
        return [one for one in self._generations if one.output == output]

    def _open_again(self, output: str, opened: Iterable[tuple[int, int]]) -> None:
        """Lanes in memory follow the file; to be called before anyone else may be inside."""
        any_opened = False
        for priority, seq in opened:
            any_opened = True
            state = self._lanes.get(Lane(output, priority))
            if state is not None:
                state.reopen([seq])
        if any_opened:
            self.reopened(output)

    # The rest

    async def audit(self, entry: AuditEntry) -> None:
        await self._submit(call=lambda db: audit.add(db, entry))

    async def audits(self, *, before: int | None = None, limit: int = 50) -> AuditPage:
        return await self._read(audit.page, before, limit)

    async def note(self, name: str, value: str | None) -> None:
        await self._submit(call=lambda db: audit.note(db, name, value))

    async def notes(self) -> Mapping[str, str]:
        return await self._read(audit.notes)

    async def backup(self, path: Path) -> None:
        """Raises OSError (it exists already, no room), sqlite3.Error. 0600; what fails leaves nothing."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="journal-backup")
        try:
            await asyncio.get_running_loop().run_in_executor(
                thread, backup.copy, self._path, path, self._now() // 1000
            )
        finally:
            thread.shutdown(wait=False)
