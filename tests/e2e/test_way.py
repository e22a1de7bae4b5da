"""From a system call to the destinations and the dashboard: what `make run` starts, with real parts only."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import orjson
import pytest
import yaml

from tests.e2e.scoped import PATIENCE, ROOT, RULES, Shell
from tests.relay.ui.live import Destination
from tests.servers.alertmanager import Alertmanager, alertmanager
from tests.servers.real import free_port

RULE = "Read sensitive file untrusted"
PASSWORD = "correct horse battery"
T = TypeVar("T")


def eventually(look: Callable[[], T | None], what: str) -> T:
    """The first thing that `look` finds."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"never came: {what}")


class Running:
    """scripts/run.py, which is what `make run` calls, on configuration files of the test's."""

    def __init__(self, folder: Path, relay: dict[str, Any], sensor: dict[str, Any], *wrapper: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        listen = self.url.removeprefix("http://")
        (folder / "relay.yaml").write_text(yaml.safe_dump({"listen": listen, "data_dir": "data"} | relay))
        settings = {
            "rules_files": [str(RULES)],
            "allow_inactive": True,
            "json_output": True,
            "stdout_output": {"enabled": False},
            "http_output": {"enabled": True, "url": self.url},
        }
        (folder / "sensor.yaml").write_text(yaml.safe_dump(settings | sensor))
        self._log = folder / "run.log"
        files = ["--relay-config", str(folder / "relay.yaml"), "--sensor-config", str(folder / "sensor.yaml")]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*wrapper, sys.executable, "scripts/run.py", *files],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def said(self, pattern: str) -> str:
        """Wait until it has said this; the first group."""

        def look() -> str | None:
            found = re.search(pattern, self._log.read_text())
            if found is None and self._process.poll() is not None:
                raise AssertionError(f"it ended:\n{self._log.read_text()}")
            return found[1] if found else None

        return eventually(look, f"{pattern} in\n{self._log.read_text()}")

    def page(self, path: str) -> str:
        """A page of the dashboard, after the first login with the link that was printed."""
        token = self.said(r"/ui/first\?token=(\S+)")
        words = {"token": token, "password": PASSWORD, "again": PASSWORD}
        with httpx.Client(base_url=self.url, headers={"Origin": self.url}) as browser:
            assert browser.post("/ui/first", data=words).status_code == 303
            return browser.get(path).text

    def stop(self) -> int:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)


@pytest.fixture
def hook() -> Iterator[Destination]:
    destination = Destination()
    yield destination
    destination.close()


@pytest.fixture
def real_alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    with alertmanager(tmp_path) as server:
        yield server


def alerts_of(hook: Destination, rule: str) -> list[dict[str, Any]]:
    return [alert for alert in map(orjson.loads, hook.bodies) if alert["rule"] == rule]


@pytest.mark.bpf
@pytest.mark.server
def test_a_read_of_etc_shadow_reaches_everybody(
    tmp_path: Path, hook: Destination, real_alertmanager: Alertmanager
) -> None:
    outputs = {
        "hook": {"type": "webhook", "url": hook.url},
        "pager": {"type": "alertmanager", "url": real_alertmanager.url},
    }
    shell = Shell(tmp_path)
    running = Running(tmp_path, {"outputs": outputs}, {"scope": {"pid": shell.pid}})
    try:
        running.said('("watching")')
        shell.run("cat /etc/shadow >/dev/null")

        (alert,) = eventually(lambda: alerts_of(hook, RULE), "the alert at the webhook")
        assert alert["priority"] == "Warning"
        assert (
            "Sensitive file opened for reading by non-trusted program | file=/etc/shadow" in alert["output"]
        )
        assert alert["output_fields"]["proc.cmdline"] == "cat /etc/shadow"
        assert alert["output_fields"]["proc.pname"] == "bash"

        (listed,) = eventually(real_alertmanager.alerts, "the alert in Alertmanager's list")
        assert listed["labels"]["alertname"] == RULE
        assert listed["annotations"]["description"] == alert["output"]

        page = running.page("/ui")
        assert RULE in page
        assert "file=/etc/shadow" in page
        assert alert["uuid"] in page
        assert fates_on(page) == {"hook": "confirmed", "pager": "confirmed"}
    finally:
        shell.close()
        assert running.stop() == 0


def fates_on(page: str) -> dict[str, str]:
    """Output → what its badge says, of the only alert on the page."""
    return dict(re.findall(r'<span class="to">([^<]+)</span><span class="state"> ([^<]+)</span>', page))


def test_without_ebpf_a_recorded_stream_is_played(tmp_path: Path, hook: Destination) -> None:
    """As a user without any capability: what is missing is said, and relay and dashboard work."""
    tmp_path.chmod(0o755)
    outputs = {"hook": {"type": "webhook", "url": hook.url}}
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs"]
    running = Running(tmp_path, {"outputs": outputs}, {}, *drop)
    try:
        assert running.said("(CAP_BPF)")
        running.said("(playing the recorded stream)")
        eventually(lambda: alerts_of(hook, RULE), "an alert of the recording at the webhook")
        running.said("(has played all of it)")
        assert RULE in running.page("/ui")
    finally:
        assert running.stop() == 0
