"""Pace belongs to the destination: outputs with the same key share one bucket."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """A token bucket: `burst` at once, `rate` a second in the long run."""

    rate: float
    burst: int
    tokens: float
    at: float  # when `tokens` was right, on the clock's monotonic time
    users: int = 0

    def wait(self, now: float) -> float:
        """Seconds until the next request may go; 0: now."""
        self.tokens = min(float(self.burst), self.tokens + (now - self.at) * self.rate)
        self.at = now
        # A little less than one will do: waiting for a rounding error would never end.
        return 0.0 if self.tokens >= 1 - 1e-9 else (1 - self.tokens) / self.rate

    def take(self) -> None:
        self.tokens -= 1


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

    def leave(self, key: str) -> None:
        bucket = self._buckets[key]
        bucket.users -= 1
        if not bucket.users:
            del self._buckets[key]
