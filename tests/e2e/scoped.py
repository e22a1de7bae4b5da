"""A shell whose doings are watched, and a real sensor that watches nothing else."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "config" / "rules" / "falco_rules.yaml"
PATIENCE = 30.0
"""Seconds until something that must come is given up; no test passes because of it."""

DONE = "--outrider-done--"


class Shell:
    """A bash that takes commands one by one; all that it starts descends from it."""

    def __init__(self, directory: Path) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--norc"],
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"LC_ALL": "C"},
        )

    @property
    def pid(self) -> int:
        return self._bash.pid

    def run(self, command: str) -> str:
        """Run it and wait for its end; what it printed."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{command}\necho {DONE}\n")
        self._bash.stdin.flush()
        said = ""
        for line in self._bash.stdout:
            if line.endswith(f"{DONE}\n"):
                return said + line.removesuffix(f"{DONE}\n")
            said += line
        raise AssertionError(f"the shell ended: {said}")

    def close(self) -> None:
        self._bash.kill()
        self._bash.wait()
        for pipe in (self._bash.stdin, self._bash.stdout):
            if pipe is not None:
                pipe.close()


class Sensor:
    """`sensor run` with the stable rules, restricted to one process and what it starts."""

    def __init__(self, directory: Path, scope_pid: int, **settings: Any) -> None:
        config = {
            "rules_files": [str(RULES)],
            "allow_inactive": True,
            "json_output": True,
            "scope": {"pid": scope_pid},
        } | settings
        file = directory / "sensor.yaml"
        file.write_text(yaml.safe_dump(config))
        self._said: list[str] = []
        self._ready = threading.Event()
        self._alerts: queue.Queue[dict[str, Any]] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sensor.cli", "run", "-c", str(file)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._read, self._listen)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        if not self._ready.wait(PATIENCE):
            self.stop()
            raise AssertionError("the sensor does not watch:\n" + "".join(self._said))
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._alerts.put(json.loads(line))

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line)
            if '"watching"' in line:
                self._ready.set()

    def until(self, rule: str) -> list[dict[str, Any]]:
        """The next alerts, up to and with the first of this rule."""
        found: list[dict[str, Any]] = []
        while not found or found[-1]["rule"] != rule:
            try:
                found.append(self._alerts.get(timeout=PATIENCE))
            except queue.Empty:
                rules = [alert["rule"] for alert in found]
                raise AssertionError(f"no {rule!r}, only {rules}\n" + "".join(self._said)) from None
        return found

    def stop(self) -> int:
        """End it as a person would; its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        for thread in self._threads:
            thread.join(PATIENCE)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        return code
