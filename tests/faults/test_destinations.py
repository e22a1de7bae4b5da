"""One output's destination misbehaves: the others' deliveries go on, and every alert ends in a known fate.

No time is asserted. What is: when the others had everything, the bad one had nothing yet.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay.delivery.status import WorkerState
from relay.journal.base import State
from tests.faults import sink as sinks
from tests.faults.conftest import needs
from tests.faults.kept import Kept, read_journal
from tests.faults.load import Load
from tests.faults.process import FAILING, RelayProcess, webhook
from tests.faults.sink import Behaviour, Connection, Post, Sink

GOOD = ("good", "other")
Proof = Callable[[str], None]


class Scene:
    """A relay with two good outputs and one that the test makes bad; so many `alerts` are posted."""

    def __init__(self, folder: Path, alerts: int, proof: Proof) -> None:
        self.folder = folder
        self.alerts = alerts
        self.proof = proof
        self.sinks = {name: Sink(sinks.ok) for name in (*GOOD, "bad")}
        self.outputs: dict[str, dict[str, Any]] = {
            name: webhook(sink.url(), concurrency=8) for name, sink in self.sinks.items()
        }
        self.outputs["bad"] |= FAILING

    @property
    def bad(self) -> Sink:
        return self.sinks["bad"]

    async def listen(self, tls: ssl.SSLContext | None = None) -> None:
        for name, sink in self.sinks.items():
            await sink.listen(tls if name == "bad" else None)

    def relay(self, **options: Any) -> RelayProcess:
        return RelayProcess(self.folder, self.outputs, **options)

    async def pour(self, relay: RelayProcess, name: str = "a") -> set[str]:
        """Post them, and wait until the good outputs have them all."""
        load = Load(relay.port, total=self.alerts, name=name)
        load.start()
        await load.done()
        assert load.statuses.keys() == {200}
        for good in GOOD:
            await self.sinks[good].has(load.answered)
        return load.answered

    async def verdict(self, relay: RelayProcess) -> Kept:
        """End it; what the journal says must be what the destinations saw."""
        assert await relay.stop() == 0, relay.log[-4000:]
        for sink in self.sinks.values():
            await sink.refuse()
        kept = await read_journal(relay.data_dir, set(self.sinks))
        for name, sink in self.sinks.items():
            assert kept.having(name, State.DELIVERED) == sink.accepted.keys(), name
            assert not sink.twice, f"{name}: delivered twice without a crash"
        for name in GOOD:
            assert kept.states(name) == {State.DELIVERED: len(kept.ids)}
        self.proof(
            f"{len(kept.ids)} alerts; "
            + "; ".join(f"{name}: {_said(kept, name)}" for name in self.sinks)
            + f"; bad got {self.bad.requests} requests"
        )
        return kept


def _said(kept: Kept, output: str) -> str:
    return ", ".join(f"{count} {state}" for state, count in kept.states(output).items())


async def output_state(relay: RelayProcess, output: str) -> str:
    text = (await relay.get("/metrics")).text
    return next(
        state
        for state in WorkerState
        if f'outrider_output_state{{output="{output}",state="{state}"}} 1' in text
    )


@pytest.fixture
def scene(tmp_path: Path, full: bool, proof: Proof) -> Scene:
    return Scene(tmp_path, 4000 if full else 400, proof)


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(sinks.hang, id="hangs"),
        pytest.param(sinks.drip, id="a-byte-a-second"),
        pytest.param(sinks.reset, id="reset-in-mid-reply"),
        pytest.param(sinks.status(429, Retry_After="2"), id="429"),
        pytest.param(sinks.status(503), id="503"),
        pytest.param(sinks.status(503, Retry_After="2"), id="503-with-Retry-After"),
        pytest.param(sinks.status(401), id="401"),
    ],
)
async def test_a_bad_destination_costs_the_others_nothing(scene: Scene, fault: Behaviour) -> None:
    """… and gets everything when it is well again (a parked one after a restart)."""
    scene.bad.behave = fault
    await scene.listen()
    async with scene.relay() as relay:
        answered = await scene.pour(relay)
        assert not scene.bad.accepted, "the others had everything before it was well again"
        state = await output_state(relay, "bad")
        scene.proof(f"the others have all {len(answered)}; the bad one is {state}")
        scene.bad.behave = sinks.ok
        if state == WorkerState.PARKED:
            assert await relay.stop() == 0
            await relay.start()
        await scene.bad.has(answered)
        kept = await scene.verdict(relay)
    assert kept.ids.keys() == answered
    assert kept.states("bad") == {State.DELIVERED: len(answered)}
    assert {len(keys) for keys in scene.bad.keys.values()} == {1}, "the Idempotency-Key stays the same"


@pytest.mark.timeout(90)
async def test_a_refused_connection(scene: Scene) -> None:
    for name in GOOD:
        await scene.sinks[name].listen()
    async with scene.relay() as relay:
        answered = await scene.pour(relay)
        assert await output_state(relay, "bad") == WorkerState.FAILING
        await scene.bad.listen()
        await scene.bad.has(answered)
        kept = await scene.verdict(relay)
    assert kept.states("bad") == {State.DELIVERED: len(answered)}


async def test_retry_after_is_waited_for(scene: Scene) -> None:
    """Counted: a destination that says 429 is asked again once, not by every alert."""
    scene.bad.behave = sinks.status(429, Retry_After="3600")
    await scene.listen()
    async with scene.relay() as relay:
        answered = await scene.pour(relay)
        assert await output_state(relay, "bad") == WorkerState.THROTTLED
        assert scene.bad.requests <= FAILING["concurrency"], "those that were under way, and no more"
        kept = await scene.verdict(relay)
    assert kept.states("bad") == {State.WAITING: len(answered)}


@pytest.mark.timeout(90)
@pytest.mark.parametrize("type_", ["webhook", "alertmanager"])
async def test_one_alert_of_a_batch_is_not_valid(scene: Scene, type_: str) -> None:
    """It becomes a dead letter with the reply; its neighbours arrive."""
    poison = {"a-17", "a-203"}
    scene.bad.behave = sinks.bad_one(poison)
    url = scene.bad.url()
    more: dict[str, Any] = {"format": "ndjson"} if type_ == "webhook" else {"labels_from": ["n"]}
    scene.outputs["bad"] = {"type": type_, "url": url, "batch": 50, **FAILING, **more}
    await scene.listen()
    async with scene.relay() as relay:
        answered = await scene.pour(relay)
        await scene.bad.has(answered - poison)
        while scene.bad.tried.keys() != answered:
            await asyncio.sleep(0.02)
        kept = await scene.verdict(relay)
    assert kept.having("bad", State.DEAD) == poison
    for name in poison:
        assert kept.fates[name]["bad"].why is not None
        assert "400" in (kept.fates[name]["bad"].why or "")
        assert "not valid" in (kept.fates[name]["bad"].reply or "")


@pytest.mark.timeout(90)
async def test_a_certificate_that_nobody_vouches_for(scene: Scene, tmp_path: Path) -> None:
    """It is parked, and says so; when the configuration trusts the certificate everything arrives."""
    needs("openssl")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=sink", "-addext", "subjectAltName=IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:FALSE",
         "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    await scene.listen(context)
    scene.outputs["bad"]["url"] = scene.bad.url("https")
    async with scene.relay() as relay:
        answered = await scene.pour(relay)
        assert await output_state(relay, "bad") == WorkerState.PARKED
        assert scene.bad.requests == 0
        scene.proof(f"the others have all {len(answered)}; the bad one is parked")
        assert await relay.stop() == 0
        scene.outputs["bad"]["tls"] = {"ca_file": str(certificate)}
        relay.configure(scene.outputs)
        await relay.start()
        await scene.bad.has(answered)
        kept = await scene.verdict(relay)
    assert kept.states("bad") == {State.DELIVERED: len(answered)}


@pytest.mark.timeout(90)
async def test_an_alert_that_the_destination_can_never_take(scene: Scene) -> None:
    """500 for one alert, for ever: it goes on being tried, and holds nobody up."""

    def behave(sink: Sink, connection: Connection, post: Post) -> None:
        if "a-5" in post.uuids:
            connection.reply(500)
        else:
            sinks.ok(sink, connection, post)

    scene.bad.behave = behave
    await scene.listen()
    async with scene.relay() as relay:
        answered = await scene.pour(relay)
        await scene.bad.has(answered - {"a-5"})
        kept = await scene.verdict(relay)
    assert kept.having("bad", State.RETRYING) == {"a-5"}
