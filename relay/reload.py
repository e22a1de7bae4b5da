"""Following the configuration: on SIGHUP, and when one of its files has changed and stays as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import structlog

from relay.config import ConfigError, RelayConfig, load
from relay.config.files import Identity, identity
from relay.delivery import Clock

POLL_SECONDS = 2.0
AT_START = ("listen", "data_dir", "dedup_window")
"""Settings that are read at the start only."""

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(slots=True)
class Reloads:
    """Counts since the start; read by metrics."""

    taken: int = 0
    refused: int = 0
    last_good: bool = True
    last_ns: int = 0  # when the configuration in force was read; 0: at the start


class Watch:
    """Says once that a file has become another, when it was the same in two looks: not half-written."""

    def __init__(self, files: Mapping[Path, Identity]) -> None:
        self.follow(files)

    def follow(self, files: Mapping[Path, Identity]) -> None:
        """These were read, as they were then."""
        self._read = dict(files)
        self._before = dict(files)

    def changed(self) -> bool:
        now = {path: identity(path) for path in self._read}
        settled, self._before = now == self._before, now
        if not settled or now == self._read:
            return False
        self._read = now
        return True


class Reloader:
    """A part of the relay. `take` puts a good configuration in force; `refused` is told what is wrong."""

    def __init__(
        self,
        config: RelayConfig,
        clock: Clock,
        take: Callable[[RelayConfig], Awaitable[None]],
        refused: Callable[[ConfigError], Awaitable[None]],
    ) -> None:
        self.reloads = Reloads()
        self._config = config
        self._clock = clock
        self._take = take
        self._refused = refused
        self._watch = Watch(config.files)
        self._wake = asyncio.Event()
        self._asked = False
        self._lock = asyncio.Lock()
        # Of its own: a file on a disk that hangs must not hold anything else.
        self._thread: ThreadPoolExecutor | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="configuration")
        self._task = asyncio.create_task(self._run())

    def closing(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def follow(self, config: RelayConfig) -> None:
        """It is the one that was read here."""

    def ask(self) -> None:
        """Reload soon: SIGHUP."""
        self._asked = True
        self._wake.set()

    async def _run(self) -> None:
        while True:
            timer = self._clock.call_later(POLL_SECONDS, self._wake.set)
            await self._wake.wait()
            timer.cancel()
            self._wake.clear()
            asked, self._asked = self._asked, False
            try:
                if asked or await self._in_thread(self._watch.changed):
                    await self.reload()
            except Exception as error:
                # Its text may hold an address or a token.
                log.error("the configuration could not be followed", error=type(error).__name__)

    async def reload(self) -> bool:
        """Read, check and take the configuration; one that is bad changes nothing. Says whether it was good.

        Raises what `take` raises.
        """
        async with self._lock:
            try:
                config = await self._in_thread(lambda: load(self._config.file))
            except ConfigError as error:
                self._watch.follow({**self._config.files, **error.files})
                self.reloads.refused += 1
                self.reloads.last_good = False
                await self._refused(error)
                return False
            self._watch.follow(config.files)
            self._config = self._as_started(config)
            try:
                await self._take(self._config)
            except Exception:
                self.reloads.refused += 1
                self.reloads.last_good = False
                raise
            self.reloads.taken += 1
            self.reloads.last_good = True
            self.reloads.last_ns = self._clock.time_ns()
            return True

    def _as_started(self, config: RelayConfig) -> RelayConfig:
        before = self._config.general
        late = [name for name in AT_START if getattr(config.general, name) != getattr(before, name)]
        if late:
            log.warning("these settings take effect when the relay is started again", settings=late)
        kept = {name: getattr(before, name) for name in late}
        return replace(config, general=config.general.model_copy(update=kept))

    async def _in_thread(self, function: Callable[[], T]) -> T:
        assert self._thread is not None, "start() comes first"
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)
