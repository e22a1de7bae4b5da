"""The main loop and its sign of life, with a probe made by hand."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from sensor import health
from sensor.app import Sensor
from sensor.event import Event, Lost
from sensor.outputs.channel import Alert, Channel
from sensor.outputs.stdout_output import StdoutOutput
from sensor.pipeline import Pipeline
from sensor.processes import NoProc, ProcessTable
from tests.sensor.events import event


class Recorded:
    def __init__(self, *batches: list[Event | Lost]) -> None:
        self.batches = list(batches)
        self.closed = self.detached = False

    def open(self) -> None:
        pass

    def read_batch(self, timeout: float) -> Sequence[Event | Lost]:
        return self.batches.pop(0) if self.batches else []

    def detach(self) -> None:
        self.detached = True

    def close(self) -> None:
        self.closed = True


class Everything:
    def match(self, event: Event) -> list[str]:
        return ["all"]

    def alert(self, rule: str, event: Event, extra: dict[str, Any]) -> Alert:
        return Alert(rule, orjson.dumps({"num": event.num}), is_json=True)

    def internal(self, rule: str, time_ns: int, text: str, fields: dict[str, str]) -> Alert:
        return Alert(rule, orjson.dumps(fields), is_json=True)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_replay_ends_by_itself_and_delivers_all(tmp_path: Path) -> None:
    probe = Recorded([event(num=1), event(num=2)], [event(num=3)])
    stream = io.BytesIO()
    channel = Channel(StdoutOutput(stream), 1 << 20)
    pipeline = Pipeline(ProcessTable(NoProc()), Everything(), Everything(), [channel])
    alive = tmp_path / "alive"
    Sensor(probe, pipeline, [channel], health.Heartbeat(alive)).run(threading.Event(), until_empty=True)
    assert [orjson.loads(line)["num"] for line in stream.getvalue().splitlines()] == [1, 2, 3]
    assert probe.closed
    assert not alive.exists()


def test_what_led_to_the_end_is_judged_too() -> None:
    class Ended(Recorded):
        def read_batch(self, timeout: float) -> Sequence[Event | Lost]:
            assert self.detached  # or there might be no end of it
            return super().read_batch(timeout)

    probe = Ended([event(num=1)], [event(num=2)])
    stream = io.BytesIO()
    channel = Channel(StdoutOutput(stream), 1 << 20)
    stop = threading.Event()
    stop.set()
    pipeline = Pipeline(ProcessTable(NoProc()), Everything(), Everything(), [channel])
    Sensor(probe, pipeline, [channel], None).run(stop)
    assert [orjson.loads(line)["num"] for line in stream.getvalue().splitlines()] == [1, 2]


def test_a_failing_probe_still_delivers_what_was_seen() -> None:
    class Broken(Recorded):
        def read_batch(self, timeout: float) -> Sequence[Event | Lost]:
            if not self.batches:
                raise OSError("the ring is gone")
            return super().read_batch(timeout)

    probe = Broken([event(num=1)])
    stream = io.BytesIO()
    channel = Channel(StdoutOutput(stream), 1 << 20)
    pipeline = Pipeline(ProcessTable(NoProc()), Everything(), Everything(), [channel])
    with pytest.raises(OSError, match="the ring is gone"):
        Sensor(probe, pipeline, [channel], None).run(threading.Event())
    assert stream.getvalue() == b'{"num":1}\n'
    assert probe.closed


def test_a_sign_of_life_gets_old(tmp_path: Path) -> None:
    file, clock = tmp_path / "alive", Clock()
    assert health.problem(file, 0) == "no sensor is running"
    beat = health.Heartbeat(file, clock)
    beat.beat()
    assert health.problem(file, clock.now + 29) is None
    assert health.problem(file, clock.now + 31) == "no sign of life for 31 s"
    clock.now += 10
    beat.beat()
    assert health.problem(file, 131) is None
    file.write_text("nonsense")
    assert health.problem(file, 0) == "no sensor is running"


def test_a_directory_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    file = health.default_file()
    assert file.parent.stat().st_mode & 0o777 == 0o700
    file.parent.chmod(0o777)
    with pytest.raises(OSError, match="only this user"):
        health.default_file()
    file.parent.rmdir()
    file.parent.symlink_to(tmp_path)
    with pytest.raises(OSError, match="only this user"):
        health.default_file()
