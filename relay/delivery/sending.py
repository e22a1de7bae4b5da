"""One attempt: hand a batch to the output, split what is too large, and never wait without an end."""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Sequence

import structlog

from relay.alert import Alert
from relay.delivery.clock import Clock, TimeLimit
from relay.outputs.base import Batch, Outcome, Output, Parked, Rejected, Retry, Throttled, TooLarge

GRACE = 5.0
"""Seconds beyond its own time-out after which an output that still hangs is given up."""

_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,200}")

log = structlog.get_logger()


async def attempt(output: Output, alerts: Sequence[Alert], number: int, clock: Clock) -> list[Outcome]:
    """One outcome for each alert, none of them TooLarge. Raises only CancelledError."""
    try:
        return await _send(output, alerts, number, clock)
    except Exception as error:
        # Its text may hold an address or a token.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        log.error(
            "output failed in a way it must not",
            output=output.name,
            error=type(error).__name__,
            where=f"{frame.filename}:{frame.lineno}",
        )
        return [Retry(f"a fault of the relay: {type(error).__name__}")] * len(alerts)


async def _send(
    output: Output, alerts: Sequence[Alert], number: int, clock: Clock, shrink: bool = False
) -> list[Outcome]:
    timeout = output.limits.timeout
    batch = Batch(
        alerts, delivery_id(output.name, alerts), number, clock.monotonic() + timeout, shrink=shrink
    )
    try:
        async with TimeLimit(clock, timeout + GRACE):
            outcomes = list(await output.deliver(batch))
    except TimeoutError:
        return [Retry("no reply in time")] * len(alerts)
    if len(outcomes) != len(alerts):
        raise AssertionError(f"{len(outcomes)} outcomes for {len(alerts)} alerts")
    if len(alerts) > 1:
        return await _split(output, alerts, outcomes, number, clock)
    if not isinstance(outcomes[0], TooLarge):
        return outcomes
    if shrink:
        return [Rejected(f"too large even when shortened: {outcomes[0].why}", outcomes[0].reply)]
    return await _send(output, alerts, number, clock, shrink=True)


async def _split(
    output: Output, alerts: Sequence[Alert], outcomes: list[Outcome], number: int, clock: Clock
) -> list[Outcome]:
    """Send what was too large again, in two halves."""
    large = [at for at, outcome in enumerate(outcomes) if isinstance(outcome, TooLarge)]
    half = (len(large) + 1) // 2
    stopped: Outcome | None = None
    for part in (large[:half], large[half:]):
        if not part:
            continue
        if stopped is not None:
            results = [stopped] * len(part)
        else:
            results = await _send(output, [alerts[at] for at in part], number, clock)
        for at, outcome in zip(part, results, strict=True):
            outcomes[at] = outcome
        if isinstance(results[-1], Retry | Throttled | Parked):
            stopped = results[-1]  # it takes nothing now: the other half would only hammer
    return outcomes


def delivery_id(output: str, alerts: Sequence[Alert]) -> str:
    """The same over all attempts of the same alerts at the same output; safe in a header."""
    name = f"{alerts[0].id}-{output}"
    if len(alerts) == 1 and _SAFE_ID.fullmatch(name):
        return name
    names = "\0".join([output, *(alert.id for alert in alerts)])
    return hashlib.blake2b(names.encode("utf-8", "replace"), digest_size=16).hexdigest()
