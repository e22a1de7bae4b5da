"""A worker on fake time, a journal in memory, and an output that a test scripts."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from relay.delivery import Worker
from tests.relay.delivery.fakes import FakeClock, MemoryLog, ScriptedOutput, settle, stopped

Begin = Callable[..., Awaitable[Worker]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def journal() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
async def begin(clock: FakeClock, journal: MemoryLog) -> AsyncIterator[Begin]:
    """Start a worker; those that the test did not stop are stopped."""
    workers: list[Worker] = []

    async def start(output: ScriptedOutput, **options: Any) -> Worker:
        options.setdefault("why_not", None)
        worker = Worker(output, options.pop("journal", journal), clock=clock, rng=random.Random(1), **options)
        await worker.start()
        workers.append(worker)
        await settle()
        return worker

    yield start
    for worker in workers:
        if not worker.output.closed:  # type: ignore[attr-defined]
            await stopped(worker, clock)
