"""Outputs that begin, are renamed, or go."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.alert import PRIORITIES
from relay.journal import Journal, named
from relay.journal.base import REMOVED, Filter, Lane, Settlement, State
from relay.journal.sqlite import FILE
from tests.relay.journal.alerts import NOW, new_alert


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(tmp_path / "data")
    yield opened
    await opened.close()


async def fill(journal: Journal) -> None:
    """Some of every fate, with gaps, and some that were never read."""
    await journal.append([new_alert(number, priority=number % 8) for number in range(80)])
    states = [State.DELIVERED, State.DEAD, State.RETRYING, State.DELIVERED, None, State.DELIVERED]
    for priority in range(0, len(PRIORITIES), 2):
        lane = Lane("old", priority)
        alerts = await journal.read(lane, 0, 7)
        for alert, state in zip(alerts, states, strict=False):
            if state is not None:
                await journal.settle(lane, [Settlement(alert.seq, state, NOW, why=None, next_try_ns=NOW)])


async def test_what_is_owed_when_an_output_is_removed_stays_the_same(journal: Journal) -> None:
    await journal.generation("old", {})
    await journal.generation("other", {})
    await fill(journal)
    before = await journal.depth("old")
    assert before.waiting == 80 - 4 * 4
    assert not await journal.orphans()
    await journal.generation("old", REMOVED)
    await journal.append([new_alert(number) for number in range(100, 110)])
    [orphan] = await journal.orphans()
    assert (orphan.output, orphan.waiting, orphan.oldest_ns) == ("old", before.waiting, before.oldest_ns)


async def test_an_output_that_is_owed_nothing_is_no_orphan(journal: Journal) -> None:
    await journal.generation("old", {})
    await journal.generation("old", REMOVED)
    await journal.append([new_alert(1)])
    assert not await journal.orphans()


@pytest.mark.parametrize("interrupted_after", [0, 1, 3, 100])
async def test_a_rename_keeps_every_fate_also_when_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted_after: int
) -> None:
    monkeypatch.setattr(named, "AT_ONCE", 3)
    journal = await Journal.open(tmp_path / "data")
    await journal.generation("old", {})
    await fill(journal)
    alerts = (await journal.alerts(Filter(), limit=100)).alerts
    before = {seq: fate.state for seq, [fate] in (await journal.fates(alerts)).items()}
    depth = await journal.depth("old")
    await journal.close()
    connection = sqlite3.connect(tmp_path / "data" / FILE, isolation_level=None)
    for _ in range(interrupted_after):  # a crash
        named.rename(connection, "old", "new")
    connection.close()
    journal = await Journal.open(tmp_path / "data")
    await journal.rename("old", "new")
    await journal.append([new_alert(100)])
    after = await journal.fates(alerts)
    assert {fate.output for fates in after.values() for fate in fates} == {"new"}
    assert {seq: fate.state for seq, [fate] in after.items()} == before
    assert (await journal.depth("new")).waiting == depth.waiting + 1
    await journal.close()


async def test_only_a_first_generation_looks_back(journal: Journal) -> None:
    await journal.append([new_alert(number) for number in range(3)])
    assert (await journal.generation("all", {}, since_ns=0)).from_seq == 0
    assert (await journal.depth("all")).waiting == 3
    assert (await journal.generation("all", {"match": "rule = a"}, since_ns=0)).from_seq == 3
    assert (await journal.generation("now", {})).from_seq == 3
    assert (await journal.depth("now")).waiting == 0


async def test_looking_back_into_an_empty_journal(journal: Journal) -> None:
    assert (await journal.generation("all", {}, since_ns=0)).from_seq == 0
    await journal.append([new_alert(1)])
    assert (await journal.depth("all")).waiting == 1
