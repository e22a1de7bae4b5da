"""A relay in this process, somebody who is logged in, and somebody who is not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from relay.app import Application, create_app
from relay.config import load
from relay.delivery import SystemClock

PASSWORD = "correct horse battery"
BASE = "http://127.0.0.1:2801"
ORIGIN = {"Origin": BASE}


class Clock(SystemClock):
    """The wall clock is moved by the test; waiting is as it is."""

    def __init__(self) -> None:
        self.now_ns = 1_795_000_000 * 10**9

    def time_ns(self) -> int:
        return self.now_ns

    def pass_seconds(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def config_text() -> str:
    return "listen: 127.0.0.1:2801\n"


@pytest.fixture
async def app(
    tmp_path: Path, config_text: str, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Application]:
    file = tmp_path / "relay.yaml"
    file.write_text(config_text)
    application = create_app(load(file, {}))
    application.relay.clock = clock
    application.relay.ingest.clock = clock.time_ns
    await application.relay.start()
    try:
        yield application
    finally:
        await application.relay.stop()


@pytest.fixture
async def link(app: Application, capsys: pytest.CaptureFixture[str]) -> str:
    """What the first start printed; `app` asks for capsys too, so that it was listening."""
    found = re.search(r"http://\S+/ui/first\?token=\S+", capsys.readouterr().out)
    assert found
    return found.group()


def browser_of(app: Application, base: str = BASE, peer: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=(peer, 4711))
    return httpx.AsyncClient(transport=transport, base_url=base)


@pytest.fixture
async def stranger(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with browser_of(app) as client:
        yield client


@pytest.fixture
async def person(app: Application, link: str) -> AsyncIterator[httpx.AsyncClient]:
    """Has chosen the password, and is logged in."""
    async with browser_of(app) as client:
        reply = await client.post("/ui/first", data=first_form(link), headers=ORIGIN)
        assert reply.status_code == 303, reply.text
        yield client


def first_form(link: str, password: str = PASSWORD) -> dict[str, str]:
    return {"token": link.partition("token=")[2], "password": password, "again": password}
