"""The command line, by its exit codes and what it says."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from sensor import health
from sensor.cli import main


@pytest.fixture
def alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    return health.default_file()


def test_fields_are_listed() -> None:
    result = CliRunner().invoke(main, ["fields"])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert any(line.split()[:2] == ["proc.aname", "string"] and "argument" in line for line in lines)
    assert any(
        line.startswith("container.image.repository") and "absent in containers" in line for line in lines
    )
    assert lines == sorted(lines)


def test_fields_are_found_by_a_word() -> None:
    result = CliRunner().invoke(main, ["fields", "aname"])
    assert [line.split()[0] for line in result.output.splitlines()] == ["proc.aname"]
    missing = CliRunner().invoke(main, ["fields", "nonsense"])
    assert missing.exit_code == 1
    assert "no field has 'nonsense' in its name" in missing.output


def test_health_is_an_exit_code(alive: Path) -> None:
    result = CliRunner().invoke(main, ["healthy"])
    assert (result.exit_code, result.output) == (1, "no sensor is running\n")
    health.Heartbeat(alive).beat()
    assert CliRunner().invoke(main, ["healthy"]).exit_code == 0
    alive.write_text(str(time.monotonic() - 1000))
    assert "no sign of life" in CliRunner().invoke(main, ["healthy"]).output
