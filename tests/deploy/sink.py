"""A webhook in a container: takes what is posted, and gives all of it, in order, to whoever asks."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

received: list[dict[str, Any]] = []
lock = threading.Lock()


class Sink(BaseHTTPRequestHandler):
    """POST anywhere stores, GET anywhere returns [{"at_ns": …, "alert": …}]."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        alert = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with lock:
            received.append({"at_ns": time.time_ns(), "alert": alert})
        self._answer(b"{}")

    def do_GET(self) -> None:
        with lock:
            body = json.dumps(received).encode()
        self._answer(body)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 8080), Sink).serve_forever()
