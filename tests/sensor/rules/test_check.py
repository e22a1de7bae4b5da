"""The command `sensor check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sensor.cli import main
from sensor.rules import check
from sensor.rules.ruleset import load_rules
from tests.sensor.rules.loading import FIELDS, STABLE, config, rule


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "good.yaml"
    file.write_text(
        rule("evt.type = open", name="a")
        + rule(name="b", more="  enabled: false")
        + rule("proc.name = x", name="c")
    )
    return file


@pytest.fixture
def lame(tmp_path: Path) -> Path:
    file = tmp_path / "lame.yaml"
    file.write_text(rule("evt.type = open and fd.sip.name = x"))
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.yaml"
    file.write_text(
        rule("no.such = x", name="one") + "- rule: two\n  desc: x\n" + rule("evt.type =", name="three")
    )
    return file


def test_plain(good: Path) -> None:
    result = run(good)
    assert result.exit_code == check.OK
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[:2] for line in lines] == [["live", "a"], ["live", "c"], ["off", "b"]]
    assert [line[2] for line in lines][::2] == ["open", "enabled: false"]
    assert lines[1][2].endswith(" types of event")
    line = good.read_text().splitlines().index("- rule: c") + 1
    assert f"warning: {good}:{line}: rule 'c': Rule matches too many evt.type values." in result.stderr


def test_left_out_is_an_error_unless_it_is_allowed(lame: Path, tmp_path: Path) -> None:
    result = run(lame)
    assert result.exit_code == check.INACTIVE
    assert result.stdout == "left out\ttest_rule\tneeds fd.sip.name: the sensor does not have it yet\n"
    assert "does not start with these rules unless allow_inactive is true" in result.stderr
    settings = tmp_path / "sensor.yaml"
    settings.write_text("rules_files: [lame.yaml]\nallow_inactive: true\n")
    assert run("-c", settings).exit_code == check.OK


def test_all_errors_with_their_places(bad: Path) -> None:
    result = run(bad)
    assert result.exit_code == check.FAILED
    assert result.stdout == ""
    assert "3 errors" in result.stderr
    assert f"In rules content: ({bad}:1:1)\n    rule 'one': ({bad}:1:3)\n    rule condition:" in result.stderr
    assert (
        "------\nno.such = x\n^\n------\nLOAD_ERR_COMPILE_CONDITION (Error compiling condition): "
        in result.stderr
    )
    assert "Item has no mapping for key 'condition'" in result.stderr
    assert "rule 'three'" in result.stderr


def test_json(good: Path, bad: Path, lame: Path) -> None:
    found = json.loads(run("--json", good).stdout)
    assert [one["state"] for one in found["rules"]] == ["live", "live", "off"]
    assert found["falco_load_results"][0]["name"] == str(good)
    assert found["falco_load_results"][0]["successful"] is True
    assert len(found["hash"]) == 64
    result = run("--json", good, bad)
    assert result.exit_code == check.FAILED
    first, second = json.loads(result.stdout)["falco_load_results"]
    assert (first["successful"], second["successful"]) == (True, False)
    assert {one["code"] for one in second["errors"]} == {
        "LOAD_ERR_COMPILE_CONDITION",
        "LOAD_ERR_YAML_VALIDATE",
    }
    place = second["errors"][0]["context"]["locations"][-1]["position"]
    assert set(place) == {"name", "line", "column", "offset"}
    assert run("--json", lame).exit_code == check.INACTIVE


def test_rules_stand_in_for_those_of_the_configuration(good: Path, bad: Path, tmp_path: Path) -> None:
    settings = tmp_path / "sensor.yaml"
    settings.write_text("rules_files: [bad.yaml]\npriority: error\n")
    assert run("-c", settings).exit_code == check.FAILED
    result = run("-c", settings, good)
    assert result.exit_code == check.OK
    assert "priority warning is below error" in result.stdout


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    settings = config(rules_files=[STABLE], allow_inactive=True)
    assert check.check(settings, as_json=False, verbose=False, as_table=True) == check.OK
    lines = capsys.readouterr().out.splitlines()
    assert len({line.index("live") for line in lines if "live" in line.split("  ")[-2:][0]}) <= 1
    assert lines[-1].startswith("23 live, 2 left out, 0 off; rule set ")
    assert len(check.rows(load_rules(settings, FIELDS))) == 25


def test_verbose_shows_places(good: Path) -> None:
    assert "------\n- rule: c\n  ^\n------\nLOAD_NO_EVTTYPE" in run("-v", good).stderr


def test_wrong_use(tmp_path: Path) -> None:
    assert run().exit_code == 2
    assert run(tmp_path / "none.yaml").exit_code == 2
    settings = tmp_path / "sensor.yaml"
    settings.write_text("rulse_files: []\n")
    result = run("-c", settings)
    assert result.exit_code == 1
    assert "did you mean rules_files?" in result.stderr


def test_a_rule_file_cannot_command_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "evil.yaml"
    file.write_text(
        '- rule: "\\e[2Jx"\n  desc: x\n  condition: evt.type = \\\n  output: x\n  priority: bad\n'
    )
    result = run(file)
    assert result.exit_code == check.FAILED
    assert "\x1b" not in result.stderr
    assert "\\u001b[2Jx" in result.stderr
