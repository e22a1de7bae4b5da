"""All parts together, with a probe and a rule made by hand."""

from __future__ import annotations

import io
import os
import threading
import time
from pathlib import Path
from typing import Any

import orjson

from sensor.app import channels_of
from sensor.assembly import assemble, boot_epoch_ns, live_host, recorded_host
from sensor.config import SensorConfig
from sensor.event import Event, Lost
from sensor.outputs.channel import Alert, Channel
from sensor.outputs.stdout_output import StdoutOutput
from sensor.pipeline import LOSS_RULE
from sensor.procfs import TICK_NS, Procfs
from tests.sensor.events import NOW, event, exec_, task
from tests.sensor.test_app import Recorded


class Shells:
    def match(self, event: Event) -> list[str]:
        return ["shell"] if event.type == "execve" and event.task.comm == "sh" else []


def test_a_recording_from_end_to_end() -> None:
    config = SensorConfig(rules_files=[Path("x")], json_output=True)
    host = recorded_host(NOW - 10**12)
    name, line = host.fields.resolve("user.name", None), host.fields.resolve("proc.cmdline", None)

    def render(rule: str, event: Event, extra: dict[str, Any]) -> Alert:
        body = orjson.dumps({"rule": rule, "user": name.get(event), "command": line.get(event)})
        return Alert(rule, body, is_json=True)

    stream = io.BytesIO()
    channel = Channel(StdoutOutput(stream), 1 << 20)
    probe = Recorded(
        [
            event("execve", task=task(comm="sh"), detail=exec_("sh", "-c", "id")),
            event("execve", task=task(comm="ls"), detail=exec_("ls")),
            Lost(NOW, 3),
        ]
    )
    assemble(config, host, probe, Shells(), render, [channel]).run(threading.Event(), until_empty=True)
    first, second = [orjson.loads(one) for one in stream.getvalue().splitlines()]
    assert first == {"rule": "shell", "user": "root", "command": "sh -c id"}
    assert (second["rule"], second["output_fields"]["n_drops"]) == (LOSS_RULE, "3")


def test_this_machine() -> None:
    host = live_host()
    assert host.table.seed() > 0
    ticks = Procfs().start_ticks(os.getpid())
    assert ticks is not None
    made = event(task=task(os.getpid(), start_ns=ticks * TICK_NS, mnt_ns=Procfs().mnt_ns(os.getpid())))
    host.table.observe(made)
    exepath = host.fields.resolve("proc.exepath", None).get(made)
    assert exepath == os.path.realpath("/proc/self/exe")
    started = boot_epoch_ns() + ticks * TICK_NS
    assert started <= time.time_ns()


def test_only_enabled_outputs_are_made() -> None:
    assert [one.sink.name for one in channels_of(SensorConfig(rules_files=[Path("x")]))] == ["stdout"]
    quiet = SensorConfig.model_validate({"rules_files": ["x"], "stdout_output": {"enabled": False}})
    assert channels_of(quiet) == []
    both = SensorConfig.model_validate(
        {"rules_files": ["x"], "http_output": {"enabled": True, "url": "http://127.0.0.1:1/"}}
    )
    channels = channels_of(both)
    assert [one.sink.name for one in channels] == ["stdout", "http"]
    for one in channels:
        one.sink.close()
