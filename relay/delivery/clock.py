"""Time as the workers see it; tests give them another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, Protocol


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    def time_ns(self) -> int:
        """Nanoseconds since the epoch, for what is written down."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for waiting."""
        ...

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer: ...


class SystemClock:
    """The machine's time, and the running event loop's timers."""

    def time_ns(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(delay, callback)


STEP_NS = 5 * 10**9
"""A wall clock that has moved so much against the monotonic one was set (or the machine was asleep)."""


class StepWatch:
    """Notices that the wall clock was set: what was noted on it before has to move with it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = self._now()

    def _now(self) -> int:
        return self._clock.time_ns() - int(self._clock.monotonic() * 1e9)

    def step_ns(self) -> int:
        """By how much it was set since this was last asked; 0: not at all."""
        step = self._now() - self._offset
        if abs(step) < STEP_NS:
            return 0
        self._offset += step
        return step


class TimeLimit:
    """`async with TimeLimit(clock, seconds)`: what is inside is cancelled after that; then TimeoutError."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._over = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._timer = self._clock.call_later(self._seconds, self._cancel)

    def _cancel(self) -> None:
        self._over = True
        self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        # Somebody else may have cancelled the task too; that one goes on.
        if self._over and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError


async def finish(clock: Clock, seconds: float, tasks: Collection[asyncio.Task[Any]]) -> None:
    """Wait for the tasks, at most so long; cancel those that are late, and wait a second more for them."""
    if not tasks:
        return
    given_up = asyncio.get_running_loop().create_future()
    timers = [clock.call_later(seconds, task.cancel) for task in tasks]
    timers.append(clock.call_later(seconds + 1.0, given_up.cancel))
    everything = asyncio.ensure_future(asyncio.wait(tasks))
    await asyncio.wait([everything, given_up], return_when=asyncio.FIRST_COMPLETED)
    for timer in timers:
        timer.cancel()
    everything.cancel()
    given_up.cancel()
