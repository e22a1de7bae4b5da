"""Proxies, for every registered output: of the settings and of the environment."""

from __future__ import annotations

import pytest

from relay import outputs
from relay.outputs.base import Delivered, Parked, Retry
from tests.fakes.http import Destination, Reply
from tests.relay.outputs.samples import batch, started

pytestmark = pytest.mark.parametrize("type_name", outputs.TYPES)


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def test_the_proxy_of_the_settings_is_used(type_name: str) -> None:
    async with Destination().running() as proxy:
        address = f"http://user:pw@{proxy.netloc}"
        async with started(type_name, "destination.invalid", proxy=address) as output:
            (outcome,) = await output.deliver(batch())
    assert isinstance(outcome, Delivered)
    assert proxy.received[0].path.startswith("http://destination.invalid/")
    assert proxy.received[0].headers["proxy-authorization"] == "Basic dXNlcjpwdw=="


@pytest.mark.parametrize("except_for", ["", ".invalid"])
async def test_the_proxy_of_the_environment_and_its_exceptions(
    type_name: str, except_for: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Destination().running() as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.netloc}")
        monkeypatch.setenv("no_proxy", except_for)
        async with started(type_name, "destination.invalid") as output:
            (outcome,) = await output.deliver(batch())
    assert isinstance(outcome, Retry if except_for else Delivered)
    assert bool(proxy.received) is not bool(except_for)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_wants_a_login_is_a_matter_of_the_configuration(
    type_name: str, scheme: str
) -> None:
    async with Destination(Reply(407)).running() as proxy:
        address = f"http://{proxy.netloc}"
        async with started(type_name, "destination.invalid", scheme, proxy=address) as output:
            (outcome,) = await output.deliver(batch())
    assert isinstance(outcome, Parked)
    assert proxy.received
