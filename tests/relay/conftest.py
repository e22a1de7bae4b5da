"""A whole relay in this process, on a journal of its own, spoken to without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from relay.app import Application, create_app
from relay.config import load


@pytest.fixture
def config_text() -> str:
    """relay.yaml of the test; override it for outputs."""
    return "listen: 127.0.0.1:2801\n"


@pytest.fixture
async def app(tmp_path: Path, config_text: str) -> AsyncIterator[Application]:
    file = tmp_path / "relay.yaml"
    file.write_text(config_text)
    application = create_app(load(file, {}))
    await application.relay.start()
    try:
        yield application
    finally:
        await application.relay.stop()


@pytest.fixture
async def client(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    """Comes from loopback."""
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:2801") as http:
        yield http
