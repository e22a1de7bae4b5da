"""Prometheus Alertmanager: `apt-get install prometheus-alertmanager`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.servers.real import answers, free_port, program, running

CONFIG = """\
route: {receiver: none, group_by: [alertname]}
receivers: [{name: none}]
"""


@dataclass(frozen=True, slots=True)
class Alertmanager:
    url: str

    def alerts(self) -> list[dict[str, Any]]:
        """What its API lists: active, silenced and inhibited, not the resolved."""
        reply = httpx.get(f"{self.url}/api/v2/alerts", timeout=10)
        reply.raise_for_status()
        found: list[dict[str, Any]] = reply.json()
        return found


@contextmanager
def alertmanager(folder: Path) -> Iterator[Alertmanager]:
    executable = program("prometheus-alertmanager", "alertmanager", package="prometheus-alertmanager")
    config = folder / "alertmanager.yml"
    config.write_text(CONFIG)
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        executable,
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    with running(command, folder / "alertmanager.log", answers(f"{url}/-/ready")):
        yield Alertmanager(url)
