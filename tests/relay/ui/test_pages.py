"""The pages: what they show, what they do not let through, and how one finds an alert."""

from __future__ import annotations

import html
import json
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from relay.app import Application
from relay.journal.base import Lane, Settlement, State
from tests.relay.ui.conftest import Clock

MARKUP = "\"'><script>alert(1)</script><img src=x onerror=alert(1)> {{7*191919}}"
EVIL = MARKUP + " \u202egnp.exe\x1b[31m\x07 javascript:x"


class Seen(HTMLParser):
    """The elements and attributes that a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, tag: str, name: str) -> list[str | None]:
        return [attributes.get(name) for one, attributes in self.tags if one == tag]


def innocent(page: str) -> Seen:
    """No element or attribute but the templates' own, no inline code, nothing invisible."""
    seen = Seen(page)
    for tag, attributes in seen.tags:
        assert tag != "img"
        assert not any(name.startswith("on") or name == "style" for name in attributes), attributes
        if tag == "script":
            assert (attributes["src"] or "").startswith("/ui/static/")
        for name in ("href", "src", "action"):
            assert not (attributes.get(name) or "").startswith(("http", "//", "javascript")), attributes
    for hidden in ("\u202e", "\x1b", "\x07"):
        assert hidden not in page
    assert "1343433" not in seen.text
    return seen


async def post(app: Application, person: httpx.AsyncClient, **changes: Any) -> str:
    alert: dict[str, Any] = {
        "output": "14:00:00.000000000: Warning A file was opened",
        "output_fields": {"fd.name": "/etc/shadow"},
        "priority": "Warning",
        "rule": "Read sensitive file",
        "source": "syscall",
        "hostname": "h1",
        "tags": ["host"],
    } | changes
    reply = await person.post("/", json=alert)
    assert reply.status_code == 200, reply.text
    found: str = reply.json()["id"]
    return found


def texts(page: str) -> list[str]:
    """The text of each row's rule."""
    return [
        html.unescape(part.split("<")[0])
        for part in page.split('class="rule"')[1:]
        for part in [part.split("<bdi>")[1]]
    ]


async def test_an_empty_dashboard_says_what_to_do(person: httpx.AsyncClient) -> None:
    page = (await person.get("/ui")).text
    assert "No alert has arrived yet" in page
    assert "curl -X POST http://127.0.0.1:2801/test" in page
    assert "No outputs" in page
    assert (await person.post("/test")).status_code == 200
    page = (await person.get("/ui")).text
    assert "No alert has arrived yet" not in page
    assert "This is a test alert of Outrider" in page


async def test_an_alert_in_the_list(app: Application, person: httpx.AsyncClient) -> None:
    alert_id = await post(app, person)
    page = (await person.get("/ui")).text
    for text in (
        "Warning",
        "Read sensitive file",
        "h1",
        "syscall",
        "A file was opened",
        f"/ui/alerts/{alert_id}",
    ):
        assert text in page
    assert "14:00:00" not in page  # Falco's own prefix is not said twice


@pytest.mark.parametrize(
    "field", ["output", "rule", "source", "hostname", "priority", "tags", "output_fields"]
)
async def test_hostile_text_is_text(app: Application, person: httpx.AsyncClient, field: str) -> None:
    value: Any = {"tags": [EVIL], "output_fields": {EVIL: EVIL, "b": [EVIL], "c": {EVIL: 1}}}.get(field, EVIL)
    alert_id = await post(app, person, **{field: value})
    for path in ("/ui", f"/ui/alerts/{alert_id}"):
        reply = await person.get(path)
        assert reply.status_code == 200
        seen = innocent(reply.text)
        if path != "/ui":
            assert "<script>alert(1)</script>" in seen.text  # as text


@pytest.mark.parametrize("name", ["rule", "source", "host", "since", "until", "priority", "before"])
async def test_hostile_text_in_the_query_is_text(person: httpx.AsyncClient, name: str) -> None:
    seen = innocent((await person.get("/ui", params={name: MARKUP})).text)
    if name not in {"priority", "before"}:
        assert MARKUP in seen.attributes("input", "value")


async def test_hostile_text_in_the_query_of_the_login_is_dropped(stranger: httpx.AsyncClient) -> None:
    for path, name in (("/ui/login", "next"), ("/ui/first", "token")):
        page = (await stranger.get(path, params={name: MARKUP})).text
        innocent(page)
        assert "alert(1)" not in page


async def test_hostile_refused_bodies_are_text(person: httpx.AsyncClient) -> None:
    assert (await person.post("/", content=EVIL.encode())).status_code == 400
    reply = await person.get("/ui/refused")
    seen = innocent(reply.text)
    assert "<script>alert(1)</script>" in seen.text
    assert "not JSON" in seen.text
    assert "\\u202e" in seen.text


async def test_hostile_replies_of_destinations_are_text(app: Application, person: httpx.AsyncClient) -> None:
    journal = app.relay.journal
    assert journal is not None
    await journal.generation("out", {})
    alert_id = await post(app, person)
    lane = Lane("out", 4)
    (alert,) = await journal.read(lane, 0, 10)
    await journal.settle(
        lane,
        [Settlement(alert.seq, State.DEAD, 1_795_000_000 * 10**9, 3, why=EVIL, reply=EVIL, receipt=EVIL)],
    )
    for path in ("/ui", f"/ui/alerts/{alert_id}"):
        innocent((await person.get(path)).text)


async def test_a_long_text_is_cut_in_the_list_and_whole_on_its_page(
    app: Application, person: httpx.AsyncClient
) -> None:
    alert_id = await post(app, person, output="A" * 5000 + "END")
    page = (await person.get("/ui")).text
    assert "END" not in page
    assert "characters more" in page
    assert "A" * 5000 + "END" in (await person.get(f"/ui/alerts/{alert_id}")).text


async def test_one_alert(app: Application, person: httpx.AsyncClient) -> None:
    alert_id = await post(app, person, priority="shrill", uuid="my-own:id.1")
    assert alert_id == "my-own:id.1"
    page = (await person.get(f"/ui/alerts/{alert_id}")).text
    for text in (
        "fd.name",
        "/etc/shadow",
        "my-own:id.1",
        "127.0.0.1",
        "no known priority",
        "No output existed",
    ):
        assert text in page
    raw = await person.get(f"/ui/alerts/{alert_id}/raw")
    assert raw.json()["priority"] == "shrill"
    assert raw.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "path", ["/ui/alerts/none", "/ui/alerts/none/raw", "/ui/x/y", "/ui/static/../view.py"]
)
async def test_what_is_not_there(person: httpx.AsyncClient, path: str) -> None:
    reply = await person.get(path)
    assert reply.status_code == 404
    assert "There is no such" in reply.text


async def many(app: Application, person: httpx.AsyncClient, clock: Clock) -> None:
    for number in range(60):
        clock.pass_seconds(60)
        await post(
            app,
            person,
            rule=f"rule {number}",
            priority="Critical" if number % 10 == 0 else "Notice",
            hostname=f"h{number % 3}",
            source="k8s_audit" if number % 20 == 5 else "syscall",
        )


FILTERS: dict[str, tuple[str, list[int]]] = {
    "priority": ("priority=critical", [50, 40, 30, 20, 10, 0]),
    "two priorities": ("priority=Critical&priority=Emergency&source=syscall", [50, 40, 30, 20, 10, 0]),
    "rule": ("rule=rule+7", [7]),
    "source": ("source=k8s_audit", [45, 25, 5]),
    "host and priority": ("host=h0&priority=Critical", [30, 0]),
    "since": ("since=3m", [59, 58, 57, 56]),
    "until": ("until=57m", [1, 0]),
    "both": ("since=5m&until=3m", [55, 54]),
    "nothing matches": ("host=h9", []),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_filters(app: Application, person: httpx.AsyncClient, clock: Clock, name: str) -> None:
    await many(app, person, clock)
    query, expected = FILTERS[name]
    page = (await person.get(f"/ui?{query}")).text
    assert texts(page) == [f"rule {number}" for number in expected]
    if not expected:
        assert "No alert matches" in page


async def test_an_exact_time_is_utc(app: Application, person: httpx.AsyncClient, clock: Clock) -> None:
    clock.now_ns = 1_795_000_000 * 10**9  # 2026-11-18 11:06:40 UTC
    await post(app, person, rule="before")
    clock.pass_seconds(60)
    await post(app, person, rule="after")
    assert texts((await person.get("/ui?since=2026-11-18+11:07")).text) == ["after"]
    assert texts((await person.get("/ui?until=2026-11-18T11:07:00Z")).text) == ["before"]
    assert texts((await person.get("/ui?since=2026-11-18T12:07:00%2B01:00")).text) == ["after"]


@pytest.mark.parametrize("query", ["since=yesterday", "until=25", "priority=loud", "before=x", "before=-1"])
async def test_what_cannot_be_read_is_said(person: httpx.AsyncClient, query: str) -> None:
    reply = await person.get(f"/ui?{query}")
    assert reply.status_code == 400
    assert 'class="problem"' in reply.text


async def test_pages_follow_one_another(app: Application, person: httpx.AsyncClient, clock: Clock) -> None:
    await many(app, person, clock)
    address, found = "/ui?source=syscall", list[str]()
    while address:
        page = (await person.get(address)).text
        found += texts(page)
        older = [attributes for tag, attributes in Seen(page).tags if attributes.get("rel") == "next"]
        address = older[0]["href"] or "" if older else ""
        assert "source=syscall" in address or not address
    assert found == [f"rule {number}" for number in range(59, -1, -1) if number % 20 != 5]


async def test_a_tile_adds_its_priority_to_the_filter(app: Application, person: httpx.AsyncClient) -> None:
    await post(app, person)
    seen = Seen((await person.get("/ui?priority=Critical&host=h1")).text)
    tiles = {
        attributes["href"]
        for tag, attributes in seen.tags
        if "count" in (attributes.get("class") or "").split()
    }
    assert "/ui?host=h1" in tiles  # takes Critical away
    assert "/ui?priority=Critical&priority=Error&host=h1" in tiles


async def test_counts_of_the_last_hour(app: Application, person: httpx.AsyncClient, clock: Clock) -> None:
    await post(app, person, priority="Critical", rule="old")
    clock.pass_seconds(3601)
    for number in range(3):
        await post(app, person, rule=f"new {number}")
    assert app.relay.journal is not None
    since = clock.now_ns - 3600 * 10**9
    assert await app.relay.journal.counts(since, 1000) == [0, 0, 0, 0, 3, 0, 0, 0]
    assert await app.relay.journal.counts(since, 2) == [0, 0, 0, 0, 2, 0, 0, 0]
    assert await app.relay.journal.counts(0, 9) == [0, 0, 1, 0, 3, 0, 0, 0]


class TestFates:
    """Two outputs to a port where nobody is; fates are settled by hand."""

    async def page(self, app: Application, person: httpx.AsyncClient, **settled: Any) -> tuple[str, str]:
        journal = app.relay.journal
        assert journal is not None
        await journal.generation("chat", {"minimum_priority": "error"})
        await journal.generation("store", {})
        alert_id = await post(app, person)
        if settled:
            lane = Lane("store", 4)
            (alert,) = await journal.read(lane, 0, 10)
            await journal.settle(lane, [Settlement(alert.seq, at_ns=1_795_000_000 * 10**9, **settled)])
        return (await person.get("/ui")).text, (await person.get(f"/ui/alerts/{alert_id}")).text

    async def test_waiting_and_not_routed(self, app: Application, person: httpx.AsyncClient) -> None:
        for text in await self.page(app, person):
            assert "not routed" in text
            assert "waiting" in text
            assert "data-open" in text  # it will be looked at again

    async def test_retrying(self, app: Application, person: httpx.AsyncClient) -> None:
        listed, own = await self.page(
            app, person, state=State.RETRYING, attempts=3, why="refused", next_try_ns=1_795_000_060 * 10**9
        )
        assert 'title="store: retrying at 11:06:40 UTC; 3 attempts; refused; next try 11:07:40 UTC"' in listed
        for text in ("retrying", "refused", "next try", "2026-11-18 11:07:40 UTC"):
            assert text in own

    @pytest.mark.parametrize(("confirmed", "word"), [(True, "confirmed"), (False, "accepted")])
    async def test_delivered(
        self, app: Application, person: httpx.AsyncClient, confirmed: bool, word: str
    ) -> None:
        listed, own = await self.page(
            app, person, state=State.DELIVERED, confirmed=confirmed, receipt="msg-77"
        )
        assert f"store: {word} at 11:06:40 UTC" in listed
        assert word in own
        assert "msg-77" in own
        assert "data-open" not in own

    async def test_dead(self, app: Application, person: httpx.AsyncClient) -> None:
        listed, own = await self.page(app, person, state=State.DEAD, why="too odd", reply="no thanks")
        assert "f-dead" in listed
        assert "too odd" in own
        assert "no thanks" in own


async def test_anonymous_ingest_is_shown(app: Application, person: httpx.AsyncClient) -> None:
    assert "may post alerts" not in (await person.get("/ui")).text
    app.relay.ingest.allow_anonymous = True
    assert "may post alerts" in (await person.get("/ui")).text
    app.relay.ingest.writable = False
    assert "journal cannot be written" in (await person.get("/ui")).text


class TestOutputs:
    @pytest.fixture
    def config_text(self) -> str:
        return (
            "listen: 127.0.0.1:2801\noutputs:\n"
            "  secret: {type: webhook, url: 'http://127.0.0.1:9/TOKEN-77'}\n"
        )

    async def test_the_strip(self, app: Application, person: httpx.AsyncClient) -> None:
        await post(app, person)
        page = (await person.get("/ui")).text
        for text in ("secret", "webhook", "waiting"):
            assert text in page
        assert "TOKEN-77" not in page
        assert json.dumps("TOKEN-77") not in page


async def test_static_files(person: httpx.AsyncClient) -> None:
    page = Seen((await person.get("/ui")).text)
    links = [*page.attributes("link", "href"), *page.attributes("script", "src")]
    assert len(links) == 4
    for link in links:
        assert link is not None
        reply = await person.get(link)
        assert reply.status_code == 200
        assert "immutable" in reply.headers["Cache-Control"]
        assert "http" not in reply.text.replace("http://www.w3.org/2000/svg", "")  # nothing from elsewhere
