"""`sensor run`, `record` and `replay` as processes: exit codes, alerts, what they say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from sensor.commands import options_of
from sensor.config import SensorConfig
from sensor.probe.recording import Writer
from sensor.rules import RuleSet
from tests.sensor.probe.test_decode import BOOT, record

RULES = """
- rule: Marked
  desc: the file of this test is read
  condition: evt.type in (open, openat) and fd.name = /etc/shadow
  output: "%fd.name %proc.name"
  priority: NOTICE
"""
NEEDS_RUNTIME = """
- rule: Needs the runtime
  desc: only the runtime knows
  condition: evt.type = openat and container.privileged = true
  output: x
  priority: NOTICE
"""


def config(tmp_path: Path, rules: str = RULES, more: str = "") -> Path:
    (tmp_path / "rules.yaml").write_text(rules)
    file = tmp_path / "sensor.yaml"
    file.write_text(f"rules_files: [rules.yaml]\njson_output: true\n{more}")
    return file


def sensor(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sensor.cli", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    file = tmp_path / "a.rec"
    with Writer(file, "x86_64", BOOT) as writer:
        writer.record(record(str0=b"shadow\0", dir0=b"etc\0", kpath=b"shadow\0etc\0"))
        writer.record(record(str0=b"/etc/passwd\0", kpath=b"passwd\0etc\0"))
    return file


def test_a_replay_alerts_with_the_recorded_time(tmp_path: Path, recording: Path) -> None:
    result = sensor("replay", recording, "-c", config(tmp_path))
    assert result.returncode == 0, result.stderr
    (alert,) = [orjson.loads(line) for line in result.stdout.splitlines()]
    assert alert["rule"] == "Marked"
    fields = alert["output_fields"]
    assert (fields["evt.time"], fields["fd.name"], fields["proc.name"]) == (BOOT + 1000, "/etc/shadow", "cat")
    moved = sensor("replay", recording, "--now", "-c", config(tmp_path))
    assert orjson.loads(moved.stdout)["output_fields"]["evt.time"] > BOOT + 10**15


def test_rules_that_cannot_be_live_are_refused_unless_allowed(tmp_path: Path, recording: Path) -> None:
    file = config(tmp_path, RULES + NEEDS_RUNTIME)
    refused = sensor("replay", recording, "-c", file)
    assert refused.returncode == 2
    assert "Needs the runtime: needs container.privileged" in refused.stderr
    assert "--allow-inactive" in refused.stderr
    assert refused.stdout == ""
    by_option = sensor("replay", recording, "--allow-inactive", "-c", file)
    file = config(tmp_path, RULES + NEEDS_RUNTIME, "allow_inactive: true\n")
    for result in (by_option, sensor("replay", recording, "-c", file)):
        assert result.returncode == 0
        assert "Marked" in result.stdout
        assert "rule left out" in result.stderr


@pytest.mark.parametrize(
    ("rules", "more", "said"),
    [
        (RULES, "nonsense: 1\n", "nonsense is not a setting"),
        ("- rule: x\n", "", "rules.yaml:1"),
        (RULES.replace("fd.name =", "fd.nme ="), "", "fd.nme"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_starts(
    tmp_path: Path, recording: Path, rules: str, more: str, said: str
) -> None:
    result = sensor("replay", recording, "-c", config(tmp_path, rules, more))
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stderr.endswith("nothing was started\n")


def test_a_file_that_cannot_be_replayed_is_code_3(tmp_path: Path) -> None:
    result = sensor("replay", tmp_path / "none", "-c", config(tmp_path))
    assert result.returncode == 3
    assert "No such file" in result.stderr


def test_only_what_live_rules_need_leaves_the_kernel() -> None:
    settings = SensorConfig.model_validate({"rules_files": ["x"], "buf_size": "1MiB"})
    rules = RuleSet((), (), (), (), "", needs_env=False)
    options = options_of(settings, rules)
    assert (options.syscalls, options.failed_exec, options.ring_bytes) == (frozenset(), False, 1 << 20)


@pytest.mark.bpf
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_watches_until_it_is_told_to_end(tmp_path: Path, number: int) -> None:
    marked = tmp_path / "marked"
    marked.write_text("x")
    rules = RULES.replace("/etc/shadow", f'"{marked}"')
    file = config(tmp_path, rules, f"scope: {{pid: {os.getpid()}}}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "sensor.cli", "run", "-c", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    watching = orjson.loads(process.stderr.readline())
    assert (watching["event"], watching["rules_live"]) == ("watching", 1)
    assert watching["events"] == ["open", "openat"]
    subprocess.run(["/bin/cat", str(marked)], check=True, capture_output=True)
    alert = orjson.loads(process.stdout.readline())
    assert (alert["rule"], alert["output_fields"]["proc.name"]) == ("Marked", "cat")
    while not (alive := [*tmp_path.glob("outrider-sensor-*/alive")]):
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert [orjson.loads(line)["event"] for line in err.splitlines()] == ["ended"]
    assert not alive[0].exists()


@pytest.mark.bpf
def test_record_then_replay(tmp_path: Path) -> None:
    file = tmp_path / "new.rec"
    process = subprocess.Popen(
        [sys.executable, "-m", "sensor.cli", "record", str(file), "--pid", str(os.getpid())],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "recording" in process.stderr.readline()
    subprocess.run(["/bin/cat", "/etc/shadow"], check=False, capture_output=True)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert '"proc.name":"cat"' in sensor("replay", file, "-c", config(tmp_path)).stdout
    again = sensor("record", file)
    assert again.returncode == 3
    assert "File exists" in again.stderr
