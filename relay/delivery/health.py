"""Whether an output may be sent to now, and how much: one state machine per output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from relay.delivery.retry import backoff, parked_wait
from relay.delivery.status import WorkerState

FAILURES_UNTIL_PROBING = 3
"""One alert that a destination cannot take must not slow the others down; an outage shows at once."""


@dataclass(slots=True)
class Health:
    """ok: as many requests as its concurrency; else one probe at a time, when `until` has come.

    `round` grows with each change and each probe. A reply to a request of an earlier round says nothing new:
    of 32 requests that were under way when the destination went down, one counts as the failure.
    """

    uniform: Callable[[float, float], float]
    state: WorkerState = WorkerState.OK
    since_ns: int = 0
    why: str | None = None
    until: float = 0.0  # monotonic
    round: int = 0
    failures: int = 0  # since the last success
    probes: int = 0  # of a parked output
    paused_at_ns: int = 0  # when time stopped counting against retry_for

    def allowed(self, in_flight: int, concurrency: int, now: float) -> bool:
        if self.state is WorkerState.OK:
            return in_flight < concurrency
        return in_flight == 0 and now >= self.until

    def wait(self, now: float) -> float | None:
        """Seconds until a probe may go; None when nothing has to be waited for."""
        return None if self.state is WorkerState.OK else max(0.0, self.until - now)

    def succeeded(self, now_ns: int) -> int:
        """Back to ok. Returns the nanoseconds that do not count as trying."""
        self.failures = self.probes = 0
        return 0 if self.state is WorkerState.OK else self._enter(WorkerState.OK, None, now_ns)

    def failed(self, why: str, now: float, now_ns: int) -> int:
        self.failures += 1
        if self.failures < FAILURES_UNTIL_PROBING and self.state is WorkerState.OK:
            return 0
        doubled = max(1, self.failures - FAILURES_UNTIL_PROBING + 1)
        self.until = now + backoff(doubled, self.uniform)
        return self._enter(WorkerState.FAILING, why, now_ns)

    def throttled(self, seconds: float, why: str, now: float, now_ns: int) -> int:
        self.until = now + seconds
        return self._enter(WorkerState.THROTTLED, why, now_ns)

    def parked(self, why: str, now: float, now_ns: int) -> int:
        self.until = now + parked_wait(self.probes)
        self.probes += 1
        return self._enter(WorkerState.PARKED, why, now_ns)

    def _enter(self, state: WorkerState, why: str | None, now_ns: int) -> int:
        uncounted = 0
        if self.state in {WorkerState.PARKED, WorkerState.THROTTLED}:
            uncounted = now_ns - self.paused_at_ns
        self.paused_at_ns = now_ns
        self.round += 1
        if state is not self.state:
            self.state, self.since_ns = state, now_ns
        self.why = why
        return uncounted
