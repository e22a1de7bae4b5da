"""POST /: every kind of body, and the reply that the design gives it; the service goes on after each."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Sequence
from typing import Any

import httpx
import orjson
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.alert import Alert
from relay.app import Application
from relay.ingest import BODY_MOST, Ingest
from relay.journal.base import Appended, Filter, JournalFullError, NewAlert
from relay.render import one_line

GOOD: dict[str, Any] = {
    "hostname": "h1",
    "output": "16:31:56.746609046: Warning Sensitive file opened",
    "output_fields": {"fd.name": "/etc/shadow", "proc.tty": 34816, "container.image.repository": None},
    "priority": "Warning",
    "rule": "Read sensitive file untrusted",
    "source": "syscall",
    "tags": ["filesystem", "host"],
    "time": "2026-10-09T23:31:56.746609046Z",
}


def changed(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in (GOOD | changes).items() if value is not ...}


async def stored(app: Application) -> Sequence[Alert]:
    assert app.relay.journal is not None
    return (await app.relay.journal.alerts(Filter(), limit=1000)).alerts


async def one(app: Application) -> Alert:
    (alert,) = await stored(app)
    return alert


async def refusals(app: Application) -> list[Any]:
    assert app.relay.journal is not None
    return list(await app.relay.journal.refused(100))


async def test_a_good_alert_is_stored_as_it_came(app: Application, client: httpx.AsyncClient) -> None:
    body = json.dumps(GOOD, indent=1).encode()
    reply = await client.post("/", content=body)
    assert reply.status_code == 200
    alert = await one(app)
    assert reply.json() == {"accepted": 1, "id": alert.id}
    assert alert.raw == body
    assert (alert.rule, alert.priority_name, alert.hostname) == (GOOD["rule"], "Warning", "h1")
    assert alert.time_ns == 1791588716746609046
    assert alert.output_fields == GOOD["output_fields"]
    assert alert.normalised == ()
    assert alert.received_from == "127.0.0.1"


@pytest.mark.parametrize("path", ["/", "/events", "/falco/anything", "/ping"])
async def test_a_post_to_a_path_of_nobody_means_ingest(
    app: Application, client: httpx.AsyncClient, path: str
) -> None:
    assert (await client.post(path, json=GOOD)).status_code == 200
    assert len(await stored(app)) == 1


REFUSED = {
    "not JSON": (b"hello", "not JSON"),
    "half JSON": (b'{"rule": "x"', "not JSON"),
    "a number": (b"42", "a JSON object, got a number"),
    "a string": (b'"x"', "a JSON object, got a string"),
    "null": (b"null", "a JSON object, got null"),
    "nothing": (b"", "empty"),
    "blanks": (b" \r\n", "empty"),
    "too deep": (b'{"rule":"x","output_fields":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}", "deep"),
    "deep": (b'{"rule":"x","output_fields":{"a":' + b"[" * 200 + b"]" * 200 + b"}}", "deep"),
    "only brackets": (b"[" * 100_000, "not JSON"),
    "array of a number": (b"[1]", "a JSON object, got a number"),
    "an empty array": (b"[]", "empty"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_alert_is_refused_and_kept(
    app: Application, client: httpx.AsyncClient, name: str
) -> None:
    body, reason = REFUSED[name]
    reply = await client.post("/", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 400, reply.text
    assert reason in reply.text
    assert await stored(app) == []
    kept = await refusals(app)
    if body != b"[]":
        assert kept[0]["body"] in {body[:65536], b"1", b""}
        assert reason in kept[0]["reason"] or name == "an empty array"
    assert (await client.post("/", json=GOOD)).status_code == 200  # it goes on


async def test_ten_megabytes_are_too_large(app: Application, client: httpx.AsyncClient) -> None:
    body = orjson.dumps(changed(output="x" * 10_000_000))
    reply = await client.post("/", content=body)
    assert reply.status_code == 413
    assert str(BODY_MOST) in reply.json()["error"]
    assert len((await refusals(app))[0]["body"]) == 65536
    assert (await client.post("/", json=GOOD)).status_code == 200


ODD: dict[str, tuple[bytes, str]] = {
    "invalid UTF-8": (b'{"rule":"a\xff\xfeb","output":"o","output_fields":{},"priority":"Error"}', "json"),
    "lone surrogate": (b'{"rule":"a\\ud800b","output":"o","output_fields":{},"priority":"Error"}', "json"),
    "huge integer": (
        b'{"rule":"r","output":"o","output_fields":{"a":' + b"9" * 5000 + b'},"priority":"Error"}',
        "json",
    ),
    "NaN": (b'{"rule":"r","output":"o","output_fields":{"a":NaN},"priority":"Error"}', "json"),
    "Infinity": (b'{"rule":"r","output":"o","output_fields":{"a":-Infinity},"priority":"Error"}', "json"),
    "no rule": (orjson.dumps(changed(rule=...)), "rule"),
    "rule is a number": (orjson.dumps(changed(rule=7)), "rule"),
    "rule with control characters": (orjson.dumps(changed(rule="a\x1b[31mb\nc")), "rule"),
    "no priority": (orjson.dumps(changed(priority=...)), "priority"),
    "unknown priority": (orjson.dumps(changed(priority="Terrible")), "priority"),
    "priority is a list": (orjson.dumps(changed(priority=["Error"])), "priority"),
    "fields null": (orjson.dumps(changed(output_fields=None)), "output_fields"),
    "fields a list": (orjson.dumps(changed(output_fields=[1])), "output_fields"),
    "tags a string": (orjson.dumps(changed(tags="x")), "tags"),
    "time is nonsense": (orjson.dumps(changed(time="yesterday")), "time"),
    "time beyond 64 bits": (orjson.dumps(changed(time="9999-12-31T23:59:59Z")), "time"),
    "uuid with a line end": (orjson.dumps(changed(uuid="a\r\nX-Evil: 1")), "uuid"),
    "uuid is an object": (orjson.dumps(changed(uuid={})), "uuid"),
    "hostname a list": (orjson.dumps(changed(hostname=[])), "hostname"),
}


@pytest.mark.parametrize("name", ODD)
async def test_what_is_odd_is_taken_and_marked(
    app: Application, client: httpx.AsyncClient, name: str
) -> None:
    body, mark = ODD[name]
    reply = await client.post("/", content=body)
    assert reply.status_code == 200, reply.text
    alert = await one(app)
    assert alert.raw == body
    assert mark in alert.normalised
    assert alert.rule.isprintable()
    assert "\n" not in alert.id
    assert orjson.loads(alert.as_json().replace(b"NaN", b"0").replace(b"-Infinity", b"0"))
    alert.as_json().decode()


async def test_nested_values_are_kept(app: Application, client: httpx.AsyncClient) -> None:
    fields = {"a": {"b": [1, {"c": None}]}, "list": [1, 2]}
    assert (await client.post("/", json=changed(output_fields=fields))).status_code == 200
    assert (await one(app)).output_fields == fields


async def test_a_line_of_a_falco_without_json_output(app: Application, client: httpx.AsyncClient) -> None:
    line = "16:31:56.746609046: Critical Something {bad} happened | file=/etc/shadow"
    reply = await client.post("/", content=line, headers={"Content-Type": "text/plain"})
    assert reply.status_code == 200
    alert = await one(app)
    assert (alert.priority_name, alert.output, alert.content) == ("Critical", line, "text")
    assert alert.source == "syscall"


async def test_text_that_is_no_line_of_falco_is_kept_all_the_same(
    app: Application, client: httpx.AsyncClient
) -> None:
    reply = await client.post("/", content="hello {", headers={"Content-Type": "text/plain"})
    assert reply.status_code == 200
    assert (await one(app)).output == "hello {"


async def test_ndjson_takes_the_good_and_names_the_bad(app: Application, client: httpx.AsyncClient) -> None:
    lines = [orjson.dumps(GOOD), b"{broken", orjson.dumps(changed(rule="second")), b"17", b""]
    reply = await client.post(
        "/", content=b"\n".join(lines), headers={"Content-Type": "application/x-ndjson"}
    )
    assert reply.status_code == 200
    assert reply.json()["accepted"] == 2
    assert [one["index"] for one in reply.json()["refused"]] == [1, 3]
    assert len(await stored(app)) == 2
    assert len(await refusals(app)) == 2


async def test_an_array_in_one_transaction(app: Application, client: httpx.AsyncClient) -> None:
    reply = await client.post("/", json=[changed(rule=f"r{n}") for n in range(50)])
    assert reply.json() == {"accepted": 50, "refused": []}
    assert [alert.rule for alert in reversed(await stored(app))] == [f"r{n}" for n in range(50)]


async def test_an_array_with_nan_is_taken(app: Application, client: httpx.AsyncClient) -> None:
    reply = await client.post("/", content=b'[{"rule":"r","output_fields":{"a":NaN}}]')
    assert reply.json()["accepted"] == 1
    assert len(await stored(app)) == 1


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstandard.ZstdCompressor().compress)],
)
async def test_packed_bodies(app: Application, client: httpx.AsyncClient, encoding: str, pack: Any) -> None:
    headers = {"Content-Encoding": encoding}
    assert (await client.post("/", content=pack(orjson.dumps(GOOD)), headers=headers)).status_code == 200
    assert (await one(app)).rule == GOOD["rule"]
    bomb = pack(b"0" * 50_000_000)
    assert len(bomb) < BODY_MOST
    assert (await client.post("/", content=bomb, headers=headers)).status_code == 413
    assert (await client.post("/", content=b"not packed", headers=headers)).status_code == 400


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstandard.ZstdCompressor().compress)],
)
async def test_packed_parts_are_one_body(
    app: Application, client: httpx.AsyncClient, encoding: str, pack: Any
) -> None:
    headers = {"Content-Encoding": encoding, "Content-Type": "application/x-ndjson"}
    lines = [orjson.dumps(GOOD | {"rule": f"rule {n}"}) + b"\n" for n in range(3)]
    whole = b"".join(map(pack, lines))
    reply = await client.post("/", content=whole, headers=headers)
    assert reply.json() == {"accepted": 3, "refused": []}
    for bad in (whole[:-1], whole[:-6], whole + b"junk", pack(b"") * 1000):
        reply = await client.post("/", content=bad, headers=headers)
        assert reply.status_code in {400, 413}, bad
    bomb = pack(b"\n") + pack(b"0" * (BODY_MOST - 1)) + pack(b"0")
    assert (await client.post("/", content=bomb, headers=headers)).status_code == 413
    assert len(await stored(app)) == 3


async def test_unknown_encoding(client: httpx.AsyncClient) -> None:
    reply = await client.post("/", content=b"x", headers={"Content-Encoding": "br"})
    assert reply.status_code == 415
    assert "gzip" in reply.json()["error"]


async def test_a_browser_may_not_post(app: Application, client: httpx.AsyncClient) -> None:
    assert (await client.post("/", json=GOOD, headers={"Origin": "https://evil.example"})).status_code == 403
    assert await stored(app) == []


async def test_other_machines_need_permission(app: Application) -> None:
    transport = httpx.ASGITransport(app=app, client=("192.0.2.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://relay:2801") as http:
        reply = await http.post("/", json=GOOD)
        assert reply.status_code == 403
        assert "allow_anonymous" in reply.json()["error"]
        app.relay.ingest.allow_anonymous = True
        assert (await http.post("/", json=GOOD)).status_code == 200
    assert (await one(app)).received_from == "192.0.2.7"


async def test_the_same_again_is_acknowledged_once(app: Application, client: httpx.AsyncClient) -> None:
    body = changed(uuid="5f0c8a1e-0000-4000-8000-000000000001")
    first = await client.post("/", json=body)
    again = await client.post("/", json=body)
    assert again.json() == {"accepted": 1, "id": first.json()["id"], "duplicate": True}
    other = await client.post("/", json=body | {"output": "another"})
    assert "duplicate" not in other.json()
    assert other.json()["id"] != first.json()["id"]
    assert "duplicate" in (await client.post("/", json=body | {"output": "another"})).json()
    assert len(await stored(app)) == 2


async def test_without_uuid_the_body_with_its_time_tells(app: Application, client: httpx.AsyncClient) -> None:
    assert "duplicate" not in (await client.post("/", json=GOOD)).json()
    assert "duplicate" in (await client.post("/", json=GOOD)).json()
    timeless = changed(time=...)
    assert "duplicate" not in (await client.post("/", json=timeless)).json()
    assert "duplicate" not in (await client.post("/", json=timeless)).json()
    assert len(await stored(app)) == 3


async def test_the_same_twice_in_one_batch(app: Application, client: httpx.AsyncClient) -> None:
    await client.post("/", json=[GOOD, GOOD, GOOD])
    assert len(await stored(app)) == 1


class FullJournal:
    """Cannot be written for a while."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    async def append(self, alerts: Sequence[NewAlert]) -> Sequence[Appended]:
        self.failures -= 1
        if self.failures >= 0:
            raise JournalFullError("the journal cannot be written: database or disk is full")
        return [Appended("id", 1)] * len(alerts)

    async def refuse(self, body: bytes, reason: str, received_from: str, at_ns: int) -> None:
        raise JournalFullError("full")

    async def probe(self) -> None:
        raise JournalFullError("full")


@pytest.mark.parametrize(("failures", "status"), [(3, 200), (10_000, 503)])
async def test_a_full_disk(app: Application, client: httpx.AsyncClient, failures: int, status: int) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    ingest, real = app.relay.ingest, app.relay.ingest.journal
    ingest.journal, ingest.sleep = FullJournal(failures), sleep
    reply = await client.post("/", json=GOOD)
    assert reply.status_code == status
    assert sum(waited) <= 5
    assert (await client.get("/readyz")).status_code == status
    if status == 503:
        assert reply.headers["retry-after"] == "5"
        assert (await client.post("/", content=b"hello")).status_code == 400
    ingest.journal = real
    # Without an alert: a balancer sends none to a relay that is not ready.
    assert (await client.get("/readyz")).status_code == 200
    assert (await client.post("/", json=GOOD)).status_code == 200


async def test_a_client_that_goes_away_in_the_middle(app: Application) -> None:
    messages = iter(
        [{"type": "http.request", "body": b'{"rule"', "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError("nobody is there")

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "client": ("127.0.0.1", 1)}
    await app.relay.ingest(scope, receive, send)
    assert await stored(app) == []


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
            ),
            max_leaves=20,
        ).map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
        st.fixed_dictionaries(
            {},
            optional={
                key: st.none()
                | st.text(max_size=40)
                | st.integers()
                | st.lists(st.text(max_size=5), max_size=3)
                for key in (
                    "rule",
                    "time",
                    "priority",
                    "output_fields",
                    "tags",
                    "uuid",
                    "hostname",
                    "output",
                    "source",
                )
            },
        ).map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    ),
    kind=st.sampled_from(["application/json", "text/plain", "application/x-ndjson"]),
)
def test_no_body_makes_a_fault(body: bytes, kind: str) -> None:
    """Whatever comes: 200 or 400, and what is stored can be written as JSON."""

    taken: list[NewAlert] = []
    sent: list[dict[str, Any]] = []

    class Journal:
        async def append(self, alerts: Sequence[NewAlert]) -> Sequence[Appended]:
            taken.extend(alerts)
            return [Appended("id", 1)] * len(alerts)

        async def refuse(self, body: bytes, reason: str, received_from: str, at_ns: int) -> None:
            reason.encode()

        async def probe(self) -> None:
            raise AssertionError("nothing failed")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    ingest = Ingest({"cluster": "c1"}, allow_anonymous=False, journal=Journal())
    scope = {"type": "http", "headers": [(b"content-type", kind.encode())], "client": ("127.0.0.1", 1)}
    asyncio.run(ingest(scope, receive, send))
    assert sent[0]["status"] in {200, 400}
    for new in taken:
        assert 0 <= new.priority < 8
        for text in (new.rule, new.source, new.hostname, new.uuid or ""):
            assert one_line(text) == text
        alert = Alert(
            seq=1, id="x", time_ns=new.time_ns, received_ns=1, priority=new.priority, rule=new.rule,
            source=new.source, hostname=new.hostname, raw=new.body, content=new.content,
        )  # fmt: skip
        alert.as_json().decode()
