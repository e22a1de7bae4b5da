"""make screenshots: the dashboard's pictures in docs/images, of a relay of its own."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from tests.relay.ui.live import PASSWORD, Destination, Relay, browser, chromium, free_port

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
SIZE = {"width": 1366, "height": 860}
PHONE = {"width": 390, "height": 844}

MIX = ROOT / "tests" / "data" / "dashboard.jsonl"


def alerts() -> list[dict[str, Any]]:
    """The mix, each so many seconds ago, with the text as Falco writes it."""
    found = []
    for line in MIX.read_text().splitlines():
        alert: dict[str, Any] = json.loads(line)
        moment = datetime.now(UTC) - timedelta(seconds=alert.pop("ago"))
        stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000"
        alert["output"] = f"{stamp}+0000: {alert['priority']} {alert['output']}"
        found.append(alert | {"time": f"{stamp}Z"})
    return found


def outputs(good: str, refusing: str) -> str:
    return f"""
outputs:
  oncall: {{type: webhook, url: "{good}", minimum_priority: warning}}
  archive: {{type: webhook, url: "{good}"}}
  alertmanager: {{type: alertmanager, url: "{refusing}", minimum_priority: notice}}
"""


def log_in(context: BrowserContext, relay: Relay) -> Page:
    page = context.new_page()
    page.goto(relay.link)
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    page.click("button.go")
    page.wait_for_selector("#live[data-state=on]")
    return page


def picture(page: Page, name: str, *, full: bool = False) -> None:
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path, full_page=full)
    print(path.relative_to(ROOT))


def take(chrome: Browser, relay: Relay) -> None:
    context = chrome.new_context(viewport=SIZE, color_scheme="light")  # type: ignore[arg-type]
    page = log_in(context, relay)
    mix = alerts()
    for one in mix:
        relay.post(one)
    page.locator("tr.alert").nth(len(mix) - 1).wait_for()
    page.wait_for_selector(".output.s-failing")
    page.wait_for_selector(".f-retrying")
    page.wait_for_timeout(4000)  # what has just come is marked for a moment
    picture(page, "dashboard-light")
    page.emulate_media(color_scheme="dark")
    picture(page, "dashboard-dark")
    page.click("tr.r-critical .rule")
    page.wait_for_selector("#live[data-state=on]")
    page.emulate_media(color_scheme="light")
    picture(page, "alert", full=True)
    page.goto(f"{relay.url}/ui")
    page.wait_for_selector("#live[data-state=on]")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    picture(page, "dashboard-phone")
    context.close()


def main() -> int:
    if chromium() is None:
        print("a Chromium is missing; install with: apt-get install chromium")
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    good = Destination()
    with tempfile.TemporaryDirectory() as folder:
        relay = Relay(Path(folder), outputs(good.url, f"http://127.0.0.1:{free_port()}"))
        try:
            with browser() as chrome:
                take(chrome, relay)
        finally:
            relay.stop()
            good.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
