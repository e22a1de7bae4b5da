"""A relay in a process of its own with a destination that can be made to fail, and a real Chromium."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, sync_playwright

PASSWORD = "correct horse battery"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    """The system's browser."""
    return next((found for name in CHROMIUM if (found := shutil.which(name))), None)


@contextmanager
def browser() -> Iterator[Browser]:
    executable = chromium()
    assert executable is not None
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        try:
            yield started
        finally:
            started.close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Destination:
    """Answers every POST with `status`; while `hold` is cleared, not at all."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.hold = threading.Event()
        self.hold.set()
        self.bodies: list[bytes] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.hold.wait(30)
                outer.bodies.append(body)
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()


class Relay:
    """`relay serve` on a free port of loopback; `link` is what it printed at its first start."""

    def __init__(self, folder: Path, outputs: str = "", url: str | None = None) -> None:
        """With `url`, the one that ran there before, started again."""
        self.url = url or f"http://127.0.0.1:{free_port()}"
        self.config = folder / "relay.yaml"
        self.config.write_text(f"listen: {self.url.removeprefix('http://')}\ndata_dir: data\n{outputs}")
        self.log = folder / "relay.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "relay.cli", "serve", "-c", str(self.config)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.link = self._ready(first=url is None)

    def _ready(self, *, first: bool) -> str:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            found = re.search(r"http://\S+/ui/first\?token=\S+", self.log.read_text())
            if (found or not first) and self._answers():
                return found.group() if found else ""
            time.sleep(0.05)
        raise AssertionError(f"the relay did not start:\n{self.log.read_text()}")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=1).status_code == 200
        except httpx.HTTPError:
            return False

    def post(self, alert: Mapping[str, Any]) -> str:
        """The alert's id."""
        reply = httpx.post(self.url, json=alert)
        assert reply.status_code == 200, reply.text
        found: str = reply.json()["id"]
        return found

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()
