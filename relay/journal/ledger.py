"""What people ask of the journal and do with it: the Ledger's contract and its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from relay.alert import Alert
from relay.journal.base import Depth, Fate, Filter, Generation, Orphan, Page


@dataclass(frozen=True, slots=True)
class DeadFilter:
    """Which dead letters a person asks for; all that is given must hold."""

    output: str | None = None
    rule: str | None = None
    priorities: frozenset[int] | None = None
    since_ns: int | None = None  # received at or after
    until_ns: int | None = None  # received before
    why: str | None = None  # a part of the reason


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An alert that an output will not deliver unless a person says so."""

    alert: Alert
    output: str
    at_ns: int  # when it was given up
    first_try_ns: int
    attempts: int
    why: str
    reply: str | None  # what the destination said, at most 4 KiB
    request: str | None  # what was sent: method, host and size


@dataclass(frozen=True, slots=True)
class DeadPage:
    letters: Sequence[DeadLetter]
    next_before: str | None  # pass as `before` for the next (older) page


@dataclass(slots=True)
class Progress:
    """Of a long operation, which updates it as it goes; whoever started it may look at it meanwhile."""

    looked_at: int = 0
    changed: int = 0
    total: int | None = None  # of what is to be looked at; None: not known yet
    ended: bool = False


class AuditEntry(NamedTuple):
    """What a person did."""

    at_ns: int
    who: str
    what: str  # such as "pause", "drop"
    detail: str = ""  # no secrets
    n: int = 0  # its place in the list; given by the journal


@dataclass(frozen=True, slots=True)
class AuditPage:
    entries: Sequence[AuditEntry]
    next_before: int | None


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept. What is owed, and dead letters, stay beyond `age_s`; only `size` may take them."""

    age_s: float = 30 * 86400.0
    size: int = 10 * 2**30  # bytes: used pages and write-ahead log
    dead_age_s: float = 90 * 86400.0  # from when it was given up


@dataclass(slots=True)
class RetentionStatus:
    """Counts are since the start of the process."""

    used: int = 0  # bytes
    limit: int = 0  # bytes; lower than Retention.size after the disk was full
    oldest_ns: int | None = None  # received_ns of the oldest alert
    removed: int = 0  # alerts that were owed to nobody
    expired: int = 0  # alerts that were taken while some output was owed them, or as dead letters
    expired_by: dict[str, int] = field(default_factory=dict)  # by output
    expired_ns: int | None = None  # when the last one was
    disk_full: bool = False  # a commit failed for want of room, and there is no reserve again yet
    failed: str | None = None  # why retention itself does not get on


@dataclass(frozen=True, slots=True)
class Damage:
    """What was found at the start, and what became of it."""

    found: str  # in words
    saved: Path  # the folder with what was there
    alerts: int  # that were recovered
    lost: int | None  # acknowledged alerts that are not there any more; None: nobody knows


class Ledger(Protocol):
    async def alerts(self, where: Filter, *, before: int | None, limit: int) -> Page:
        """Newest first."""
        ...

    async def alert(self, alert_id: str) -> Alert | None: ...

    async def fates(self, alerts: Sequence[Alert]) -> Mapping[int, Sequence[Fate]]:
        """By seq: one fate for every output that existed when the alert was journalled, or owes it."""
        ...

    async def counts(self, since_ns: int, most: int) -> Sequence[int]:
        """By priority: how many were received since then, each counted up to `most`."""
        ...

    async def depth(self, output: str) -> Depth: ...

    async def generation(
        self, output: str, routing: Mapping[str, str], *, since_ns: int | None = None
    ) -> Generation:
        """The output's routing in force; a new generation, from newest() on, if the text changed.

        An output's first generation begins at what was received since `since_ns`. No worker may run for
        the output meanwhile.
        """
        ...

    async def rename(self, old: str, new: str) -> None:
        """What is noted for `old` is `new`'s, which was never there. No worker may run for either."""
        ...

    async def orphans(self) -> Sequence[Orphan]:
        """What is owed to outputs that were removed (their routing is REMOVED)."""
        ...

    async def adopt(self, orphan: str, into: str, *, progress: Progress | None = None) -> int:
        """What is owed to the orphan is owed to `into`, unless that has it already. Returns how many."""
        ...

    async def discard(self, orphan: str, who: str, *, progress: Progress | None = None) -> int:
        """Nothing is owed to the orphan any more: State.DISCARDED. Returns how many."""
        ...

    async def dead_letters(self, where: DeadFilter, *, before: str | None, limit: int) -> DeadPage:
        """Newest alert first."""
        ...

    async def dead_letter(self, output: str, seq: int) -> DeadLetter | None: ...

    async def dead_count(self, output: str, most: int) -> int:
        """How many dead letters the output has, counted up to `most`."""
        ...

    async def expired(self, *, before: int | None, limit: int) -> Page:
        """What is left of alerts that retention took while they were owed, newest first."""
        ...

    async def resend(
        self, output: str, which: DeadFilter | Sequence[int], *, progress: Progress | None = None
    ) -> int:
        """Dead letters (by filter or seq) are open again: State.RETRYING, due now. Returns how many.

        `reopened` is called; `Log.pending` has them.
        """
        ...

    async def drop(
        self, output: str, which: DeadFilter | Sequence[int], who: str, *, progress: Progress | None = None
    ) -> int:
        """Dead letters become State.DISCARDED. Returns how many."""
        ...

    async def replay(
        self,
        output: str,
        where: Filter,
        *,
        accept: Callable[[Alert], bool] | None = None,
        progress: Progress | None = None,
    ) -> Progress:
        """Journalled alerts, oldest first, are owed again to the output, whatever became of them."""
        ...

    async def refs(self, output: str, seqs: Sequence[int]) -> Mapping[int, str]:
        """What the output stored for these alerts: Settlement.ref."""
        ...

    async def audit(self, entry: AuditEntry) -> None: ...

    async def audits(self, *, before: int | None, limit: int) -> AuditPage:
        """Newest first; the list is bounded, the oldest go."""
        ...

    async def note(self, name: str, value: str | None) -> None:
        """Keep a few words under a name, such as that an output is paused; None forgets them."""
        ...

    async def notes(self) -> Mapping[str, str]: ...

    async def backup(self, path: Path) -> None:
        """A copy of the journal as it is now, while it goes on. Raises OSError, sqlite3.Error."""
        ...

    def retention_status(self) -> RetentionStatus: ...

    async def generations(self) -> Sequence[Generation]: ...

    async def refuse(self, body: bytes, reason: str, received_from: str, at_ns: int) -> None:
        """Keep the first 64 KiB of a refused body; the list is bounded, the oldest go."""
        ...

    async def refused(self, limit: int) -> Sequence[Mapping[str, object]]: ...
