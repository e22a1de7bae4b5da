"""What was answered is on disk, not only in the page cache.

`kill -9` keeps the page cache, so it proves nothing here. strace says in which order the log was written and
synced and when the program answered; a copy of the log, cut back to what was synced when it answered, is what
a power cut would leave. The test has to fail with `synchronous = NORMAL`, and that is tested too.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

CHILD = """
import asyncio, os, sys
from pathlib import Path
from relay.journal import Journal
from tests.relay.journal.alerts import new_alert

async def main():
    journal = await Journal.open(Path(sys.argv[1]))
    journal._writer.connection.execute(f"PRAGMA synchronous = {sys.argv[2]}")
    answered = 0
    for n in range(40):
        await journal.append([new_alert(100 * n + k) for k in range(1 + n % 5)])
        answered += 1 + n % 5
        os.write(1, b"answered %d\\n" % answered)
    os._exit(0)  # closing would sync

asyncio.run(main())
"""
WRITE = re.compile(r"pwrite64\(\d+<[^>]*journal\.db-wal>.*?, (\d+), (\d+)(?:\)| <unfinished)")
SYNC = re.compile(r"(?:fsync|fdatasync)\(\d+<[^>]*journal\.db-wal>(?P<late> <unfinished)?")
RESUMED = re.compile(r"<\.\.\. (?:fsync|fdatasync) resumed>")
ANSWER = re.compile(r'write\(1.*?"answered (\d+)')


@dataclass(frozen=True)
class Moment:
    """An answer, and how much of the log was on disk for certain."""

    answered: int
    synced: int


def moments(trace: str) -> list[Moment]:
    written = synced = 0
    found: list[Moment] = []
    covers: dict[str, int] = {}  # a sync covers what was written before it began
    for line in trace.splitlines():
        thread = line.split(" ", 1)[0]
        if match := WRITE.search(line):
            written = max(written, int(match[1]) + int(match[2]))
        elif match := SYNC.search(line):
            if match["late"]:
                covers[thread] = written
            else:
                synced = written
        elif RESUMED.search(line):
            synced = max(synced, covers.pop(thread, 0))
        elif match := ANSWER.search(line):
            found.append(Moment(int(match[1]), synced))
    return found


def alerts_after_power_cut(data: Path, scratch: Path, synced: int) -> int:
    """Open a copy that has only what was synced."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    shutil.copy(data / "journal.db", scratch / "journal.db")
    (scratch / "journal.db-wal").write_bytes((data / "journal.db-wal").read_bytes()[:synced])
    database = sqlite3.connect(scratch / "journal.db")
    try:
        return int(database.execute("SELECT count(*) FROM alert").fetchone()[0])
    except sqlite3.OperationalError:  # not even the tables
        return 0
    finally:
        database.close()


def lost_anything(tmp_path: Path, synchronous: str) -> bool:
    """Whether some alert that was answered is gone after a power cut at a random answer."""
    data, trace = tmp_path / "data", tmp_path / "trace"
    subprocess.run(
        ["strace", "-f", "-y", "-s", "40", "-e", "trace=pwrite64,write,fsync,fdatasync", "-o", str(trace),
         sys.executable, "-c", CHILD, str(data), synchronous],
        check=True,
        env={**os.environ, "PYTHONPATH": "."},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    found = moments(trace.read_text(errors="replace"))
    assert len(found) == 40
    return any(
        alerts_after_power_cut(data, tmp_path / "copy", moment.synced) < moment.answered
        for moment in [*random.sample(found, 12), found[-1]]
    )


@pytest.fixture(autouse=True)
def needs_strace() -> None:
    if shutil.which("strace") is None:
        if os.environ.get("SERVERS") == "required":
            pytest.fail("strace is not installed: apt-get install strace")
        pytest.skip("strace is not installed")


def test_what_was_answered_survives_a_power_cut(tmp_path: Path) -> None:
    assert not lost_anything(tmp_path, "FULL")


def test_the_test_notices_when_syncs_are_left_out(tmp_path: Path) -> None:
    assert lost_anything(tmp_path, "NORMAL")


def test_the_journal_is_set_to_full(tmp_path: Path) -> None:
    from relay.journal.schema import connect

    (mode,) = connect(tmp_path / "x.db").execute("PRAGMA synchronous").fetchone()
    assert mode == 2
