"""The workers of the configuration in force, and how they become those of another."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from relay import outputs, routing
from relay.alert import Alert
from relay.config import RelayConfig
from relay.config.files import Identity
from relay.config.settings import OutputSettings, start_seconds
from relay.delivery import Clock, Worker, sending
from relay.delivery.clock import finish
from relay.delivery.pace import Paces
from relay.journal import Journal
from relay.journal.base import REMOVED, Generation, Orphan
from relay.outputs.base import Output
from relay.routing import Routing

LATE_SECONDS = sending.GRACE + 1.0
"""So long after an output's time-out nothing of it is under way any more."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Made:
    """What a worker was made from: while it is the same, the worker stays."""

    settings: OutputSettings
    public_url: str | None
    certificates: tuple[Identity, ...]

    @classmethod
    def of(cls, settings: OutputSettings, config: RelayConfig) -> Made:
        tls = settings.tls
        return cls(
            # These say something about the past only.
            settings.model_copy(update={"start_from": "now", "renamed_from": None}),
            config.general.public_url,
            tuple(config.files.get(path) for path in (tls.ca_file, tls.cert_file) if path),
        )


@dataclass(slots=True)
class Change:
    """What another configuration has changed, by output."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    orphans: Sequence[Orphan] = ()  # of all outputs that were removed, now or before
    failed: dict[str, str] = field(default_factory=dict)  # could not be started, and why


class Fleet:
    """`workers` is in the configuration's order. Calls of `become` must not overlap."""

    def __init__(self, clock: Clock) -> None:
        self.workers: dict[str, Worker] = {}
        self._clock = clock
        self._paces = Paces()
        self._made: dict[str, Made] = {}
        self._ends: dict[str, asyncio.Task[None]] = {}

    async def become(self, config: RelayConfig, journal: Journal) -> Change:
        """Make the workers those of `config`. Raises before anything has changed, or not at all.

        A changed output's worker first finishes what is under way, however long that may take (its time-out
        bounds it), so that nothing is sent twice; only then its next one begins, under a new generation.
        """
        made = {name: Made.of(settings, config) for name, settings in config.outputs.items()}
        different = [name for name, one in made.items() if self._made.get(name) != one]
        new = {
            name: outputs.create(name, config.outputs[name], config.general.public_url) for name in different
        }
        gone = [name for name in self.workers if name not in made]
        change = Change(removed=gone)
        for name in different:
            (change.changed if name in self.workers else change.added).append(name)
        steps = {name: self._begin(name, config, journal, new[name]) for name in different}
        renamed = {config.outputs[name].renamed_from for name in different}
        steps |= {name: self._retire(name, journal) for name in gone if name not in renamed}
        results = await asyncio.gather(*steps.values(), return_exceptions=True)
        for name, result in zip(steps, results, strict=True):
            if isinstance(result, BaseException):
                change.failed[name] = _why(result)
                log.error("an output could not be changed", output=name, why=change.failed[name])
                self._made.pop(name, None)  # the next reload tries again
            elif name in made:
                self._made[name] = made[name]
        for name in [*made, *(name for name in self.workers if name not in made)]:
            if name in self.workers:
                self.workers[name] = self.workers.pop(name)
        change.orphans = await self._retire_strangers(config, journal)
        return change

    async def stop(self, seconds: float) -> None:
        """Finish what is under way, at most so long; leave the rest in the journal."""
        ends = list(self._ends.values())
        working = [worker for name, worker in self.workers.items() if name not in self._ends]
        await asyncio.gather(
            finish(self._clock, seconds, ends), *(worker.stop(seconds) for worker in working)
        )
        self.workers.clear()
        self._made.clear()
        self._ends.clear()

    async def _begin(self, name: str, config: RelayConfig, journal: Journal, output: Output) -> None:
        settings = config.outputs[name]
        old = self.workers.get(name)
        await self._end(name)
        if settings.renamed_from is not None:
            await self._end(settings.renamed_from)
            await _take_over(journal, settings.renamed_from, name)
        back = start_seconds(settings.start_from)
        since_ns = 0 if math.isinf(back) else max(0, self._clock.time_ns() - int(back * 1e9))
        await journal.generation(name, Routing.of(settings).as_text(), since_ns=since_ns if back else None)
        history = [one for one in await journal.generations() if one.output == name]
        worker = Worker(
            output,
            journal,
            routed(history),
            retry_for=settings.retry_for,
            clock=self._clock,
            paces=self._paces,
        )
        if old is not None:
            worker.tally = old.tally
        self.workers[name] = worker
        await worker.start()

    async def _retire(self, name: str, journal: Journal) -> None:
        await self._end(name)
        await journal.generation(name, REMOVED)

    async def _end(self, name: str) -> None:
        """Goes on when whoever waits for it is cancelled: `stop` waits for it then."""
        worker = self.workers.get(name)
        if worker is None:
            return
        if name not in self._ends:
            seconds = worker.output.limits.timeout + LATE_SECONDS
            self._ends[name] = asyncio.create_task(worker.stop(seconds))
        try:
            await asyncio.shield(self._ends[name])
        except Exception as error:
            log.error("an output did not end well", output=name, why=_why(error))
        self.workers.pop(name, None)
        self._ends.pop(name, None)

    async def _retire_strangers(self, config: RelayConfig, journal: Journal) -> Sequence[Orphan]:
        """Outputs that the journal knows and the configuration does not; say what waits for them."""
        known = {one.output for one in await journal.generations()}
        for name in sorted(known - set(config.outputs) - set(self.workers)):
            await journal.generation(name, REMOVED)
        orphans = await journal.orphans()
        for orphan in orphans:
            log.warning(
                "alerts wait for an output that was removed; to deliver them, give it back or say"
                " `renamed_from: NAME` at a new output",
                output=orphan.output,
                waiting=orphan.waiting,
            )
        return orphans


async def _take_over(journal: Journal, old: str, new: str) -> None:
    """What is noted for `old` becomes `new`'s, once: `renamed_from` may stay in the file."""
    known = {one.output for one in await journal.generations()}
    if old not in known:
        return
    if new in known:
        log.warning("renamed_from is not followed: both outputs have been there", old=old, output=new)
        return
    await journal.rename(old, new)
    log.info("output is renamed", was=old, output=new)


def _why(error: BaseException) -> str:
    """The text of other errors may hold an address or a token."""
    return str(error) if isinstance(error, OSError | sqlite3.Error) else type(error).__name__


def routed(generations: Sequence[Generation]) -> Callable[[Alert], str | None] | None:
    """Judge an alert by the routing that was in force when it was journalled."""
    if all(not generation.routing for generation in generations):
        return None

    def why_not(alert: Alert) -> str | None:
        for generation in reversed(generations):
            if generation.from_seq < alert.seq:
                return routing.judge(generation.routing, alert)
        return "journalled before the output was there"

    return why_not


def summary(change: Change) -> Mapping[str, str]:
    """For the log: the names by what became of them."""
    words = {"added": change.added, "changed": change.changed, "removed": change.removed}
    return {word: ", ".join(names) for word, names in words.items() if names}
