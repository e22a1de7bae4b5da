"""/metrics: falcosidekick's names, an output's state and figures, and never a word of an alert."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.app import Application
from relay.delivery.status import WorkerState

HOSTILE = {
    "rule": 'x"} evil{a="1',
    "output": "o\nevil 1",
    "hostname": "h",
    "source": "syscall",
    "priority": "Critical",
    "time": "2026-01-01T00:00:00Z",
    "output_fields": {"evil": "evil"},
}


async def scraped(client: httpx.AsyncClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    reply = await client.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "evil" not in reply.text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


async def test_inputs_are_counted_by_what_became_of_them(client: httpx.AsyncClient) -> None:
    for body in (b"{}", b"nonsense", b"[]"):
        await client.post("/", content=body)
    assert (await client.post("/", json=HOSTILE | {"uuid": "u-1"})).status_code == 200
    assert (await client.post("/", json=HOSTILE | {"uuid": "u-1"})).json()["duplicate"]
    found = await scraped(client)
    name = "falcosecurity_falcosidekick_inputs_total"
    counts = {labels: value for (metric, labels), value in found.items() if metric == name}
    assert counts == {
        (("source", "requests"), ("status", "accepted")): 2,
        (("source", "requests"), ("status", "duplicate")): 1,
        (("source", "requests"), ("status", "rejected")): 2,
        (("source", "requests"), ("status", "unavailable")): 0,
    }
    assert found["outrider_alerts_total", (("priority", "critical"),)] == 1
    assert found["outrider_journal_writable", ()] == 1
    assert found["outrider_journal_bytes", ()] > 0
    assert found["outrider_journal_commits_total", ()] > 0
    assert found["process_resident_memory_bytes", ()] > 1e6


class TestAnOutput:
    @pytest.fixture
    def config_text(self) -> str:
        """Nobody listens there."""
        return "listen: 127.0.0.1:2801\noutputs:\n  hook: {type: webhook, url: http://127.0.0.1:1/x}\n"

    async def test_a_failing_one_is_seen(self, client: httpx.AsyncClient, app: Application) -> None:
        assert (await client.post("/", json=HOSTILE)).status_code == 200
        (worker,) = app.relay.workers.values()
        while worker.status().state is not WorkerState.FAILING:
            await asyncio.sleep(0.01)
        found = await scraped(client)
        assert found["outrider_output_waiting", (("output", "hook"),)] == 1
        assert found["outrider_output_oldest_seconds", (("output", "hook"),)] >= 0
        name = "outrider_output_state"
        states = {dict(labels)["state"]: value for (metric, labels), value in found.items() if metric == name}
        assert states == {word: int(word == "failing") for word in states}
        name = "falcosecurity_falcosidekick_outputs_total"
        assert found[name, (("destination", "hook"), ("status", "error"))] >= 1
        assert found[name, (("destination", "hook"), ("status", "ok"))] == 0
