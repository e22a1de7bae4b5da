"""A bounded queue and a thread in front of one output."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

LOG_EVERY_S = 10.0
"""Drops are logged at once, and then at most this often, with how many there were."""

PATIENCE_S = 5.0
"""How long a sink may take to notice that it is to give up."""

log = structlog.get_logger("sensor")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, rendered: a JSON object or Falco's text line, without a line end."""

    rule: str
    body: bytes
    is_json: bool


class Sink(Protocol):
    """What a channel delivers to. `send` may block; it gives up when `stopping` is set."""

    name: str

    def send(self, alert: Alert, stopping: threading.Event) -> bool:
        """Deliver; False if the alert was given up."""
        ...

    def close(self) -> None: ...


class FairQueue:
    """First in, first out, in at most `capacity` bytes; when full, the rule that holds the most bytes loses.

    So a flood of one rule costs only that rule's alerts.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queues: dict[str, deque[tuple[int, Alert]]] = {}
        self._sizes: dict[str, int] = {}
        self._size = 0
        self._number = 0

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def put(self, alert: Alert) -> int:
        """Queue it; how many alerts were dropped for it, itself perhaps among them."""
        self._number += 1
        self._queues.setdefault(alert.rule, deque()).append((self._number, alert))
        self._count(alert, 1)
        dropped = 0
        while self._size > self._capacity:
            worst = max(self._sizes, key=self._sizes.__getitem__)
            # The newest of the flood: its beginning says most.
            self._remove(worst, self._queues[worst].pop()[1])
            dropped += 1
        return dropped

    def take(self) -> Alert | None:
        """The oldest, or None."""
        if not self._queues:
            return None
        rule = min(self._queues, key=lambda rule: self._queues[rule][0][0])
        alert = self._queues[rule].popleft()[1]
        self._remove(rule, alert)
        return alert

    def _count(self, alert: Alert, sign: int) -> None:
        size = sign * (len(alert.body) + 200)  # with what Python adds
        self._size += size
        self._sizes[alert.rule] = self._sizes.get(alert.rule, 0) + size

    def _remove(self, rule: str, alert: Alert) -> None:
        self._count(alert, -1)
        if not self._queues[rule]:
            del self._queues[rule], self._sizes[rule]


class Channel:
    """Hands alerts to a sink on a thread of its own."""

    def __init__(
        self,
        sink: Sink,
        capacity: int,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.sink = sink
        self.sent = 0
        self.dropped = 0
        self._queue = FairQueue(capacity)
        self._clock = clock
        self._patience_s = patience_s
        self._said: float | None = None
        self._unsaid = 0
        self._wake = threading.Condition()
        self._closing = False
        self._sending = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"output-{sink.name}", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def put(self, alert: Alert) -> None:
        """Queue an alert; never waits for the sink."""
        with self._wake:
            dropped = self._queue.put(alert)
            self._wake.notify()
        if dropped:
            self._drop(dropped, "its queue is full")

    def close(self, timeout: float) -> None:
        """Deliver what is queued for at most `timeout` seconds, then give the rest up and say how much."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout)
        self._stopping.set()
        self._thread.join(self._patience_s)
        with self._wake:
            left = len(self._queue) + self._sending  # whoever hangs in the sink is not waited for
            while self._queue.take() is not None:
                pass
        if left:
            self._drop(left, "the sensor is ending")
        if self._unsaid:
            log.warning("alerts dropped", output=self.sink.name, alerts=self._unsaid)
        self.sink.close()

    def _run(self) -> None:
        while (alert := self._next()) is not None:
            try:
                taken = self.sink.send(alert, self._stopping)
            except Exception as error:
                # Whatever it is about this alert: the thread must live for the next one.
                log.error("output failed", output=self.sink.name, rule=alert.rule, exc_info=error)
                taken = False
            with self._wake:
                self._sending = False
            if taken:
                self.sent += 1
            else:
                self._drop(1, "not delivered")

    def _next(self) -> Alert | None:
        with self._wake:
            while not self._stopping.is_set():
                alert = self._queue.take()
                if alert is not None or self._closing:
                    self._sending = alert is not None
                    return alert
                self._wake.wait()
            return None

    def _drop(self, count: int, why: str) -> None:
        with self._wake:
            self.dropped += count
            self._unsaid += count
            now = self._clock()
            if self._said is not None and now - self._said < LOG_EVERY_S:
                return
            unsaid, self._said, self._unsaid = self._unsaid, now, 0
        log.warning("alerts dropped", output=self.sink.name, alerts=unsaid, why=why)
