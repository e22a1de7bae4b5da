"""The feed: nothing is missed, nobody burdens the relay, and it ends with its session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import orjson
import pytest

from relay.app import Application
from relay.journal import Journal
from relay.journal.base import Lane, Settlement, State
from relay.ui.feed import BEHIND_MOST, CLIENTS_MOST, PAUSE, REST, ROWS_MOST, WATCH_MOST, Client, Feed
from relay.ui.view import Static, View


@pytest.fixture
async def journal(app: Application) -> Journal:
    assert app.relay.journal is not None
    await app.relay.journal.generation("out", {})
    return app.relay.journal


@pytest.fixture
def sessions() -> set[str]:
    return {"s"}


@pytest.fixture
def feed(app: Application, journal: Journal, sessions: set[str]) -> Feed:
    """Not started: the test calls tick."""
    return Feed(lambda: journal, View(app.relay, Static()), sessions.__contains__)


def join(feed: Feed, after: int = 0, watch: tuple[int, ...] = (), **more: bool) -> Client:
    client = feed.join(after, watch, "s", **more)
    assert client is not None
    return client


def got(client: Client) -> dict[str, Any]:
    """The one message that waits."""
    message = client.queue.get_nowait()
    assert message is not None
    assert client.queue.empty()
    said: dict[str, Any] = orjson.loads(message.partition(b"data: ")[2])
    return said


async def post(client: httpx.AsyncClient, count: int = 1) -> None:
    lines = b"\n".join(b'{"rule":"r%d","priority":"Notice","output":"x"}' % number for number in range(count))
    reply = await client.post("/", content=lines, headers={"Content-Type": "application/x-ndjson"})
    assert reply.json()["accepted"] == count


async def settle(journal: Journal, seq: int, state: State = State.DELIVERED) -> None:
    await journal.settle(Lane("out", 5), [Settlement(seq, state, at_ns=5, why="w", next_try_ns=9)])


async def test_what_came_between_drawing_and_listening_is_sent(
    stranger: httpx.AsyncClient, feed: Feed
) -> None:
    await post(stranger, 3)
    client = join(feed, after=1)
    await feed.tick()
    said = got(client)
    assert [row["seq"] for row in said["rows"]] == [3, 2]
    assert said["count"] == 2
    assert "counts" in said
    await feed.tick()
    assert client.queue.empty()  # nothing new, nothing sent


async def test_a_flood_is_counted_and_a_few_are_sent(stranger: httpx.AsyncClient, feed: Feed) -> None:
    client = join(feed)
    await post(stranger, 500)
    await feed.tick()
    said = got(client)
    assert said["count"] == 500
    assert [row["seq"] for row in said["rows"]] == list(range(500, 500 - ROWS_MOST, -1))
    assert len(client.watch) <= WATCH_MOST


async def test_a_fate_that_changes_is_sent_until_it_is_final(
    stranger: httpx.AsyncClient, feed: Feed, journal: Journal
) -> None:
    client = join(feed)
    await post(stranger)
    await feed.tick()
    assert "waiting" in got(client)["rows"][0]["html"]
    await journal.read(Lane("out", 5), 0, 10)
    await settle(journal, 1, State.RETRYING)
    await feed.tick()
    (fate,) = got(client)["fates"]
    assert (fate["seq"], fate["open"]) == (1, True)
    assert "retrying" in fate["html"]
    await settle(journal, 1)
    await feed.tick()
    (fate,) = got(client)["fates"]
    assert (fate["seq"], fate["open"]) == (1, False)
    assert not client.watch


async def test_a_page_that_comes_back_is_told_the_fates_it_watches(
    stranger: httpx.AsyncClient, feed: Feed, journal: Journal
) -> None:
    await post(stranger, 2)
    await journal.read(Lane("out", 5), 0, 10)
    await settle(journal, 1)
    client = join(feed, after=2, watch=(1, 2, 77))
    await feed.tick()
    assert {fate["seq"]: fate["open"] for fate in got(client)["fates"]} == {1: False, 2: True}
    assert set(client.watch) == {2}  # 77 is not there


async def test_an_alerts_own_page_gets_its_table_and_no_rows(stranger: httpx.AsyncClient, feed: Feed) -> None:
    await post(stranger, 2)
    client = join(feed, after=1, watch=(1,), one_alert=True)
    await feed.tick()
    said = got(client)
    assert "rows" not in said
    assert 'id="to-out"' in said["fates"][0]["html"]


async def test_a_page_that_does_not_read_is_let_go(stranger: httpx.AsyncClient, feed: Feed) -> None:
    slow, good = join(feed), join(feed)
    for _ in range(BEHIND_MOST + 1):
        await post(stranger)
        await feed.tick()
        assert good.queue.get_nowait() is not None
    messages = [slow.queue.get_nowait() for _ in range(slow.queue.qsize())]
    assert len(messages) == BEHIND_MOST
    assert messages[-1] is None


async def test_pages_are_bounded(feed: Feed) -> None:
    clients = [join(feed) for _ in range(CLIENTS_MOST)]
    assert feed.join(0, (), "s") is None
    feed.leave(clients[0])
    join(feed)


async def test_a_session_that_ends_ends_its_pages(
    stranger: httpx.AsyncClient, feed: Feed, sessions: set[str]
) -> None:
    client = join(feed)
    sessions.clear()
    await post(stranger)
    await feed.tick()
    assert client.queue.get_nowait() is None


async def test_one_look_serves_all_pages(stranger: httpx.AsyncClient, feed: Feed, journal: Journal) -> None:
    looks = 0
    look: Callable[..., Any] = journal.alerts

    async def counted(*args: Any, **more: Any) -> Any:
        nonlocal looks
        looks += 1
        return await look(*args, **more)

    journal.alerts = counted  # type: ignore[method-assign]
    clients = [join(feed) for _ in range(10)]
    await post(stranger, 5)
    await feed.tick()
    assert looks == 1
    for client in clients:
        assert len(got(client)["rows"]) == 5


async def test_a_look_that_took_long_is_followed_by_a_rest(
    app: Application, journal: Journal, sessions: set[str]
) -> None:
    naps: list[float] = []
    slept = asyncio.Event()
    seconds = iter([0.0, 0.01, 100.0, 100.5]).__next__

    async def sleep(duration: float) -> None:
        naps.append(duration)
        if len(naps) == 2:
            slept.set()
            await asyncio.Event().wait()

    feed = Feed(lambda: journal, View(app.relay, Static()), sessions.__contains__, sleep, seconds)
    feed.start()
    join(feed)
    await asyncio.wait_for(slept.wait(), 10)
    feed.close()
    assert naps == [PAUSE, pytest.approx(0.5 * REST)]


class Stream:
    """GET /ui/events as a server runs it: httpx's transport would wait for the end of the reply."""

    def __init__(self, app: Application, cookie: str, query: str) -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.gone = asyncio.Event()
        headers = [(b"host", b"127.0.0.1:2801"), (b"cookie", b"outrider=" + cookie.encode())]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/ui/events",
            "raw_path": b"/ui/events",
            "root_path": "",
            "query_string": query.encode(),
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2801),
        }
        self.task = asyncio.create_task(app(scope, self.receive, self.messages.put))

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def data(self) -> dict[str, Any]:
        while True:
            body = (await self.messages.get()).get("body", b"")
            if b"data: " in body:
                said: dict[str, Any] = orjson.loads(body.partition(b"data: ")[2])
                return said


@pytest.fixture
async def stream(app: Application, person: httpx.AsyncClient) -> AsyncIterator[Stream]:
    one = Stream(app, person.cookies["outrider"], "after=0&watch=,1,x,-1,99999999999999999999999")
    yield one
    one.gone.set()
    await asyncio.wait_for(one.task, 10)


async def test_the_stream(stream: Stream, person: httpx.AsyncClient) -> None:
    start = await stream.messages.get()
    assert start["status"] == 200
    assert (b"content-type", b"text/event-stream; charset=utf-8") in start["headers"]
    await post(person)
    said = await stream.data()
    while "rows" not in said:
        said = await stream.data()
    assert said["count"] == 1


async def test_the_stream_ends_when_the_relay_does(app: Application, stream: Stream) -> None:
    await stream.messages.get()
    app.relay.closing()
    await asyncio.wait_for(stream.task, 10)
