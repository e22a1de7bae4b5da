"""Who may post: anonymous, by bearer token, by name and token as Falco's libcurl sends them."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import orjson
import pytest

from relay.app import Application, create_app
from relay.config import ConfigError, load
from relay.journal.base import Filter
from tests.relay import process

TOKEN = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
ASKING = "00112233445566778899aabbccddeeff"
ALERT = {"rule": "r", "priority": "Error", "output": "o"}
AWAY = "192.0.2.7"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Application]:
    (tmp_path / "token").write_text(OTHER + "\n")
    file = tmp_path / "relay.yaml"
    file.write_text(
        f"api: {{tokens: {{asking: {{token: {ASKING}}}}}}}\n"
        f"ingest:\n  senders:\n    one: {{token: {TOKEN}}}\n    two: {{token_file: {tmp_path}/token}}\n"
    )
    application = create_app(load(file, {}))
    await application.relay.start()
    try:
        yield application
    finally:
        await application.relay.stop()


async def post(app: Application, peer: str, authorization: str | None) -> httpx.Response:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    transport = httpx.ASGITransport(app=app, client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:2801") as client:
        return await client.post("/", json=ALERT, headers=headers)


async def origins(app: Application) -> list[str]:
    assert app.relay.journal is not None
    return [alert.received_from for alert in (await app.relay.journal.alerts(Filter(), limit=9)).alerts]


@pytest.mark.parametrize("peer", [AWAY, "127.0.0.1"])
@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        (f"Bearer {TOKEN}", "one"),
        (f"bearer  {OTHER}", "two"),
        (basic("one", TOKEN), "one"),
        (basic("two", OTHER), "two"),
    ],
)
async def test_a_token_names_its_sender(app: Application, peer: str, authorization: str, name: str) -> None:
    assert (await post(app, peer, authorization)).status_code == 200
    assert await origins(app) == [f"{peer} {name}"]


@pytest.mark.parametrize("peer", [AWAY, "127.0.0.1"])
@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {ASKING}",
        f"Bearer {TOKEN} x",
        "Bearer \xff",
        TOKEN,
        basic("two", TOKEN),
        basic("", TOKEN),
        basic("one", ""),
        "Basic !!!",
        "Basic /w==",
        f"Digest {TOKEN}",
    ],
)
async def test_a_wrong_token_is_refused_also_from_loopback(
    app: Application, peer: str, authorization: str
) -> None:
    reply = await post(app, peer, authorization)
    assert reply.status_code == 401
    assert "basic" in reply.headers["www-authenticate"].lower()
    assert await origins(app) == []


async def test_without_a_token_only_loopback_may_post(app: Application) -> None:
    assert (await post(app, AWAY, None)).status_code == 403
    assert (await post(app, "127.0.0.1", None)).status_code == 200
    assert await origins(app) == ["127.0.0.1"]


async def test_a_token_to_post_with_reads_nothing(app: Application) -> None:
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:2801") as client:
        for authorization in (f"Bearer {TOKEN}", basic("one", TOKEN), basic("asking", ASKING)):
            reply = await client.get("/api/v1/alerts", headers={"Authorization": authorization})
            assert reply.status_code == 401


@pytest.mark.parametrize(
    ("senders", "said"),
    [
        (f"{{a: {{token: {TOKEN}}}, b: {{token: {TOKEN}}}}}", "two names have the same token"),
        (f"{{'a b': {{token: {TOKEN}}}}}", "cannot be a name"),
        ("{a: {token: short}}", "shorter than 20"),
    ],
)
def test_senders_that_could_not_be_told_apart_are_refused(tmp_path: Path, senders: str, said: str) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text(f"ingest: {{senders: {senders}}}\n")
    with pytest.raises(ConfigError, match=said) as refused:
        load(file, {})
    assert TOKEN not in str(refused.value)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_curl_with_name_and_token_in_the_url_as_falco_has_it(tmp_path: Path) -> None:
    port = process.free_port()
    file = tmp_path / "relay.yaml"
    file.write_text(f"listen: 127.0.0.1:{port}\ningest: {{senders: {{one: {{token: {TOKEN}}}}}}}\n")
    relay = process.start(file)
    try:
        await process.ready(f"http://127.0.0.1:{port}", relay)

        def curl(user: str) -> str:
            command = ["curl", "-sS", "-o", str(tmp_path / "reply"), "-w", "%{http_code}"]
            command += ["-H", "Content-Type: application/json", "--data", orjson.dumps(ALERT).decode()]
            url = f"http://{user}@127.0.0.1:{port}/"
            return subprocess.run(
                [*command, url], capture_output=True, check=True, timeout=30
            ).stdout.decode()

        assert curl(f"one:{TOKEN}") == "200"
        assert curl("one:wrong") == "401"
        assert TOKEN not in (tmp_path / "log").read_text()
    finally:
        relay.terminate()
        assert relay.wait(30) == 0
