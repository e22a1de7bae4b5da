"""Prometheus metrics, collected when they are asked for: the hot path only counts.

falcosidekick's names where it has one, so that existing dashboards go on working. Label values are names from
the configuration and fixed words, never text of an alert.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from relay.alert import PRIORITIES
from relay.delivery.status import LATENCY_BOUNDS, Status, WorkerState
from relay.ingest import Ingest
from relay.journal import Journal
from relay.journal.base import Depth
from relay.reload import Reloads

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Snapshot:
    """A collector over one moment's figures; prometheus_client renders it."""

    def __init__(
        self,
        ingest: Ingest,
        journal: Journal,
        statuses: Sequence[Status],
        depths: Mapping[str, Depth],
        now_ns: int,
        reloads: Reloads,
    ) -> None:
        self._ingest = ingest
        self._journal = journal
        self._statuses = statuses
        self._depths = depths
        self._now_ns = now_ns
        self._reloads = reloads

    def collect(self) -> Iterator[Metric]:
        yield from self._inputs()
        yield from self._outputs()
        yield from self._configuration()
        yield from self._process()

    def _inputs(self) -> Iterator[Metric]:
        ingest = self._ingest
        inputs = CounterMetricFamily(
            "falcosecurity_falcosidekick_inputs", "Alerts by what became of them", labels=["source", "status"]
        )
        for status, count in (
            ("accepted", ingest.accepted),
            ("duplicate", ingest.duplicates),
            ("rejected", ingest.refused),
            ("unavailable", ingest.unavailable),
        ):
            inputs.add_metric(["requests", status], count)
        yield inputs
        events = CounterMetricFamily("outrider_alerts", "Alerts journalled", labels=["priority"])
        for name, count in zip(PRIORITIES, ingest.by_priority, strict=True):
            events.add_metric([name.lower()], count)
        yield events
        stats = self._journal.stats
        yield CounterMetricFamily("outrider_journal_commits", "Commits of the journal", value=stats.commits)
        yield CounterMetricFamily(
            "outrider_journal_commit_seconds", "Time spent in commits", value=stats.seconds
        )
        yield CounterMetricFamily(
            "outrider_journal_failed_commits", "Commits rolled back", value=stats.failed
        )
        yield GaugeMetricFamily("outrider_journal_bytes", "Size on disk", value=self._journal.size())
        yield GaugeMetricFamily(
            "outrider_journal_writable", "0 after a commit that failed", value=int(ingest.writable)
        )

    def _outputs(self) -> Iterator[Metric]:
        sent = CounterMetricFamily(
            "falcosecurity_falcosidekick_outputs", "Deliveries", labels=["destination", "status"]
        )
        outcomes = CounterMetricFamily(
            "outrider_output_outcomes",
            "Replies of destinations, as outcomes",
            labels=["output", "type", "outcome"],
        )
        waiting = GaugeMetricFamily("outrider_output_waiting", "Alerts not settled yet", labels=["output"])
        oldest = GaugeMetricFamily(
            "outrider_output_oldest_seconds", "Age of the oldest of them", labels=["output"]
        )
        state = GaugeMetricFamily(
            "outrider_output_state", "1 for the state it is in", labels=["output", "state"]
        )
        latency = HistogramMetricFamily(
            "outrider_output_latency_seconds",
            "From POST received to answered by the destination",
            labels=["output"],
        )
        for status in self._statuses:
            name = status.name
            delivered = status.outcomes.get("delivered", 0)
            sent.add_metric([name, "ok"], delivered)
            sent.add_metric([name, "error"], sum(status.outcomes.values()) - delivered)
            for outcome in ("delivered", "retried", "throttled", "parked", "dead"):
                outcomes.add_metric([name, status.type, outcome], status.outcomes.get(outcome, 0))
            depth = self._depths.get(name, Depth(0, None))
            waiting.add_metric([name], depth.waiting)
            age = (self._now_ns - depth.oldest_ns) / 1e9 if depth.oldest_ns else 0.0
            oldest.add_metric([name], max(0.0, age))
            for word in WorkerState:
                state.add_metric([name, str(word)], int(status.state is word))
            latency.add_metric([name], _buckets(status.latency_counts), status.latency_sum)
        yield from (sent, outcomes, waiting, oldest, state, latency)

    def _configuration(self) -> Iterator[Metric]:
        read = CounterMetricFamily(
            "outrider_config_reloads", "Configurations that were read again", labels=["result"]
        )
        read.add_metric(["taken"], self._reloads.taken)
        read.add_metric(["refused"], self._reloads.refused)
        yield read
        yield GaugeMetricFamily(
            "outrider_config_good",
            "0 while the file is not the configuration in force, because it is bad",
            value=int(self._reloads.last_good),
        )

    def _process(self) -> Iterator[Metric]:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        yield GaugeMetricFamily(
            "process_resident_memory_bytes", "Resident memory", value=pages * os.sysconf("SC_PAGE_SIZE")
        )
        times = os.times()
        yield CounterMetricFamily("process_cpu_seconds", "CPU time", value=times.user + times.system)


def _buckets(counts: Sequence[int]) -> list[Any]:
    total, buckets = 0, []
    for bound, count in zip([*map(str, LATENCY_BOUNDS), "+Inf"], counts, strict=True):
        total += count
        buckets.append([bound, total])
    return buckets


def render(snapshot: Snapshot) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(snapshot)
    return generate_latest(registry)
