"""What people do with the journal: dead letters, replay, adoption, the audit list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from relay.journal import Journal, handover
from relay.journal.base import REMOVED, Filter, Lane, Settlement, State
from relay.journal.ledger import AuditEntry, DeadFilter, Progress
from tests.relay.journal.alerts import NOW, new_alert

LANE = Lane("hook", 4)


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "SLICE", 3)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(tmp_path / "data", judge=judge, clock=lambda: NOW)
    opened.woken = []  # type: ignore[attr-defined]
    opened.reopened = opened.woken.append  # type: ignore[attr-defined]
    await opened.generation("hook", {})
    yield opened
    await opened.close()


def judge(routing: object, alert: object) -> str | None:
    return (routing.get("not") == alert.rule and "left out") or None  # type: ignore[attr-defined]


async def settle(journal: Journal, output: str, states: Sequence[State | None], priority: int = 4) -> None:
    lane = Lane(output, priority)
    alerts = await journal.read(lane, await journal.cursor(lane), len(states))
    await journal.settle(
        lane,
        [
            Settlement(alert.seq, state, NOW, 1, "HTTP 400", "no", next_try_ns=NOW, request="POST h 12 bytes")
            if state in {State.DEAD, State.RETRYING}
            else Settlement(alert.seq, state, NOW)
            for alert, state in zip(alerts, states, strict=False)
            if state is not None
        ],
    )


async def states(journal: Journal, output: str) -> dict[int, State]:
    alerts = (await journal.alerts(Filter(), limit=1000)).alerts
    found = await journal.fates(alerts)
    return {
        seq: fate.state for seq, fates in sorted(found.items()) for fate in fates if fate.output == output
    }


async def test_dead_letters_are_listed_and_filtered(journal: Journal) -> None:
    await journal.generation("other", {})
    await journal.append([new_alert(n, rule=f"rule {n % 2}") for n in range(6)])
    await settle(journal, "hook", [State.DEAD] * 4 + [State.DELIVERED])
    await settle(journal, "other", [State.DELIVERED, State.DEAD, State.DEAD])
    page = await journal.dead_letters(DeadFilter(), limit=4)
    assert [(one.alert.seq, one.output) for one in page.letters] == [
        (4, "hook"), (3, "hook"), (3, "other"), (2, "hook"),
    ]  # fmt: skip
    rest = await journal.dead_letters(DeadFilter(), before=page.next_before, limit=4)
    assert [(one.alert.seq, one.output) for one in rest.letters] == [(2, "other"), (1, "hook")]
    assert rest.next_before is None
    letter = page.letters[0]
    assert (letter.why, letter.reply, letter.request) == ("HTTP 400", "no", "POST h 12 bytes")
    assert letter.alert.raw == new_alert(3, rule="rule 1").body
    assert await journal.dead_letter("hook", 4) is not None
    assert await journal.dead_letter("hook", 5) is None
    assert await journal.dead_count("hook") == 4
    assert await journal.dead_count("hook", 2) == 2
    for where, seqs in (
        (DeadFilter(output="hook", rule="rule 1"), [4, 2]),
        (DeadFilter(output="hook", since_ns=NOW + 1, until_ns=NOW + 3), [3, 2]),
        (DeadFilter(output="hook", priorities=frozenset({5})), []),
        (DeadFilter(output="hook", why="400"), [4, 3, 2, 1]),
        (DeadFilter(output="hook", why="500"), []),
    ):
        assert [one.alert.seq for one in (await journal.dead_letters(where)).letters] == seqs, where


@pytest.mark.parametrize("again", [False, True], ids=["running", "after a restart"])
async def test_resent_letters_are_owed_again(journal: Journal, tmp_path: Path, again: bool) -> None:
    await journal.append([new_alert(n) for n in range(12)])
    await settle(journal, "hook", [State.DEAD] * 7 + [State.RETRYING, State.DEAD, State.DELIVERED])
    said = Progress()
    assert await journal.resend("hook", DeadFilter(rule="no such")) == 0
    assert await journal.resend("hook", [2, 2, 10, 99, 9]) == 2
    assert await journal.resend("hook", DeadFilter(until_ns=NOW + 7), progress=said) == 6
    assert (said.looked_at, said.changed, said.ended) == (6, 6, True)
    assert set(journal.woken) == {"hook"}  # type: ignore[attr-defined]
    if again:
        await journal.close()
        journal = await Journal.open(tmp_path / "data", clock=lambda: NOW)
    assert (await journal.depth("hook")).waiting == 2 + 9
    assert (await journal.depth("hook")).oldest_ns == NOW
    assert await journal.cursor(LANE) == 7
    assert [one.seq for one in await journal.pending(LANE)] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert [one.seq for one in await journal.pending(LANE, 4, 2)] == [5, 6]
    assert [alert.seq for alert in await journal.read(LANE, 10, 10)] == [11, 12]
    await journal.settle(LANE, [Settlement(seq, State.DELIVERED, NOW, 2) for seq in (1, 3, 8, 9)])
    await journal.settle(LANE, [Settlement(1, State.DEAD, NOW), Settlement(2, State.RETRYING, NOW, 2)])
    assert (await journal.depth("hook")).waiting == 2 + 5
    fates = await states(journal, "hook")
    assert fates[1] is State.DELIVERED, "what is settled stays so"
    assert fates[2] is State.RETRYING
    assert await journal.cursor(LANE) == 10
    await journal.close()


async def test_dropped_letters_keep_why_they_died(journal: Journal) -> None:
    await journal.append([new_alert(n) for n in range(5)])
    await settle(journal, "hook", [State.DEAD] * 4 + [State.DELIVERED])
    assert await journal.drop("hook", [1, 5], "jo") == 1
    assert await journal.drop("hook", DeadFilter(), "jo") == 3
    [fate] = (await journal.fates((await journal.alerts(Filter(), limit=5)).alerts))[1]
    assert (fate.state, fate.why, fate.reply) == (State.DISCARDED, "dropped by jo; HTTP 400", "no")
    assert await journal.resend("hook", [1]) == 0


async def test_replay_to_a_new_output(journal: Journal) -> None:
    await journal.append([new_alert(n, rule=f"rule {n % 2}", priority=3 + n % 2) for n in range(20)])
    await journal.generation("new", {})
    await journal.append([new_alert(20)])
    where = Filter(since_ns=NOW + 4, until_ns=NOW + 14)
    said = await journal.replay("new", where, accept=lambda alert: alert.rule == "rule 1")
    assert (said.looked_at, said.changed, said.ended) == (10, 5, True)
    assert {seq for seq, state in (await states(journal, "new")).items() if state is State.RETRYING} == {
        6, 8, 10, 12, 14,
    }  # fmt: skip
    assert (await journal.replay("new", where)).changed == 5, "what is owed already is left alone"
    assert (await journal.depth("new")).waiting == 11
    lane = Lane("new", 3)
    await journal.settle(
        lane, [Settlement(one.seq, State.DELIVERED, NOW) for one in await journal.pending(lane)]
    )
    assert (await journal.depth("new")).waiting == 6


async def test_replay_of_what_was_delivered(journal: Journal) -> None:
    await journal.append([new_alert(n) for n in range(10)])
    await settle(journal, "hook", [None, State.DELIVERED, State.RETRYING, State.DELIVERED, State.DEAD])
    assert (await journal.replay("hook", Filter())).changed == 3
    found = await states(journal, "hook")
    assert [found[seq] for seq in range(1, 7)] == [State.WAITING] + [State.RETRYING] * 4 + [State.WAITING]
    assert (await journal.depth("hook")).waiting == 10
    await journal.settle(LANE, [Settlement(seq, State.DELIVERED, NOW, 2) for seq in range(1, 6)])
    assert await journal.cursor(LANE) == 5
    assert (await journal.depth("hook")).waiting == 5


async def test_a_debt_is_adopted(journal: Journal) -> None:
    await journal.generation("old", {"not": "rule 5"})
    await journal.append([new_alert(n, rule=f"rule {n}") for n in range(10)])
    await settle(journal, "old", [State.DELIVERED, State.RETRYING, State.DEAD, State.DELIVERED])
    await settle(journal, "hook", [State.DELIVERED] * 7)
    await journal.generation("new", {})
    with pytest.raises(ValueError, match="not an output that was removed"):
        await journal.adopt("old", "new")
    await journal.generation("old", REMOVED)
    with pytest.raises(ValueError, match="no output 'nobody'"):
        await journal.adopt("old", "nobody")
    [orphan] = await journal.orphans()
    assert orphan.waiting == 7
    assert await journal.adopt("old", "hook") == 0, "it has them or will have them"
    assert await journal.orphans() == []
    found = await states(journal, "old")
    assert found == {
        1: State.DELIVERED, 2: State.DISCARDED, 3: State.DEAD, 4: State.DELIVERED, 5: State.DISCARDED,
        6: State.NOT_ROUTED, 7: State.DISCARDED, 8: State.DISCARDED, 9: State.DISCARDED, 10: State.DISCARDED,
    }  # fmt: skip


async def test_adopted_alerts_are_owed_to_their_new_output(journal: Journal) -> None:
    await journal.generation("old", {})
    await journal.generation("picky", {"not": "rule 8"})
    await journal.append([new_alert(n, rule=f"rule {n}") for n in range(10)])
    await settle(journal, "old", [State.DELIVERED, State.RETRYING])
    await journal.generation("new", {})
    await journal.generation("old", REMOVED)
    assert await journal.adopt("old", "new") == 9
    lane = Lane("new", 4)
    assert [one.seq for one in await journal.pending(lane)] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert (await journal.depth("new")).waiting == 9
    assert (await journal.depth("old")).waiting == 0
    assert await journal.orphans() == []
    assert (await journal.orphans()) == []


async def test_an_adopted_alert_that_the_routing_leaves_out(journal: Journal) -> None:
    """It lies beyond the cursor of the output that takes it over."""
    await journal.generation("old", {})
    await journal.generation("picky", {"not": "rule 3"})
    await journal.append([new_alert(n, rule=f"rule {n}") for n in range(6)])
    lane = Lane("picky", 4)
    await journal.generation("old", REMOVED)
    assert [alert.seq for alert in await journal.read(lane, 0, 2)] == [1, 2]
    assert await journal.adopt("old", "picky") == 1
    assert [one.seq for one in await journal.pending(lane)] == [4]
    assert [alert.seq for alert in await journal.read(lane, 2, 10)] == [3, 5, 6]
    await journal.settle(lane, [Settlement(seq, State.DELIVERED, NOW) for seq in (1, 2, 3, 5)])
    assert await journal.cursor(lane) == 3
    await journal.settle(lane, [Settlement(4, State.NOT_ROUTED, NOW)])  # the reader's judgement, too late
    assert await journal.cursor(lane) == 3
    await journal.settle(lane, [Settlement(4, State.DELIVERED, NOW)])
    assert await journal.cursor(lane) == 5
    assert (await journal.depth("picky")).waiting == 1


async def test_a_debt_is_discarded(journal: Journal, tmp_path: Path) -> None:
    await journal.generation("old", {})
    await journal.append([new_alert(n, priority=n % 2) for n in range(20)])
    await settle(journal, "old", [State.DELIVERED, State.RETRYING, State.DELIVERED], priority=1)
    await journal.generation("old", REMOVED)
    await journal.append([new_alert(99)])
    said = Progress()
    assert await journal.discard("old", "jo", progress=said) == 18
    assert said.looked_at == 18
    assert await journal.orphans() == []
    found = await states(journal, "old")
    assert sorted(found.values()) == [State.DELIVERED] * 2 + [State.DISCARDED] * 18
    [fate] = [one for one in (await journal.fates((await journal.alerts(Filter(), limit=50)).alerts))[20]
              if one.output == "old"]  # fmt: skip
    assert fate.why == "discarded by jo after the output was removed"


async def test_the_audit_list_is_bounded(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.journal.audit.KEPT", 5)
    for n in range(8):
        await journal.audit(AuditEntry(n, "jo", "pause", f"output {n}"))
    page = await journal.audits(limit=3)
    assert page.entries[0][:4] == (
        7, "jo", "pause", "output 7",
    )  # fmt: skip
    rest = await journal.audits(before=page.next_before, limit=3)
    assert [one.at_ns for one in rest.entries] == [4, 3]
    assert rest.next_before is None


async def test_notes_outlive_the_process(journal: Journal, tmp_path: Path) -> None:
    await journal.note("paused/hook", "by jo")
    await journal.note("paused/other", "by jo")
    await journal.note("paused/hook", None)
    await journal.close()
    again = await Journal.open(tmp_path / "data")
    assert await again.notes() == {"paused/other": "by jo"}
    await again.close()


async def test_what_an_output_stored_for_an_alert(journal: Journal) -> None:
    await journal.append([new_alert(n) for n in range(3)])
    await journal.read(LANE, 0, 3)
    await journal.settle(LANE, [Settlement(2, State.DELIVERED, NOW, ref="thread 7")])
    assert await journal.refs("hook", [1, 2, 3]) == {2: "thread 7"}
