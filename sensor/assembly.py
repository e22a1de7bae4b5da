"""Puts the sensor's parts together around a probe, for a live kernel or a recording."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sensor.app import Sensor
from sensor.config import SensorConfig
from sensor.containers import Containers
from sensor.event import Event
from sensor.fields import SensorFields
from sensor.health import Heartbeat
from sensor.internal import internal_alert
from sensor.outputs.channel import Alert, Channel
from sensor.pipeline import Judge, Pipeline
from sensor.probe import Probe
from sensor.processes import NoProc, ProcessTable
from sensor.procfs import Procfs
from sensor.users import Users

Rule = TypeVar("Rule")
Render = Callable[[Rule, Event, dict[str, Any]], Alert]
"""The alert of a rule for an event; the dictionary joins its output fields."""


def boot_epoch_ns() -> int:
    """When this machine started, in nanoseconds since the epoch, by the clocks as they are now."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Host:
    """What the sensor knows beside the events: fields over the tables, and the process table."""

    fields: SensorFields
    table: ProcessTable


def live_host() -> Host:
    """This machine. Names of users are the host's init's, or our own where that cannot be looked at."""
    proc = Procfs()
    host_pid = 1 if proc.mnt_ns(1) is not None else os.getpid()
    users = Users(proc, host_pid=host_pid)
    fields = SensorFields(users, Containers(), boot_epoch_ns())
    return Host(fields, ProcessTable(proc))


def recorded_host(boot_ns: int) -> Host:
    """A machine that was recorded and started at `boot_ns`: nothing here is asked about its processes."""
    proc = NoProc()
    return Host(SensorFields(Users(proc), Containers(), boot_ns), ProcessTable(proc))


class _Renderer(Generic[Rule]):
    def __init__(self, config: SensorConfig, render: Render[Rule]) -> None:
        self._config = config
        self._render = render

    def alert(self, rule: Rule, event: Event, extra: dict[str, Any]) -> Alert:
        return self._render(rule, event, extra)

    def internal(self, rule: str, time_ns: int, text: str, fields: dict[str, str]) -> Alert:
        return internal_alert(self._config, rule, time_ns, text, fields)


def assemble(
    config: SensorConfig,
    host: Host,
    probe: Probe,
    rules: Judge[Rule],
    render: Render[Rule],
    channels: Sequence[Channel],
    heartbeat: Heartbeat | None = None,
) -> Sensor:
    """A sensor that is ready to run. The probe must be open."""
    pipeline = Pipeline(host.table, rules, _Renderer(config, render), channels)
    return Sensor(probe, pipeline, channels, heartbeat)
