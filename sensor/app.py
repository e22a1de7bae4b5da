"""The sensor's main loop: read the probe, feed the pipeline, until told to stop."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import structlog

from sensor.config import SensorConfig
from sensor.health import Heartbeat
from sensor.outputs.channel import Channel, Sink
from sensor.outputs.stdout_output import StdoutOutput
from sensor.pipeline import Pipeline
from sensor.probe import Probe

WAIT_S = 0.5
"""Longest wait for events, and so for noticing that it is time to stop."""

FLUSH_S = 5.0
"""How long outputs may deliver what is queued when the sensor ends."""

log = structlog.get_logger("sensor")


def channels_of(config: SensorConfig) -> list[Channel]:
    """The enabled outputs, each behind its queue. Raises ValueError for a bad certificate."""
    sinks: list[Sink] = []
    if config.stdout_output.enabled:
        sinks.append(StdoutOutput())
    if config.http_output.enabled:
        from sensor.outputs.http_output import HttpOutput  # noqa: PLC0415  costs memory: only when used

        sinks.append(HttpOutput(config.http_output))
    return [Channel(sink, config.outputs_queue.capacity) for sink in sinks]


class Sensor:
    """One run. The probe is open when it gets here, and is closed at the end."""

    def __init__(
        self, probe: Probe, pipeline: Pipeline[Any], channels: Sequence[Channel], heartbeat: Heartbeat | None
    ) -> None:
        self._probe = probe
        self._pipeline = pipeline
        self._channels = channels
        self._heartbeat = heartbeat

    def run(self, stop: threading.Event, *, until_empty: bool = False) -> None:
        """Until `stop` is set; with `until_empty` (a replay) until there is nothing more to read."""
        for channel in self._channels:
            channel.start()
        try:
            self._watch(stop, until_empty)
            self._empty()
        finally:
            self._probe.close()
            self._pipeline.finish()
            for channel in self._channels:
                channel.close(FLUSH_S)
            if self._heartbeat is not None:
                self._heartbeat.end()
        counters = self._pipeline.counters
        sent = {channel.sink.name: channel.sent for channel in self._channels}
        log.info("ended", events=counters.events, alerts=counters.alerts, lost=counters.lost, delivered=sent)

    def _empty(self) -> None:
        """Judge what is in the ring already: whoever ends the sensor does not hide what led to it."""
        self._probe.detach()
        while batch := self._probe.read_batch(0):
            self._pipeline.feed(batch)

    def _watch(self, stop: threading.Event, until_empty: bool) -> None:
        while not stop.is_set():
            batch = self._probe.read_batch(WAIT_S)
            if batch:
                self._pipeline.feed(batch)
            elif until_empty:
                return
            if self._heartbeat is not None:
                self._heartbeat.beat()
