"""No secret of any registered output in what the running relay says: logs, fates, metrics, status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from relay import outputs
from relay.app import create_app
from relay.config import load
from relay.journal.base import Fate, Filter, State
from tests.fakes.http import Destination, Reply
from tests.relay.outputs.samples import SECRET, settings_of

pytestmark = pytest.mark.parametrize("type_name", outputs.TYPES)


@pytest.mark.parametrize(
    "reply",
    [Reply(401), Reply(500), Reply(raw=b""), Reply(422, body=b"no"), Reply(302, {"Location": "/x"})],
    ids=["401", "500", "cut off", "422", "redirect"],
)
async def test_a_failure_is_said_without_a_secret(
    type_name: str,
    reply: Reply,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(0)
    async with Destination(reply).running() as destination:
        needed = {
            name: f"http://{destination.netloc}/hook/{SECRET}"
            for name, field in outputs.load(type_name).settings_type.model_fields.items()
            if field.is_required() and name != "type"
        }
        file = tmp_path / "relay.yaml"
        file.write_text(json.dumps({"outputs": {"sample": {"type": type_name} | needed}}))
        app = create_app(load(file, {}))
        await app.relay.start()
        try:
            transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 4711))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:2801") as http:
                body = {"rule": "r", "output": "o", "priority": "Critical"}
                assert (await http.post("/", json=body)).status_code == 200
                journal = app.relay.journal
                assert journal is not None
                (alert,) = (await journal.alerts(Filter(), before=None, limit=1)).alerts
                fates: Sequence[Fate] = ()
                while not fates or fates[0].state is State.WAITING:
                    await asyncio.sleep(0.005)
                    fates = (await journal.fates([alert]))[alert.seq]
                shown = repr(fates) + repr(app.relay.statuses()) + (await http.get("/metrics")).text
        finally:
            await app.relay.stop()
    assert destination.received, "the request itself had it"
    assert SECRET in destination.received[0].path
    assert fates[0].why
    said = capsys.readouterr()
    assert SECRET not in shown + said.out + said.err + caplog.text


def test_addresses_and_tokens_are_secrets_and_settings_are_explained(type_name: str) -> None:
    for name, field in outputs.load(type_name).settings_type.model_fields.items():
        assert field.description, f"{name} has no description"
        if any(word in name for word in ("url", "token", "password", "secret", "proxy")):
            assert "SecretStr" in str(field.annotation), f"{name} is no secret"


@pytest.mark.parametrize(
    "address", ["", "hooks.example", "ftp://x/y", "http://", "http://h:99999/", "http://a b/"]
)
def test_an_address_that_cannot_be_is_refused_and_not_shown(type_name: str, address: str) -> None:
    needed = {
        name: f"{address}{SECRET}" if address else ""
        for name, field in outputs.load(type_name).settings_type.model_fields.items()
        if field.is_required() and name.endswith("url")
    }
    if address == "http://":
        needed = dict.fromkeys(needed, address)
    with pytest.raises(ValueError) as error:  # noqa: PT011 pydantic's own
        settings_of(type_name, "h", **needed)
    assert SECRET not in str(error.value)
