"""A relay as people run it: a process of its own on a directory of its own, which tests start and kill."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
STOP_MOST = 60
"""Seconds after which a relay that got SIGTERM is held to hang: far beyond its own deadlines."""
FAILING = {"concurrency": 4, "timeout": "1s"}
"""Settings of an output that is to fail: quickly."""


def free_port() -> int:
    """One that nobody else is given while the relay is down: not of those for outgoing connections."""
    first = int(EPHEMERAL.read_text().split()[0]) if EPHEMERAL.exists() else 32768
    for _ in range(100):
        port = random.randrange(max(1024, first - 12_000), first)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no free port")


class RelayProcess:
    """`async with RelayProcess(folder, outputs) as relay`: it is ready, and ends with the block.

    `outputs` are as in relay.yaml. `before` is put in front of the command (unshare, a wrapper), `module` is
    what Python runs. The log is in `folder/log`.
    """

    def __init__(
        self,
        folder: Path,
        outputs: Mapping[str, Mapping[str, Any]],
        *,
        data_dir: Path | None = None,
        before: Sequence[str] = (),
        module: str = "relay.cli",
        environment: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data_dir = data_dir or folder / "data"
        self._before = before
        self._module = module
        self._environment = {**os.environ, **(environment or {})}
        self._settings = settings or {}
        self._process: subprocess.Popen[bytes] | None = None
        self.configure(outputs)

    def configure(self, outputs: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the configuration; the relay reads it when it starts, or reloads."""
        given = {"listen": f"127.0.0.1:{self.port}", "data_dir": str(self.data_dir), "outputs": outputs}
        self._file.write_text(json.dumps({**given, **self._settings}))  # JSON is YAML

    @property
    def _file(self) -> Path:
        return self.folder / "relay.yaml"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def spawn(self) -> None:
        command = [*self._before, sys.executable, "-m", self._module, "serve", "-c", str(self._file)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment)

    async def ready(self) -> None:
        async with httpx.AsyncClient() as http:
            while self._process is not None and self._process.poll() is None:
                try:
                    if (await http.get(f"{self.url}/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.02)
        raise AssertionError(f"the relay ended by itself:\n{self.log[-4000:]}")

    async def start(self) -> None:
        self.spawn()
        await self.ready()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        await asyncio.to_thread(self._process.wait)

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        try:
            return await asyncio.to_thread(self._process.wait, STOP_MOST)
        except subprocess.TimeoutExpired:
            await self.kill()
            raise AssertionError(f"hangs after SIGTERM:\n{self.log[-4000:]}") from None

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(timeout=30) as http:
            return await http.get(self.url + path)

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    async def __aenter__(self) -> RelayProcess:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            await self.kill()


def webhook(url: str, **settings: Any) -> dict[str, Any]:
    return {"type": "webhook", "url": url, **settings}
