"""Events in, alerts out: process table, then rules, then the rendered alert to every channel.

One thread does all of it; the channels' own threads deliver. Nothing here waits for an output, and nothing
grows with the number of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import orjson
import structlog

from sensor.event import Detail, Event, File, Lost, Socket
from sensor.outputs.channel import Alert
from sensor.processes import ProcessTable
from sensor.sockets import SENDS, Destinations

LOSS_RULE = "Falco internal: syscall event drop"
LOSS_EVERY_NS = 30_000_000_000
"""Losses are said at once, then together at most this often: Falco's rate of 0.03333 a second."""

KERNEL_PATH = "outrider.fd.kernel_path"
"""Where the opened file really was, if that differs from the path as it was written."""

KERNEL_PEER = "outrider.fd.kernel_peer"
"""Whom the kernel connected to, if that differs from the address that the caller's memory held at the end."""

log = structlog.get_logger("sensor")

Rule = TypeVar("Rule")
RuleOut_co = TypeVar("RuleOut_co", covariant=True)
RuleIn_contra = TypeVar("RuleIn_contra", contravariant=True)


class Judge(Protocol[RuleOut_co]):
    """The rules. `match` gives those that the event fulfils, most important first."""

    def match(self, event: Event) -> Sequence[RuleOut_co]: ...


class Taker(Protocol):
    """Where alerts go: sensor.outputs.channel.Channel."""

    def put(self, alert: Alert) -> None: ...


class Renderer(Protocol[RuleIn_contra]):
    """Makes the alert's text or JSON."""

    def alert(self, rule: RuleIn_contra, event: Event, extra: dict[str, Any]) -> Alert:
        """An alert of a rule; `extra` joins its output fields."""
        ...

    def internal(self, rule: str, time_ns: int, text: str, fields: dict[str, str]) -> Alert:
        """An alert of the sensor's own, source `internal`."""
        ...


@dataclass(slots=True)
class Counters:
    """What was done since the start."""

    events: int = 0
    alerts: int = 0
    lost: int = 0
    failed: int = 0


class Pipeline(Generic[Rule]):
    """Takes batches of what the probe hands over."""

    def __init__(
        self, table: ProcessTable, rules: Judge[Rule], renderer: Renderer[Rule], channels: Iterable[Taker]
    ) -> None:
        self.counters = Counters()
        self._table = table
        self._rules = rules
        self._renderer = renderer
        self._channels = tuple(channels)
        self._destinations = Destinations()
        self._losses = 0
        self._losses_said_ns: int | None = None
        self._now_ns = 0

    def feed(self, batch: Iterable[Event | Lost]) -> None:
        """Judge a batch. An event that cannot be judged is counted and logged; the others go on."""
        for item in batch:
            if type(item) is Lost:
                self._lose(item)
                continue
            assert isinstance(item, Event)
            self.counters.events += 1
            # Losses that are not said yet wait for time to pass, not for more of them.
            self._now_ns = max(self._now_ns, item.time_ns)
            try:
                self._judge(item)
            except Exception as error:
                # Whatever an attacker made it of: one event never ends the watch.
                self._fail(item, error)
        if self._losses:
            self._say_losses()

    def finish(self) -> None:
        """Say losses that were not said yet."""
        if self._losses:
            self._losses_said_ns = None
            self._say_losses()

    def _judge(self, event: Event) -> None:
        self._table.observe(event)
        if event.type in SENDS:
            self._destinations.observe(event)
        matched = self._rules.match(event)
        really, extra = _as_the_kernel_has_it(event.detail)
        for rule in matched:
            self._send(self._renderer.alert(rule, event, extra))
        if really is None:
            return
        # Also where a rule matched: a dull rule for the link must not hide the one for what it leads to.
        event.detail = really
        for rule in self._rules.match(event):
            if rule not in matched:
                self._send(self._renderer.alert(rule, event, extra))

    def _send(self, alert: Alert) -> None:
        self.counters.alerts += 1
        for channel in self._channels:
            channel.put(alert)

    def _fail(self, event: Event, error: Exception) -> None:
        self.counters.failed += 1
        if self.counters.failed & (self.counters.failed - 1) == 0:  # the 1st, 2nd, 4th, 8th, …
            times = self.counters.failed
            log.error("event could not be judged", type=event.type, times=times, exc_info=error)

    def _lose(self, lost: Lost) -> None:
        self._table.lost(lost.time_ns)
        self.counters.lost += lost.count
        self._losses += lost.count
        self._now_ns = max(self._now_ns, lost.time_ns)

    def _say_losses(self) -> None:
        said = self._losses_said_ns
        if said is not None and self._now_ns - said < LOSS_EVERY_NS:
            return
        count, self._losses, self._losses_said_ns = self._losses, 0, self._now_ns
        log.warning("events lost", events=count)
        fields = {"ebpf_enabled": "1", "n_drops": str(count), "n_evts": str(self.counters.events)}
        text = f"{LOSS_RULE}. {count} system calls dropped."
        self._send(self._renderer.internal(LOSS_RULE, self._now_ns, text, fields))


def _as_the_kernel_has_it(detail: Detail) -> tuple[Detail, dict[str, Any]]:
    """The file that was really opened, the peer that was really connected to; None if that is the same."""
    if type(detail) is File and detail.kernel_path not in (None, detail.name):
        assert detail.kernel_path is not None
        return replace(detail, name=detail.kernel_path), {KERNEL_PATH: detail.kernel_path}
    if type(detail) is Socket and detail.peer is not None:
        address, port = detail.peer
        return replace(detail, remote=detail.peer), {KERNEL_PEER: f"{address}:{port}"}
    return None, {}


def json_line(value: dict[str, Any]) -> bytes:
    """JSON with the keys in alphabetical order, as Falco writes it; whatever text it holds."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str)
    except TypeError:  # a lone surrogate or an integer of more than 64 bits
        return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, int) and value.bit_length() > 63 else value
