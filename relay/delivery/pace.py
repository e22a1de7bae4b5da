"""Pace belongs to the destination: outputs with the same key share one bucket, in turn."""

from __future__ import annotations

from dataclasses import dataclass, field

LATE = 0.25
"""Seconds after which an output that was told to come back, and did not, loses its turn."""


@dataclass(slots=True)
class Bucket:
    """A token bucket: `burst` at once, `rate` a second in the long run. Who waits is served in order."""

    rate: float
    burst: int
    tokens: float
    at: float  # when `tokens` was right, on the clock's monotonic time
    users: int = 0
    queue: dict[str, float] = field(default_factory=dict)  # output -> when it was told to come back

    def wait(self, now: float, output: str) -> float:
        """Seconds until the output's next request may go; 0: now."""
        self.tokens = min(float(self.burst), self.tokens + (now - self.at) * self.rate)
        self.at = now
        for other, due in list(self.queue.items()):
            if now > due + LATE and other != output:
                del self.queue[other]
        before = list(self.queue).index(output) if output in self.queue else len(self.queue)
        # A little less than one will do: waiting for a rounding error would never end.
        missing = before + 1 - self.tokens
        if missing <= 1e-9:
            return 0.0
        self.queue[output] = now + missing / self.rate
        return missing / self.rate

    def take(self, output: str) -> None:
        self.tokens -= 1
        self.queue.pop(output, None)


class Paces:
    """All buckets of the process, by key."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}

    def join(self, key: str, rate: float, burst: int, now: float) -> Bucket:
        """The key's bucket; the slowest that asks decides its rate."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(rate, burst, float(burst), now)
        bucket.rate = min(bucket.rate, rate)
        bucket.burst = min(bucket.burst, burst)
        bucket.users += 1
        return bucket

    def leave(self, key: str, output: str) -> None:
        bucket = self._buckets[key]
        bucket.queue.pop(output, None)
        bucket.users -= 1
        if not bucket.users:
            del self._buckets[key]
