"""The journal on SQLite: what is promised of Log and Ledger."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.alert import PRIORITIES
from relay.journal import DataDirError, Journal, SchemaError
from relay.journal.base import Depth, Filter, Lane, Settlement, State
from relay.journal.dedup import GATHERED
from relay.journal.lock import DataDirLock
from relay.journal.queries import LANE_BYTES, PAGE_BYTES
from tests.relay.journal.alerts import NOW, new_alert

LANE = Lane("hook", 4)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(tmp_path / "data")
    yield opened
    await opened.close()


async def test_appended_alerts_are_read_back(journal: Journal) -> None:
    await journal.generation("hook", {})
    answers = await journal.append([new_alert(n, priority=n % 8) for n in range(20)])
    assert [answer.seq for answer in answers] == list(range(1, 21))
    for priority in range(len(PRIORITIES)):
        lane = Lane("hook", priority)
        alerts = await journal.read(lane, 0, 100)
        assert [alert.seq for alert in alerts] == [n + 1 for n in range(20) if n % 8 == priority]
        assert alerts[0].raw == new_alert(priority, priority=priority).body
    assert journal.newest() == 20
    assert journal.newest(3) == 20


async def test_the_file_says_the_same_as_memory(journal: Journal, tmp_path: Path) -> None:
    await journal.generation("hook", {})
    await journal.append([new_alert(n) for n in range(10)])
    from_memory = await journal.read(LANE, 0, 100)
    await journal.close()
    again = await Journal.open(tmp_path / "data")
    from_file = await again.read(LANE, 0, 100)
    for one, other in zip(from_memory, from_file, strict=True):
        assert [getattr(one, name) for name in ("seq", "id", "raw", "time_ns", "rule", "received_from")] == [
            getattr(other, name) for name in ("seq", "id", "raw", "time_ns", "rule", "received_from")
        ]
    await again.close()
    object.__setattr__(journal, "close", _nothing)


async def _nothing() -> None:
    return None


async def test_many_at_once_share_commits(journal: Journal) -> None:
    answers = await asyncio.gather(*(journal.append([new_alert(n)]) for n in range(500)))
    assert sorted(answer[0].seq for answer in answers) == list(range(1, 501))
    assert journal.stats.commits < 100


async def test_a_new_output_starts_at_the_newest(journal: Journal) -> None:
    await journal.append([new_alert(1)])
    await journal.generation("hook", {})
    await journal.append([new_alert(2)])
    assert [alert.seq for alert in await journal.read(LANE, await journal.cursor(LANE), 10)] == [2]
    first, second = reversed((await journal.alerts(Filter())).alerts)
    fates = await journal.fates([first, second])
    assert fates[first.seq] == []
    assert [fate.state for fate in fates[second.seq]] == [State.WAITING]


def delivered(*seqs: int, at_ns: int = 5, **more: object) -> list[Settlement]:
    return [Settlement(seq, State.DELIVERED, at_ns, confirmed=True, **more) for seq in seqs]  # type: ignore[arg-type]


async def states(journal: Journal) -> list[str]:
    alerts = list(reversed((await journal.alerts(Filter(), limit=100)).alerts))
    fates = await journal.fates(alerts)
    return [fates[alert.seq][0].state.value for alert in alerts]


async def test_fates_in_any_order_and_the_cursor(journal: Journal, tmp_path: Path) -> None:
    await journal.generation("hook", {})
    await journal.append([new_alert(n) for n in range(8)])
    await journal.read(LANE, 0, 100)
    await journal.settle(LANE, delivered(3, 4))
    assert await journal.cursor(LANE) == 0
    await journal.settle(LANE, [Settlement(1, State.RETRYING, 6, why="HTTP 500", next_try_ns=9)])
    await journal.settle(LANE, delivered(2))
    await journal.settle(LANE, [Settlement(6, State.DEAD, 7, why="HTTP 400", reply="no")])
    said = ["retrying", "delivered", "delivered", "delivered", "waiting", "dead", "waiting", "waiting"]
    assert await states(journal) == said
    assert await journal.depth("hook") == Depth(
        4, (await journal.alerts(Filter(), limit=100)).alerts[-1].received_ns
    )
    await journal.close()

    again = await Journal.open(tmp_path / "data")
    assert await states(again) == said
    read: list[int] = []
    while alerts := await again.read(LANE, read[-1] if read else 0, 100):
        read += [alert.seq for alert in alerts]
    assert read == [5, 7, 8]
    assert [one.seq for one in await again.pending(LANE)] == [1]
    await again.settle(LANE, delivered(1, attempts=2))
    assert await again.cursor(LANE) == 4
    await again.settle(LANE, delivered(5, 7, 8))
    assert await again.cursor(LANE) == 8
    assert (await again.depth("hook")).waiting == 0
    alert = (await again.alerts(Filter(), limit=100)).alerts[-1]
    (fate,) = (await again.fates([alert]))[1]
    assert (fate.state, fate.attempts) == (State.DELIVERED, 2)
    await again.close()
    object.__setattr__(journal, "close", _nothing)


async def test_plain_deliveries_take_one_row(journal: Journal, tmp_path: Path) -> None:
    await journal.generation("hook", {})
    await journal.append([new_alert(n) for n in range(1000)])
    after = 0
    while alerts := await journal.read(LANE, after, 100):
        after = alerts[-1].seq
        await journal.settle(LANE, delivered(*(alert.seq for alert in alerts)))
    database = sqlite3.connect(tmp_path / "data" / "journal.db")
    assert database.execute("SELECT count(*) FROM delivered").fetchone() == (1,)
    assert database.execute("SELECT count(*) FROM fate").fetchone() == (0,)
    assert set(await states(journal)) == {"delivered"}


async def test_what_is_not_routed_is_derived(tmp_path: Path) -> None:
    journal = await Journal.open(
        tmp_path / "data",
        judge=lambda routing, alert: "too low" if routing and alert.priority > 3 else None,
    )
    await journal.generation("hook", {"minimum_priority": "error"})
    await journal.append([new_alert(1, priority=2), new_alert(2, priority=6)])
    alerts = (await journal.alerts(Filter())).alerts
    low, high = alerts
    fates = await journal.fates(alerts)
    assert (fates[low.seq][0].state, fates[low.seq][0].why) == (State.NOT_ROUTED, "too low")
    assert fates[high.seq][0].state is State.WAITING
    lane = Lane("hook", 6)
    await journal.read(lane, 0, 10)
    await journal.settle(lane, [Settlement(low.seq, State.NOT_ROUTED, 1)])
    assert (await journal.depth("hook")).waiting == 1
    # Another routing holds for what comes after it; what came before keeps its own.
    generation = await journal.generation("hook", {})
    assert generation.from_seq == 2
    assert (await journal.generation("hook", {})).number == generation.number
    await journal.append([new_alert(3, priority=6)])
    newest = (await journal.alerts(Filter(), limit=1)).alerts[0]
    assert (await journal.fates([newest]))[newest.seq][0].state is State.WAITING
    assert (await journal.fates([low]))[low.seq][0].state is State.NOT_ROUTED
    await journal.close()


async def test_numbers_are_never_used_again(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path / "data")
    await journal.append([new_alert(n) for n in range(5)])
    await journal.close()
    database = sqlite3.connect(tmp_path / "data" / "journal.db")
    database.executescript(
        "UPDATE high_water SET seq = 5; DELETE FROM alert; DELETE FROM body;"  # as retention does
    )
    database.close()
    journal = await Journal.open(tmp_path / "data")
    assert (await journal.append([new_alert(9)]))[0].seq == 6
    await journal.close()


async def test_lists_filters_and_pages(journal: Journal) -> None:
    for n in range(30):
        await journal.append([new_alert(n, priority=n % 3, rule=f"rule {n % 2}", received_ns=1000 + n)])
    page = await journal.alerts(Filter(rule="rule 1", priorities=frozenset({0, 1})), limit=4)
    assert [alert.seq for alert in page.alerts] == [28, 26, 22, 20]
    assert page.next_before is not None
    rest = await journal.alerts(
        Filter(rule="rule 1", priorities=frozenset({0, 1})), before=page.next_before, limit=100
    )
    assert [alert.seq for alert in rest.alerts] == [16, 14, 10, 8, 4, 2]
    assert rest.next_before is None
    page = await journal.alerts(Filter(since_ns=1010, until_ns=1013), limit=100)
    assert [alert.received_ns for alert in page.alerts] == [1012, 1011, 1010]


async def test_large_alerts_come_a_few_at_a_time(journal: Journal, tmp_path: Path) -> None:
    size = LANE_BYTES // 4
    await journal.generation("hook", {})
    await journal.append([new_alert(n, size=size) for n in range(10)])
    taken: list[int] = []
    while more := await journal.read(LANE, taken[-1] if taken else 0, 100):
        assert len(more) <= 4
        taken += [alert.seq for alert in more]
        await journal.settle(LANE, delivered(taken[-1]))
    assert taken == list(range(1, 11))
    await journal.close()
    again = await Journal.open(tmp_path / "data")
    left: list[int] = []
    while more := await again.read(LANE, left[-1] if left else 0, 100):
        assert len(more) <= 4
        left += [alert.seq for alert in more]
    await again.close()
    assert 1 in left
    assert 10 not in left
    assert left == sorted(set(left))
    object.__setattr__(journal, "close", _nothing)


async def test_pages_of_large_alerts_are_shorter(journal: Journal) -> None:
    size = PAGE_BYTES // 4
    for n in range(10):
        await journal.append([new_alert(n, size=size, rule=f"rule {n % 2}")])
    before, lengths, seqs = None, list[int](), list[int]()
    while not lengths or before is not None:
        page = await journal.alerts(Filter(rule="rule 1"), before=before, limit=5)
        lengths.append(len(page.alerts))
        seqs += [alert.seq for alert in page.alerts]
        before = page.next_before
    assert lengths == [4, 1]
    assert seqs == [10, 8, 6, 4, 2]


async def test_an_alert_is_found_by_its_id(journal: Journal) -> None:
    now = 1_790_000_000_000_000_000
    named = new_alert(1, uuid="sender-chose-this", received_ns=now)
    answers = await journal.append([named, new_alert(2, uuid=None, received_ns=now)])
    assert (await journal.alert("sender-chose-this")).seq == 1  # type: ignore[union-attr]
    assert (await journal.alert(answers[1].id)).seq == 2  # type: ignore[union-attr]
    assert await journal.alert("no such") is None
    assert await journal.alert("01a00000-0000-7000-8000-000000000000") is None


async def test_repetitions_are_known_after_a_crash(tmp_path: Path) -> None:
    """The keys that were still in memory are read again from the alerts."""
    journal = await Journal.open(tmp_path / "data", clock=lambda: NOW)
    many = [new_alert(n, uuid=f"u{n}") for n in range(GATHERED + 500)]
    for at in range(0, len(many), 500):
        await journal.append(many[at : at + 500])
    await journal.append([new_alert(n, uuid=None) for n in range(20)])
    await journal.close()  # nothing of the memory is written here
    journal = await Journal.open(tmp_path / "data", clock=lambda: NOW)
    for at in (0, 250, GATHERED - 1, GATHERED + 499):
        (answer,) = await journal.append([many[at]])
        assert answer.duplicate, at
        assert answer.seq == at + 1
    assert (await journal.append([new_alert(7, uuid=None)]))[0].duplicate
    await journal.close()


async def test_repetitions_are_forgotten_after_the_window(tmp_path: Path) -> None:
    now = [10**18]
    journal = await Journal.open(tmp_path / "data", dedup_window_s=100, clock=lambda: now[0])
    await journal.append([new_alert(1, uuid="u")])
    now[0] += 99 * 10**9
    assert (await journal.append([new_alert(1, uuid="u")]))[0].duplicate
    now[0] += 2 * 10**9
    assert not (await journal.append([new_alert(1, uuid="u")]))[0].duplicate
    await journal.close()


async def test_refused_bodies_are_bounded(journal: Journal) -> None:
    for n in range(1010):
        await journal.refuse(b"x" * 70_000 if n == 1009 else b"%d" % n, "why", "peer", n)
    kept = await journal.refused(2000)
    assert len(kept) == 1000
    assert len(kept[0]["body"]) == 65536  # type: ignore[arg-type]
    assert kept[-1]["body"] == b"10"


async def test_files_are_for_the_owner_only(journal: Journal) -> None:
    await journal.append([new_alert(1)])
    assert stat.S_IMODE(journal.data_dir.stat().st_mode) == 0o700
    for file in journal.data_dir.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


async def test_a_second_opener_is_told_who_holds_it(journal: Journal) -> None:
    with pytest.raises(DataDirError, match=f"in use by process {os.getpid()} since 2"):
        await Journal.open(journal.data_dir)


@pytest.mark.parametrize(
    ("kind", "mount", "refused"),
    [("nfs4", "", True), ("cifs", "/data", True), ("ext4", "", False), ("nfs", "/data/below", False)],
)
def test_a_remote_file_system_is_refused(tmp_path: Path, kind: str, mount: str, refused: bool) -> None:
    folder = tmp_path / "my files"
    (folder / "data").mkdir(parents=True)
    mounts = tmp_path / "mounts"
    shown = str(folder).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {shown}{mount} {kind} rw 0 0\n")
    if refused:
        with pytest.raises(DataDirError, match=f"is on {kind}: .* use a local disk"):
            DataDirLock(folder / "data", mounts)
    else:
        DataDirLock(folder / "data", mounts).release()


def test_the_lock_is_not_what_a_link_points_to(tmp_path: Path) -> None:
    other = tmp_path / "passwd"
    other.write_text("root")
    (tmp_path / "lock").symlink_to(other)
    with pytest.raises(OSError, match="lock"):
        DataDirLock(tmp_path)
    assert other.read_text() == "root"


async def test_a_newer_schema_is_refused_by_name(tmp_path: Path) -> None:
    await (await Journal.open(tmp_path / "data")).close()
    database = sqlite3.connect(tmp_path / "data" / "journal.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(SchemaError, match=r"journal.db has schema 99, this program knows up to \d"):
        await Journal.open(tmp_path / "data")
    with pytest.raises(SchemaError):  # and the lock was given back
        await Journal.open(tmp_path / "data")


_DISK_FULL = """
import asyncio, json, sys
from pathlib import Path
from relay.journal import Journal
from relay.journal.base import Filter, JournalFullError
from tests.relay.journal.alerts import new_alert

async def main():
    journal = await Journal.open(Path(sys.argv[1]) / "data")
    good, failed = 0, 0
    for n in range(400):
        try:
            good += len(await journal.append([new_alert(n, size=20_000)]))
        except JournalFullError:
            failed += 1
            if failed == 1:
                Path(sys.argv[1], "ballast").unlink()  # there is room again
    stored = len((await journal.alerts(Filter(), limit=1000)).alerts)
    await journal.close()
    print(json.dumps([good, failed, stored]))

asyncio.run(main())
"""


def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """On a real small tmpfs in a mount namespace of its own."""
    script = (
        f"mount -t tmpfs -o size=20m none {tmp_path} && head -c 16m /dev/zero > {tmp_path}/ballast"
        f' && exec "$0" -c "$1" {tmp_path}'
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, sys.executable, _DISK_FULL],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
        check=False,
    )
    if "unshare" in done.stderr or "permission" in done.stderr.lower():
        pytest.skip("needs a mount namespace: " + done.stderr.strip())
    assert done.returncode == 0, done.stderr
    good, failed, stored = json.loads(done.stdout)
    assert failed >= 1
    assert good + failed == 400
    assert stored == good


async def test_close_leaves_nothing_open_and_no_log_behind(tmp_path: Path) -> None:
    """A reader that stayed open would go on in an index that the next process has thrown away."""
    journal = await Journal.open(tmp_path / "data")
    await journal.append([new_alert(1)])
    await asyncio.gather(*(journal.alerts(Filter(), before=None, limit=10) for _ in range(6)))
    await journal.close()
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not [link for link in links if str(tmp_path) in str(link.readlink())]
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"journal.db", "lock"}
