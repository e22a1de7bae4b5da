"""The dashboard as a person meets it: a relay of its own, a destination, and a real Chromium."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.relay.ui.live import PASSWORD, Destination, Relay, browser, chromium

pytestmark = pytest.mark.browser

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)> \u202etxt.exe"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    if chromium() is None:
        missing = "no Chromium on PATH; install with: apt-get install chromium"
        if os.environ.get("SERVERS") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def destination() -> Iterator[Destination]:
    one = Destination()
    yield one
    one.close()


@pytest.fixture(scope="module")
def relay(
    chrome: Browser, tmp_path_factory: pytest.TempPathFactory, destination: Destination
) -> Iterator[Relay]:
    outputs = f'outputs:\n  sink: {{type: webhook, url: "{destination.url}"}}\n'
    one = Relay(tmp_path_factory.mktemp("relay"), outputs)
    yield one
    assert one.stop() == 0


class Watched:
    """A page, and everything that went wrong on it."""

    def __init__(self, context: BrowserContext) -> None:
        self.page = context.new_page()
        self.wrong: list[str] = []
        self.page.on("dialog", lambda dialog: (self.wrong.append(dialog.message), dialog.dismiss()))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on(
            "console",
            lambda message: self.wrong.append(message.text) if message.type == "error" else None,
        )
        self.page.on("request", self._request)
        self.foreign: list[str] = []

    def _request(self, request: Any) -> None:
        if not request.url.startswith("http://127.0.0.1:"):
            self.foreign.append(request.url)


@pytest.fixture(scope="module")
def state(chrome: Browser, relay: Relay) -> Any:
    """The cookies of somebody who went in through the link of the first start."""
    context = chrome.new_context()
    page = context.new_page()
    page.goto(f"{relay.url}/ui")
    expect(page).to_have_url(f"{relay.url}/ui/login?next=%2Fui")
    expect(page.locator("main")).to_contain_text("There is no password yet")
    page.goto(relay.link)
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    page.click("button.go")
    expect(page).to_have_url(f"{relay.url}/ui")
    found = context.storage_state()
    context.close()
    return found


@pytest.fixture
def watched(chrome: Browser, state: Any) -> Iterator[Watched]:
    context = chrome.new_context(storage_state=state, viewport={"width": 1366, "height": 768})
    one = Watched(context)
    yield one
    context.close()
    assert one.wrong == []
    assert one.foreign == []


@pytest.fixture
def page(watched: Watched, relay: Relay) -> Page:
    """The list, live."""
    watched.page.goto(f"{relay.url}/ui")
    expect(watched.page.locator("#live")).to_have_attribute("data-state", "on")
    return watched.page


def alert(rule: str, **more: Any) -> dict[str, Any]:
    return {
        "rule": rule,
        "priority": "Warning",
        "output": f"text of {rule}",
        "output_fields": {"a.b": "c"},
        "hostname": "h1",
        "source": "syscall",
    } | more


def row(page: Page, rule: str) -> Any:
    return page.locator("tr.alert", has_text=rule)


def test_an_alert_appears_and_its_fate_changes_without_reloading(
    page: Page, relay: Relay, destination: Destination
) -> None:
    page.locator("body").evaluate("body => { body.dataset.mark = 'same page'; }")
    destination.hold.clear()
    try:
        relay.post(alert("appears"))
        expect(row(page, "appears").locator(".c-fates")).to_contain_text("waiting")
        destination.hold.set()
        expect(row(page, "appears").locator(".f-confirmed, .f-accepted")).to_have_count(1)
    finally:
        destination.hold.set()
    expect(page.locator("body")).to_have_attribute("data-mark", "same page")
    row(page, "appears").locator(".rule").click()
    expect(page.locator("h1")).to_contain_text("appears")
    expect(page.locator("#fates")).to_contain_text("confirmed")
    expect(page.locator(".fields").first).to_contain_text("a.b")


def test_an_alerts_own_page_is_live_too(page: Page, relay: Relay, destination: Destination) -> None:
    destination.hold.clear()
    try:
        alert_id = relay.post(alert("own page"))
        page.goto(f"{relay.url}/ui/alerts/{alert_id}")
        expect(page.locator("#fates")).to_contain_text("waiting")
        destination.hold.set()
        expect(page.locator("#fates")).to_contain_text("confirmed")
    finally:
        destination.hold.set()


def test_hostile_text_does_nothing(page: Page, relay: Relay) -> None:
    """`watched` fails the test for a dialog, a script error or a violation of the policy."""
    relay.post(alert(f"hostile {EVIL}", output=EVIL, hostname=EVIL, source=EVIL, output_fields={EVIL: EVIL}))
    expect(row(page, "hostile").locator(".text")).to_contain_text("<script>alert(1)</script>")
    expect(row(page, "hostile").locator(".text")).to_contain_text("\\u202e")
    row(page, "hostile").locator(".rule").click()
    expect(page.locator("pre.output")).to_contain_text("<script>alert(1)</script>")
    assert page.locator("main img, main script").count() == 0


def test_a_reader_is_not_disturbed(page: Page, relay: Relay) -> None:
    for number in range(30):
        relay.post(alert(f"filler {number}"))
    row(page, "filler 29").wait_for()
    page.mouse.wheel(0, 900)
    page.wait_for_function("() => window.scrollY > 200")
    relay.post(alert("comes later 1"))
    relay.post(alert("comes later 2"))
    expect(page.locator("#news")).to_have_text("2 new alerts: show")
    expect(row(page, "comes later")).to_have_count(0)
    page.locator("#news").click()
    expect(row(page, "comes later")).to_have_count(2)
    expect(page.locator("#news")).to_be_hidden()


def flood(relay: Relay, rule: str, count: int) -> None:
    lines = b"\n".join(json.dumps(alert(f"{rule} {number}")).encode() for number in range(count))
    httpx.post(relay.url, content=lines, headers={"Content-Type": "application/x-ndjson"}).raise_for_status()


def test_a_flood_is_said_and_not_drawn(page: Page, relay: Relay) -> None:
    page.goto(f"{relay.url}/ui")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    flood(relay, "flood", 900)
    expect(page.locator("tr.gap a").first).to_contain_text("more came at the same time")
    expect(row(page, "flood 899")).to_have_count(1)
    assert page.locator("tr.alert").count() <= 200
    page.locator("tr.gap a").first.click()
    expect(row(page, "flood 8").first).to_be_visible()
    assert "before=" in page.url


def test_a_filtered_page_says_when_a_flood_may_hide_a_match(page: Page, relay: Relay) -> None:
    page.goto(f"{relay.url}/ui?host=h99")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    flood(relay, "hides", 900)
    expect(page.locator("#news")).to_have_text("0 new alerts, perhaps more: show")


def test_a_filtered_page_counts_what_matches(page: Page, relay: Relay) -> None:
    page.goto(f"{relay.url}/ui?host=h7")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    expect(page.locator("#empty")).to_contain_text("No alert matches")
    relay.post(alert("other host"))
    relay.post(alert("this host", hostname="h7"))
    expect(page.locator("#news")).to_have_text("1 new alert: show")
    page.locator("#news").click()
    expect(row(page, "this host")).to_have_count(1)
    expect(row(page, "other host")).to_have_count(0)


def test_back_leads_to_the_list_as_it_was_filtered(page: Page, relay: Relay) -> None:
    relay.post(alert("to and fro", hostname="h55"))
    page.goto(f"{relay.url}/ui?host=h55")
    row(page, "to and fro").locator(".rule").click()
    expect(page.locator("h1")).to_contain_text("to and fro")
    page.keyboard.press("u")
    expect(page).to_have_url(f"{relay.url}/ui?host=h55")


def test_keys(page: Page, relay: Relay) -> None:
    relay.post(alert("keys one"))
    relay.post(alert("keys two"))
    row(page, "keys two").wait_for()
    page.keyboard.press("j")
    expect(page.locator("tr.chosen")).to_contain_text("keys two")
    page.keyboard.press("j")
    expect(page.locator("tr.chosen")).to_contain_text("keys one")
    page.keyboard.press("k")
    page.keyboard.press("k")
    expect(page.locator("tr.chosen")).to_contain_text("keys two")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.locator("#q-rule")).to_be_focused()
    page.keyboard.type("j")
    expect(page.locator("#q-rule")).to_have_value("j")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("keys")
    page.keyboard.press("u")
    expect(page).to_have_url(f"{relay.url}/ui")


def background(page: Page) -> str:
    found: str = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    return found


def test_dark_and_light(page: Page, relay: Relay) -> None:
    page.emulate_media(color_scheme="light")
    light = background(page)
    page.emulate_media(color_scheme="dark")
    dark = background(page)
    assert light != dark
    page.emulate_media(color_scheme="light")
    page.keyboard.press("t")  # dark, whatever the system says
    assert background(page) == dark
    page.reload()
    assert background(page) == dark
    page.keyboard.press("t")
    assert background(page) == light
    page.keyboard.press("t")  # as the system again
    page.emulate_media(color_scheme="dark")
    assert background(page) == dark


def test_times_in_two_zones(chrome: Browser, state: Any, relay: Relay) -> None:
    context = chrome.new_context(storage_state=state, timezone_id="Asia/Kolkata")
    page = context.new_page()
    relay.post(alert("zone", time="2026-03-01T12:00:00Z"))
    page.goto(f"{relay.url}/ui")
    expect(row(page, "zone").locator("time")).to_have_text("03-01 12:00:00")
    page.click("#zone")
    expect(row(page, "zone").locator("time")).to_have_text("03-01 17:30:00")
    expect(page.locator("th.c-time")).to_contain_text("UTC+05:30")
    context.close()


@pytest.mark.parametrize("width", [360, 1366])
def test_nothing_is_wider_than_the_screen(page: Page, relay: Relay, width: int) -> None:
    alert_id = relay.post(alert("wide " + "W" * 900, output="O" * 3000, hostname="h" * 300))
    page.set_viewport_size({"width": width, "height": 800})
    for path in ("/ui", f"/ui/alerts/{alert_id}", "/ui/refused"):
        page.goto(relay.url + path)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, path


def test_without_javascript(chrome: Browser, state: Any, relay: Relay) -> None:
    relay.post(alert("plain", hostname="h8"))
    context = chrome.new_context(storage_state=state, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{relay.url}/ui")
    page.fill("#q-host", "h8")
    page.click("form.filter button")
    expect(page.locator("tr.alert")).to_have_count(1)
    expect(page.locator("tr.alert time")).to_contain_text("UTC")
    page.click("tr.alert .rule")
    expect(page.locator("h1")).to_contain_text("plain")
    context.close()


def test_contrast(page: Page, relay: Relay) -> None:
    """WCAG AA: 4.5 for text, of every text on the page, light and dark."""
    for number, name in enumerate(
        ("Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug")
    ):
        relay.post(alert(f"contrast {number}", priority=name))
    script = (Path(__file__).parent / "contrast.js").read_text()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        for path in ("/ui", "/ui?priority=Critical", "/ui/refused"):
            page.goto(relay.url + path)
            found = page.evaluate(script)
            assert found["wrong"] == [], f"{path} {scheme}"
            assert found["seen"] > 10


def test_logout_and_password(chrome: Browser, relay: Relay, state: Any) -> None:
    context = chrome.new_context()
    page = context.new_page()
    page.goto(f"{relay.url}/ui/refused")
    page.fill("#password", "not the password")
    page.click("button.go")
    expect(page.locator("#error")).to_have_text("That is not the password.")
    page.fill("#password", PASSWORD)
    page.click("button.go")
    expect(page).to_have_url(f"{relay.url}/ui/refused")
    page.goto(f"{relay.url}/ui")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    other = context.new_page()
    other.goto(f"{relay.url}/ui")
    other.get_by_role("button", name="Log out").click()
    expect(other).to_have_url(f"{relay.url}/ui/login")
    expect(page).to_have_url(f"{relay.url}/ui/login?next=%2Fui")  # its stream ended, and it noticed
    context.close()


def test_a_page_comes_back_after_the_relay_did(
    chrome: Browser, tmp_path: Path, destination: Destination
) -> None:
    first = Relay(tmp_path)
    context = chrome.new_context()
    page = context.new_page()
    page.goto(first.link)
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    page.click("button.go")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    assert first.stop() == 0
    expect(page.locator("#live")).to_have_attribute("data-state", "off")
    second = Relay(tmp_path, url=first.url)
    try:
        httpx.post(first.url, json=alert("while away"))
        expect(row(page, "while away")).to_have_count(1, timeout=20_000)
    finally:
        second.stop()
        context.close()
