"""`/api/v1`: who may read it, and what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import orjson
import pytest

from relay.app import Application, create_app
from relay.config import ConfigError, load

TOKEN = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
ADDRESSES = ("/alerts", "/alerts/none", "/outputs", "/refused", "/orphans", "/no-such-thing", "")
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Application]:
    (tmp_path / "token").write_text(OTHER + "\n")
    file = tmp_path / "relay.yaml"
    file.write_text(
        f"api:\n  tokens:\n    reports: {{token: {TOKEN}}}\n    other: {{token_file: {tmp_path}/token}}\n"
        "outputs:\n  hook: {type: webhook, url: 'http://127.0.0.1:9/'}\n"
    )
    application = create_app(load(file, {}))
    await application.relay.start()
    try:
        yield application
    finally:
        await application.relay.stop()


@pytest.fixture
async def client(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:2801") as one:
        yield one


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \xff",
    ],
)
async def test_nothing_is_said_without_a_token_or_with_a_wrong_one(
    client: httpx.AsyncClient, address: str, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    reply = await client.get("/api/v1" + address, headers=headers)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert set(reply.json()) == {"error"}
    assert TOKEN not in reply.text


@pytest.mark.parametrize("token", [TOKEN, OTHER])
async def test_a_token_reads_the_api_and_opens_no_page(client: httpx.AsyncClient, token: str) -> None:
    headers = {"Authorization": f"bearer {token}"}
    assert (await client.get("/api/v1/alerts", headers=headers)).status_code == 200
    assert (await client.get("/ui", headers=headers)).status_code == 303
    assert (await client.get("/ui/refused", headers=headers)).headers["location"].startswith("/ui/login")
    assert (await client.get("/api/v1/alerts", headers=headers | {"Host": "evil.example"})).status_code == 421


async def test_a_token_of_before_is_no_good_when_the_configuration_has_it_no_more(
    app: Application, client: httpx.AsyncClient
) -> None:
    app.relay.config.file.write_text("listen: 127.0.0.1:2801\n")
    for part in app.relay.parts:
        part.follow(load(app.relay.config.file, {}))
    assert (await client.get("/api/v1/alerts", headers=BEARER)).status_code == 401


async def test_a_short_token_is_refused_without_being_shown(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text("api: {tokens: {a: {token: tooshort}}}\n")
    with pytest.raises(ConfigError, match="shorter than 20") as refused:
        load(file, {})
    assert "tooshort" not in str(refused.value)


async def test_alerts_in_pages_each_with_its_fates(client: httpx.AsyncClient) -> None:
    for number in range(5):
        body = {"rule": f"rule {number}", "priority": "Error", "output": "\x1b[31m<b>", "output_fields": {}}
        assert (await client.post("/", json=body)).status_code == 200
    address, rules = "/api/v1/alerts?limit=2", []
    for _ in range(3):
        page = (await client.get(address, headers=BEARER)).json()
        rules += [alert["rule"] for alert in page["alerts"]]
        address = page["next"]
    assert rules == [f"rule {number}" for number in (4, 3, 2, 1, 0)]
    assert address is None

    only = (await client.get("/api/v1/alerts", params={"rule": "rule 3"}, headers=BEARER)).json()["alerts"]
    assert [alert["rule"] for alert in only] == ["rule 3"]
    assert orjson.loads(only[0]["body"])["output"] == "\x1b[31m<b>"
    assert [fate["output"] for fate in only[0]["fates"]] == ["hook"]
    assert only[0]["fates"][0]["state"] in {"waiting", "retrying"}
    one = (await client.get(f"/api/v1/alerts/{only[0]['id']}", headers=BEARER)).json()
    assert one["seq"] == only[0]["seq"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=²", "before=x", "since=soon", "priority=x", "rul=a"]
)
async def test_a_query_that_is_not_understood_is_no_answer_to_another_one(
    client: httpx.AsyncClient, query: str
) -> None:
    reply = await client.get(f"/api/v1/alerts?{query}", headers=BEARER)
    assert reply.status_code == 400
    assert set(reply.json()["fields"]) == {query.partition("=")[0]}


async def test_outputs_refused_and_orphans(client: httpx.AsyncClient) -> None:
    assert (await client.post("/", content=b"not json")).status_code == 400
    refused = (await client.get("/api/v1/refused", headers=BEARER)).json()["refused"]
    assert [one["body"] for one in refused] == ["not json"]
    outputs = (await client.get("/api/v1/outputs", headers=BEARER)).json()["outputs"]
    assert [(one["name"], one["type"], one["waiting"]) for one in outputs] == [("hook", "webhook", 0)]
    assert (await client.get("/api/v1/orphans", headers=BEARER)).json() == {"orphans": []}
    assert (await client.get("/api/v1/alerts/none", headers=BEARER)).status_code == 404
    assert (await client.get("/api/v1/none", headers=BEARER)).status_code == 404
