"""The newest alerts in memory: a worker that keeps up never reads them from the file."""

from __future__ import annotations

from collections import deque

from relay.alert import Alert


class Tail:
    """The newest alerts of one priority, in order; everything of the lane after `complete_after`."""

    def __init__(self, complete_after: int) -> None:
        self.alerts: deque[Alert] = deque()
        self.complete_after = complete_after
        self.bytes = 0

    def add(self, alert: Alert, limit: int) -> None:
        self.alerts.append(alert)
        self.bytes += len(alert.raw)
        while self.bytes > limit:
            gone = self.alerts.popleft()
            self.bytes -= len(gone.raw)
            self.complete_after = gone.seq

    def after(self, seq: int, limit: int) -> list[Alert] | None:
        """The next alerts after `seq`; None if they may have left memory."""
        if seq < self.complete_after:
            return None
        found: list[Alert] = []
        for alert in reversed(self.alerts):
            if alert.seq <= seq:
                break
            found.append(alert)
        found.reverse()
        return found[:limit]
