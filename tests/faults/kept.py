"""What the journal says afterwards, read as the relay itself reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relay import routing
from relay.journal import Journal
from relay.journal.base import Fate, Filter, State

PAGE = 1000


@dataclass(frozen=True)
class Kept:
    ids: Counter[str]
    fates: Mapping[str, Mapping[str, Fate]]  # alert id -> output -> fate

    def states(self, output: str) -> Counter[State]:
        return Counter(fates[output].state for fates in self.fates.values())

    def having(self, output: str, state: State) -> set[str]:
        return {name for name, fates in self.fates.items() if fates[output].state is state}


async def read_journal(data_dir: Path, outputs: set[str]) -> Kept:
    """Every alert with its fates. Each must have exactly one at each of these outputs."""
    ids: Counter[str] = Counter()
    found: dict[str, dict[str, Fate]] = {}
    journal = await Journal.open(data_dir, judge=routing.judge)
    try:
        before: int | None = None
        while True:
            page = await journal.alerts(Filter(), before=before, limit=PAGE)
            fates = await journal.fates(page.alerts)
            for alert in page.alerts:
                ids[alert.id] += 1
                mine = fates[alert.seq]
                found[alert.id] = {fate.output: fate for fate in mine}
                assert sorted(fate.output for fate in mine) == sorted(outputs), alert.id
            before = page.next_before
            if before is None:
                return Kept(ids, found)
    finally:
        await journal.close()
