"""A lane in memory: what lies between its cursor and the newest alert that was read for a worker.

The journal's tables are the truth; this is rebuilt from them at start and after a commit that failed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from relay.journal.base import Lane, Settlement, State

MERGE_NS = 250_000_000
"""Deliveries this close in time share one range and its time."""


@dataclass(slots=True)
class Range:
    """Rows of the table `delivered`."""

    from_seq: int
    to_seq: int
    at_ns: int
    confirmed: bool


@dataclass(slots=True)
class Plan:
    """What one settle writes."""

    lane: Lane
    cursor: int
    new: list[Range] = field(default_factory=list)
    longer: list[Range] = field(default_factory=list)  # exist already; to_seq and at_ns have grown
    rows: list[Settlement] = field(default_factory=list)
    late: list[Settlement] = field(default_factory=list)  # below the cursor: for rows that are open again


@dataclass(slots=True)
class LaneState:
    """`order` has every alert of the lane in (cursor, read_to], settled ones too."""

    lane: Lane
    cursor: int
    balance: int  # with what the journal has appended to the priority since its start: how many wait
    order: list[int] = field(default_factory=list)
    start: int = 0  # order[:start] is settled and below the cursor
    closed: set[int] = field(default_factory=set)
    open: set[int] = field(default_factory=set)  # beyond the cursor, have a row that is to be tried again
    late: int = 0  # rows that are open again, at or below the cursor; in `balance` too
    last: Range | None = None

    @property
    def read_to(self) -> int:
        return self.order[-1] if self.order else self.cursor

    def unsettled(self, after: int, limit: int) -> list[int]:
        """Numbers already read that a worker has to send (not those with an open row)."""
        found = []
        for seq in self.order[bisect_right(self.order, after, self.start) :]:
            if seq not in self.closed and seq not in self.open:
                found.append(seq)
                if len(found) >= limit:
                    break
        return found

    def extend(self, seqs: Sequence[int]) -> None:
        """The next numbers of the lane, in order, without a gap."""
        read_to = self.read_to
        self.order.extend(seq for seq in seqs if seq > read_to)

    def settle(self, settlements: Sequence[Settlement]) -> Plan:
        """Mark them, and say what has to be written. A number that is settled already is left out."""
        plan = Plan(self.lane, self.cursor)
        plain: dict[int, Settlement] = {}
        for one in settlements:
            if one.seq <= self.cursor:
                if self.late and one.state is not State.NOT_ROUTED:
                    plan.late.append(one)
                continue
            if one.seq in self.closed or (one.state is State.NOT_ROUTED and one.seq in self.open):
                continue  # a person has opened what the routing leaves out
            if one.state is State.RETRYING:
                self.open.add(one.seq)
                plan.rows.append(one)
                continue
            had_row = one.seq in self.open
            self.open.discard(one.seq)
            self.closed.add(one.seq)
            self.balance -= 1
            if not had_row and (one.state is State.NOT_ROUTED or _plain(one)):
                plain[one.seq] = one
            else:
                plan.rows.append(one)
        self._ranges(plain, plan)
        self._advance()
        plan.cursor = self.cursor
        return plan

    def closed_late(self, count: int) -> None:
        """So many rows of `Plan.late` were still open."""
        self.late -= count
        self.balance -= count

    def reopen(self, seqs: Iterable[int]) -> None:
        """These have an open row now."""
        for seq in seqs:
            if seq <= self.cursor:
                self.late += 1
                self.balance += 1
                continue
            self.open.add(seq)
            if seq in self.closed:
                self.closed.discard(seq)
                self.balance += 1

    def lose(self, seqs: Iterable[int]) -> None:
        """These are not in the journal any more, or nothing to this output; no worker holds them."""
        for seq in seqs:
            if seq > self.cursor and seq not in self.closed:
                self.balance -= 1

    def _ranges(self, plain: dict[int, Settlement], plan: Plan) -> None:
        """Runs of alerts that follow each other in the lane become one range."""
        run: Range | None = None
        previous = -2
        for seq in sorted(plain):
            at = bisect_right(self.order, seq, self.start) - 1
            one = plain[seq]
            if one.state is State.NOT_ROUTED:
                if run and at == previous + 1:
                    previous = at  # a range may run over what was not routed
                continue
            if run is None or at != previous + 1 or run.confirmed != one.confirmed:
                run = self._continued(seq, at, one)
                (plan.longer if run is self.last else plan.new).append(run)
                self.last = run
            run.to_seq, run.at_ns = seq, one.at_ns
            previous = at

    def _continued(self, seq: int, at: int, one: Settlement) -> Range:
        """The last range, if `seq` comes right after it in the lane and in time; else a new one."""
        last = self.last
        before = self.order[at - 1] if at > 0 else -1
        near = last is not None and last.to_seq == before and one.at_ns - last.at_ns < MERGE_NS
        if near and last is not None and last.confirmed == one.confirmed:
            return last
        return Range(seq, seq, one.at_ns, one.confirmed)

    def _advance(self) -> None:
        start = self.start
        while start < len(self.order) and self.order[start] in self.closed:
            self.closed.discard(self.order[start])
            start += 1
        if start > self.start:
            self.cursor = self.order[start - 1]
            self.start = start
        if self.start > 1024 and self.start * 2 > len(self.order):
            # One settled number stays in front: a range may be continued from it.
            del self.order[: self.start - 1]
            self.start = 1


def _plain(one: Settlement) -> bool:
    return (
        one.state is State.DELIVERED
        and one.attempts == 1
        and one.receipt is None
        and one.ref is None
        and one.why is None
    )
