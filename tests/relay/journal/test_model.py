"""The journal against a plain model: any order of settling, with crashes in between, gives the same fates."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from relay.journal import Journal
from relay.journal.base import Filter, Lane, Settlement, State
from tests.relay.journal.alerts import NOW, new_alert

PRIORITIES = (2, 5)


class JournalMachine(RuleBasedStateMachine):
    """One output, two lanes."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="journal-model-"))
        self.fates: dict[int, State] = {}  # the model: by sequence number
        self.priority: dict[int, int] = {}
        self.position = dict.fromkeys(PRIORITIES, 0)
        self.held: dict[int, list[int]] = {priority: [] for priority in PRIORITIES}
        self.count = 0

    def run(self, coroutine: object) -> object:
        return self.loop.run_until_complete(coroutine)

    @initialize()
    def start(self) -> None:
        self.journal = self.run(Journal.open(self.folder / "data", clock=lambda: NOW))
        self.run(self.journal.generation("hook", {}))

    @rule(priorities=st.lists(st.sampled_from(PRIORITIES), min_size=1, max_size=12))
    def append(self, priorities: list[int]) -> None:
        alerts = []
        for priority in priorities:
            self.count += 1
            alerts.append(new_alert(self.count, priority=priority))
        for answer, priority in zip(self.run(self.journal.append(alerts)), priorities, strict=True):
            self.fates[answer.seq] = State.WAITING
            self.priority[answer.seq] = priority

    @rule(priority=st.sampled_from(PRIORITIES), limit=st.integers(1, 8))
    def read(self, priority: int, limit: int) -> None:
        alerts = self.run(self.journal.read(Lane("hook", priority), self.position[priority], limit))
        seqs = [alert.seq for alert in alerts]
        assert seqs == sorted(seqs)
        for seq in seqs:
            assert self.priority[seq] == priority
            assert self.fates[seq] is State.WAITING, "what is settled or retrying is not read again"
        if seqs:
            self.position[priority] = seqs[-1]
            self.held[priority] += seqs

    @rule(priority=st.sampled_from(PRIORITIES), data=st.data())
    def settle(self, priority: int, data: st.DataObject) -> None:
        held = self.held[priority]
        if not held:
            return
        chosen = data.draw(st.lists(st.sampled_from(held), unique=True, min_size=1, max_size=6))
        settlements = []
        for seq in chosen:
            state = data.draw(st.sampled_from([State.DELIVERED, State.DELIVERED, State.RETRYING, State.DEAD]))
            settlements.append(
                Settlement(seq, state, NOW, why=None if state is State.DELIVERED else "x", next_try_ns=1)
            )
            self.fates[seq] = state
            if state is not State.RETRYING:
                held.remove(seq)
        self.run(self.journal.settle(Lane("hook", priority), settlements))

    @rule()
    def crash(self) -> None:
        """The process ends without a word; a worker starts again from the cursor."""
        crashed = self.folder / "crashed"
        shutil.copytree(self.folder / "data", crashed)
        self.run(self.journal.close())
        shutil.rmtree(self.folder / "data")
        crashed.rename(self.folder / "data")
        self.journal = self.run(Journal.open(self.folder / "data", clock=lambda: NOW))
        for priority in PRIORITIES:
            lane = Lane("hook", priority)
            self.position[priority] = self.run(self.journal.cursor(lane))
            pending = {one.seq for one in self.run(self.journal.pending(lane))}
            retrying = {
                seq
                for seq, state in self.fates.items()
                if state is State.RETRYING and self.priority[seq] == priority
            }
            assert pending == retrying
            self.held[priority] = sorted(pending)

    @invariant()
    def the_journal_says_what_the_model_says(self) -> None:
        if not self.fates:
            return
        alerts = self.run(self.journal.alerts(Filter(), limit=10_000)).alerts
        found = self.run(self.journal.fates(alerts))
        assert {seq: fates[0].state for seq, fates in found.items()} == self.fates
        open_ = {State.WAITING, State.RETRYING}
        depth = self.run(self.journal.depth("hook"))
        assert depth.waiting == sum(state in open_ for state in self.fates.values())
        for priority in PRIORITIES:
            mine = sorted(seq for seq in self.fates if self.priority[seq] == priority)
            settled = 0
            for seq in mine:
                if self.fates[seq] in open_:
                    break
                settled = seq
            assert self.run(self.journal.cursor(Lane("hook", priority))) == settled

    def teardown(self) -> None:
        self.run(self.journal.close())
        self.loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)


TestModel = JournalMachine.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
