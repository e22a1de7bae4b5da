"""The contracts of the journal: a Log that alerts are appended to, and a Ledger of what became of them
(its own contract is in relay.journal.ledger).

A lane is (output, priority). A lane's cursor is the contiguous prefix of sequence numbers that is settled;
what lies beyond it in flight, waiting or failed is a row, in a bounded window. Waiting means: past the cursor
and without a row. A success at the first try is stored as a range. Sequence numbers are never used again.

What is made for every alert is a NamedTuple: a frozen dataclass takes three times as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from relay.alert import Alert


class NewAlert(NamedTuple):
    """What ingest hands over: the received bytes, unchanged, and the few columns that lists need."""

    body: bytes  # one alert's JSON (or text line) as received
    content: str  # "json" | "text": how `body` is decoded for reading
    uuid: str | None  # the sender's own id, if it has one
    time_ns: int  # the alert's own time, or when it was received; ns since the epoch
    received_ns: int
    priority: int  # 0 Emergency .. 7 Debug (relay.alert.PRIORITIES)
    rule: str
    source: str
    hostname: str
    normalised: tuple[str, ...]  # what was missing or odd and was filled in
    received_from: str  # peer address and credential; the body cannot set it
    has_time: bool = True  # the body carries its own `time`: the same body twice is a repeat


class Appended(NamedTuple):
    """The journal's answer for one alert. `duplicate`: acknowledged before, not stored again."""

    id: str
    seq: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    output: str  # the output's name in the configuration
    priority: int


class State(StrEnum):
    """The known fate of one alert at one output. The words are what people see."""

    WAITING = "waiting"
    RETRYING = "retrying"  # attempted, failed, will be tried again
    DELIVERED = "delivered"
    DEAD = "dead"  # rejected, or retry_for is over: a dead letter
    SUMMARISED = "summarised"
    EXPIRED = "expired"  # retention by size took it while it was owed, or a dead letter
    DISCARDED = "discarded"  # a person dropped it, or handed it over to another output
    NOT_ROUTED = "not routed"


@dataclass(frozen=True, slots=True)
class Fate:
    """One alert at one output, as pages and the API show it."""

    output: str
    state: State
    at_ns: int | None = None  # of the last change
    attempts: int = 0
    why: str | None = None  # of the last failure, or why it was not routed there
    reply: str | None = None
    receipt: str | None = None
    confirmed: bool = False
    next_try_ns: int | None = None


class Settlement(NamedTuple):
    """What a worker found out about one alert of one lane; RETRYING keeps the row open, the rest close it.

    NOT_ROUTED only moves the cursor: it is derived from the generation's text, not stored.
    """

    seq: int
    state: State
    at_ns: int
    attempts: int = 1
    why: str | None = None
    reply: str | None = None
    receipt: str | None = None
    confirmed: bool = False
    ref: str | None = None
    next_try_ns: int | None = None
    first_try_ns: int | None = None  # moved forward by time that does not count as trying; None: at_ns
    request: str | None = None  # of a dead letter: method, host and size, without secrets


@dataclass(frozen=True, slots=True)
class Pending:
    """A row of a lane that is open: to be tried at `next_try_ns`. A re-opened one is below the cursor."""

    seq: int
    attempts: int
    first_try_ns: int
    next_try_ns: int
    why: str


@dataclass(frozen=True, slots=True)
class Depth:
    waiting: int  # includes those being retried
    oldest_ns: int | None  # received_ns of the oldest that waits


class JournalFullError(OSError):
    """The commit failed and was rolled back whole; nothing of it was acknowledged."""


class Log(Protocol):
    async def append(self, alerts: Sequence[NewAlert]) -> Sequence[Appended]:
        """All or nothing; returns after fsync. Calls that arrive together share one commit."""
        ...

    async def cursor(self, lane: Lane) -> int:
        """The last settled sequence number of the lane's contiguous prefix."""
        ...

    async def read(self, lane: Lane, after: int, limit: int) -> Sequence[Alert]:
        """Alerts of the lane's priority with seq > after, oldest first. Only those committed.

        What the lane has settled or has an open row for is left out: a worker that starts again reads
        from the cursor on and must not send those a second time.
        """
        ...

    async def fetch(self, seqs: Sequence[int]) -> Sequence[Alert]:
        """These alerts; a number that is no longer there is left out."""
        ...

    async def pending(self, lane: Lane, after: int = 0, limit: int | None = None) -> Sequence[Pending]:
        """Open rows of the lane with seq > after, by seq; also those that a person has re-opened."""
        ...

    async def settle(self, lane: Lane, settlements: Sequence[Settlement]) -> None:
        """Record fates and move the cursor over what is now contiguous. Returns after the commit."""
        ...

    def newest(self, priority: int | None = None) -> int:
        """The newest committed sequence number (of this priority), 0 if there is none.

        From memory: every worker asks it for eight lanes whenever an alert has come.
        """
        ...

    async def wait_newer(self, seq: int) -> int:
        """Return newest() as soon as it is greater than seq."""
        ...


@dataclass(frozen=True, slots=True)
class Filter:
    """Which alerts a person asks for; all that is given must hold."""

    priorities: frozenset[int] | None = None
    rule: str | None = None
    source: str | None = None
    hostname: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    alerts: Sequence[Alert]
    next_before: int | None  # pass as `before` for the next (older) page


@dataclass(frozen=True, slots=True)
class Generation:
    """The routing of one output from the alert after `from_seq` on, until the next generation of it."""

    number: int
    output: str
    from_seq: int
    routing: Mapping[str, str] = field(default_factory=dict)  # match, minimum_priority, enabled as text


REMOVED = {"enabled": "false", "removed": "true"}
"""The routing of an output that is not in the configuration any more."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """An output that was removed while alerts waited for it."""

    output: str
    waiting: int  # those that were never tried may still be found not to be routed there
    oldest_ns: int  # received_ns of the oldest
