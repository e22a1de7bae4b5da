"""docker-compose.yml under a project name of its own, with destinations that can be looked at."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 90.0
"""Seconds after which something that should come is given up: a limit, not a measure."""

T = TypeVar("T")


def eventually(look: Callable[[], T | None], what: str) -> T:
    """The first truthy answer of `look`. What goes wrong while things start is not an answer yet."""
    end = time.monotonic() + PATIENCE
    problem: Exception | None = None
    while time.monotonic() < end:
        try:
            if found := look():
                return found
        except (httpx.HTTPError, subprocess.CalledProcessError) as error:
            problem = error
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {PATIENCE:.0f} s ({problem or 'nothing found'})")


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Standard output. Raises CalledProcessError, after showing what the command said."""
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
    )
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n")
        raise subprocess.CalledProcessError(done.returncode, list(command))
    return done.stdout


def free_ports(count: int) -> list[int]:
    """Of this machine's loopback. They stay the same over restarts, as Docker's own choice would not."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def why_not() -> str | None:
    """What is missing for these tests, or None."""
    if os.geteuid() != 0:
        return "reading /etc/shadow, and killing a container's process, need root"
    if shutil.which("docker") is None:
        return "there is no docker command"
    try:
        run(["docker", "info", "--format", "{{.ServerVersion}}"])
        run(["docker", "compose", "version"])
    except subprocess.CalledProcessError as error:
        return f"`{' '.join(error.cmd[:2])}` does not work: no daemon, or no compose plugin"
    return None


def alertmanager() -> str | None:
    """The program of this machine; it runs inside a container, on the project's network."""
    return shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")


def alertmanager_templates() -> str:
    """Debian's program reads its templates from here; others have them inside."""
    directory = Path("/usr/share/prometheus/alertmanager")
    return str(directory if directory.is_dir() else ROOT / "tests" / "deploy")


@dataclass
class Stack:
    """One project: `up` first, `remove` last."""

    directory: Path
    project: str = field(default_factory=lambda: f"outrider-test-{uuid.uuid4().hex[:8]}")
    image: str = "outrider-deploy-test"
    ports: Mapping[str, int] = field(
        default_factory=lambda: dict(zip(("relay", "sink", "alertmanager"), free_ports(3), strict=True))
    )

    @property
    def config(self) -> Path:
        return self.directory / "relay.yaml"

    def configure(self) -> None:
        """The project's own relay.yaml for compose, with outputs."""
        settings = yaml.safe_load((ROOT / "config" / "compose" / "relay.yaml").read_text())
        settings["outputs"] = {"hook": {"type": "webhook", "url": "http://sink:8080/"}}
        if alertmanager():
            settings["outputs"]["am"] = {"type": "alertmanager", "url": "http://alertmanager:9093"}
        self.config.write_text(yaml.safe_dump(settings))
        self.config.chmod(0o644)  # the relay is another user

    def compose(self, *args: str) -> str:
        environment = os.environ | {
            "IMAGE": self.image,
            "RELAY_CONFIG": str(self.config),
            "ALERTMANAGER": alertmanager() or "/nonexistent",
            "ALERTMANAGER_TEMPLATES": alertmanager_templates(),
            **{f"{service.upper()}_PORT": str(port) for service, port in self.ports.items()},
            "COMPOSE_PROFILES": "alertmanager" if alertmanager() else "",
        }
        files = ["-f", "docker-compose.yml", "-f", "tests/deploy/compose.yml"]
        return run(["docker", "compose", "-p", self.project, *files, *args], environment)

    def up(self) -> None:
        """Everything runs and is healthy."""
        self.compose("up", "--detach", "--wait", "--wait-timeout", str(int(PATIENCE)))

    def remove(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--rmi", "all")

    def inspect(self, service: str) -> dict[str, Any]:
        """What Docker knows of the service's container, also one that has ended."""
        name = self.compose("ps", "--all", "--quiet", service).strip()
        found: list[dict[str, Any]] = json.loads(run(["docker", "inspect", name]))
        return found[0]

    def events(self, *kinds: str) -> list[tuple[str, str]]:
        """(service, event) as the daemon remembers them, oldest first: its last 256 only."""
        label = "com.docker.compose.service"
        filters = [f"label=com.docker.compose.project={self.project}", *(f"event={kind}" for kind in kinds)]
        lines = run(
            ["docker", "events", "--since", "1h", "--until", "0s", "--format", "json"]
            + [part for one in filters for part in ("--filter", one)]
        )
        found = [json.loads(line) for line in lines.splitlines()]
        return [(one["Actor"]["Attributes"][label], one["Action"]) for one in found]

    def url(self, service: str) -> str:
        """Where the service's published port is on this machine."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def received(self) -> list[dict[str, Any]]:
        """What the webhook got: {"at_ns", "alert"}."""
        found: list[dict[str, Any]] = httpx.get(self.url("sink")).raise_for_status().json()
        return found

    def alert_with(self, text: str, rule: str) -> dict[str, Any]:
        """The delivery of an alert of this rule whose command line has the text."""

        def look() -> dict[str, Any] | None:
            for one in self.received():
                fields = one["alert"].get("output_fields") or {}
                if one["alert"]["rule"] == rule and text in (fields.get("proc.cmdline") or ""):
                    return one
            return None

        return eventually(look, f"an alert {rule!r} with {text!r} at the webhook")
