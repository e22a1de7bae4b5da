"""Alerts as a real Falco wrote them for real actions: events with the same values give the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sensor.containers import Containers
from sensor.event import Ancestor, Event, Exec, File
from sensor.fields import SensorFields
from sensor.image import Image
from sensor.outputs.channel import Alert
from sensor.processes import NoProc, ProcessTable
from sensor.rules import Engine, load_rules, render
from sensor.users import Users
from tests.sensor.events import TICK, exec_, file, task
from tests.sensor.rules.loading import config

LINES = (Path(__file__).parents[2] / "data" / "falco_alerts.jsonl").read_text().splitlines()
ALERTS = {(alert := json.loads(line))["rule"]: alert for line in LINES}
BOOT = 1_795_437_375_000_000_000


class Recalled(NoProc):
    """Knows what the process (100) and its parent (90) run."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def image(self, pid: int, start_ticks: int, *, keep_env: bool = False) -> Image | None:
        fields = self._fields
        if pid == 100:
            return Image(_argv(fields["proc.cmdline"]), fields["proc.exepath"], None)
        line = fields.get("proc.pcmdline") if pid == 90 else None
        argv = _argv(line, fields.get("proc.pexe")) if line else ()
        return Image(argv, fields.get("proc.pexepath"), None) if argv else None


def _argv(cmdline: str, exe: str | None = None) -> tuple[str, ...]:
    first, *rest = cmdline.split(" ")
    return (exe or first, *rest)


def _event(fields: dict[str, Any]) -> Event:
    names = [fields["proc.pname"], *(fields.get(f"proc.aname[{level}]", "bash") for level in range(2, 8))]
    above = [Ancestor(90 - n, (90 - n) * TICK, name) for n, name in enumerate(names)]
    sign = "proc.aname[7]" not in fields
    caller = task(
        comm=fields["proc.name"],
        tty=fields["proc.tty"],
        ancestors=(*above, Ancestor(1, 0, "systemd")) if sign else tuple(above),
        session_comm=fields.get("proc.sname"),
    )
    detail, params, res = _detail(fields)
    return Event(fields["evt.type"], fields["evt.time.iso8601"], 1, 0, caller, res, detail, params)


def _detail(fields: dict[str, Any]) -> tuple[File | Exec | None, dict[str, Any], int]:
    type_ = fields["evt.type"]
    if type_ == "execve":
        flags = fields["evt.arg.flags"]
        made = exec_(
            *_argv(fields["proc.cmdline"]),
            exepath=fields["proc.exepath"],
            cwd=fields.get("proc.cwd", "/opt/x/").rstrip("/"),
            writable="EXE_WRITABLE" in flags,
            from_memfd="EXE_FROM_MEMFD" in flags,
        )
        return made, {}, 0
    if type_ == "openat":
        writes = "shadow" not in fields["fd.name"]
        return file(fields["fd.name"], flags=0x106 if writes else 1), {}, 3
    if type_ == "linkat":
        return None, {"oldpath": fields["evt.arg.oldpath"], "newpath": fields["evt.arg.newpath"]}, 0
    return None, {"request": 16}, 0


def judged(rule: str, **changes: Any) -> tuple[Alert, ...]:
    """The alerts for an event with the values of Falco's alert of this rule."""
    fields = ALERTS[rule]["output_fields"]
    sensor = SensorFields(Users(NoProc()), Containers(), BOOT)
    settings = config(**{"time_format_iso_8601": True, "json_output": True} | changes)
    event = _event(fields)
    ProcessTable(Recalled(fields)).observe(event)
    engine = Engine(load_rules(settings, sensor), sensor)
    return tuple(render(settings, found, event, {}) for found in engine.match(event))


@pytest.fixture(autouse=True)
def _hostname(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "vm")


def test_every_alert_is_used() -> None:
    assert len(LINES) == len(ALERTS) == 7


@pytest.mark.parametrize("rule", ALERTS)
def test_the_same_bytes(rule: str) -> None:
    (alert,) = judged(rule)
    assert alert.rule == rule
    assert alert.is_json
    assert alert.body.decode() == json.dumps(ALERTS[rule], separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("rule", ALERTS)
def test_the_same_line_of_text(rule: str) -> None:
    (alert,) = judged(rule, json_output=False)
    assert not alert.is_json
    assert alert.body.decode() == ALERTS[rule]["output"]
