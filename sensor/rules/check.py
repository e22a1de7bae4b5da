"""`sensor check`: which rules are live, why the others are not, and everything that is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from sensor.config import SensorConfig, load
from sensor.containers import Containers
from sensor.fields import SensorFields
from sensor.processes import NoProc
from sensor.rules import versions
from sensor.rules.problems import Problem, RulesError
from sensor.rules.render import one_line
from sensor.rules.ruleset import RuleSet, load_rules, rule_files
from sensor.users import Users

OK, FAILED, INACTIVE = 0, 1, 3
"""Exit codes: the sensor would start; something is wrong; rules cannot be live and that is not allowed."""

LIVE, LEFT_OUT, OFF = "live", "left out", "off"
_ALL = 12
"""A rule for more types of event than this is shown with their number."""


@dataclass(frozen=True, slots=True)
class Row:
    """One rule in the table. `note`: the events that it is asked for, or why it is not live."""

    name: str
    state: str
    note: str
    priority: str = ""


def settings(rules: Sequence[Path], config_file: Path | None) -> SensorConfig:
    """The configuration; `rules` stand in for its rule files. Raises ConfigError."""
    config = load(config_file) if config_file is not None else SensorConfig(rules_files=list(rules))
    return config.model_copy(update={"rules_files": list(rules)}) if rules else config


def check(config: SensorConfig, *, as_json: bool, verbose: bool, as_table: bool) -> int:
    """Print what there is to say; errors go to stderr. The exit code."""
    fields = SensorFields(Users(NoProc()), Containers(), 0)
    try:
        rules = load_rules(config, fields)
    except RulesError as error:
        if as_json:
            _echo_json(config, [*error.problems, *error.warnings], None)
        else:
            _echo_errors(error)
        return FAILED
    if as_json:
        _echo_json(config, rules.warnings, rules)
    else:
        _echo_rules(rules, verbose=verbose, as_table=as_table)
    if not rules.left_out or config.allow_inactive:
        return OK
    count = len(rules.left_out)
    click.echo(
        f"{count} rule{'s' * (count != 1)} cannot be live: the sensor does not start with these rules "
        "unless allow_inactive is true",
        err=True,
    )
    return INACTIVE


def rows(rules: RuleSet) -> list[Row]:
    """The rules that are live, those that are left out, those that are off."""
    live = [Row(rule.name, LIVE, _events(rule.events), rule.priority) for rule in rules.live]
    left_out = [Row(rule.name, LEFT_OUT, rule.why) for rule in rules.left_out]
    return [*live, *left_out, *(Row(rule.name, OFF, rule.why) for rule in rules.disabled)]


def _events(names: frozenset[str]) -> str:
    if not names:
        return "never true"
    return " ".join(sorted(names)) if len(names) <= _ALL else f"{len(names)} types of event"


def _echo_rules(rules: RuleSet, *, verbose: bool, as_table: bool) -> None:
    table = rows(rules)
    if as_table:
        width = max((len(row.name) for row in table), default=0)
        for row in table:
            colour = {LIVE: "green", LEFT_OUT: "yellow"}.get(row.state, "white")
            state = click.style(f"{row.state:8}", fg=colour)
            click.echo(f"{one_line(row.name):{width}}  {state}  {one_line(row.note)}")
    else:
        for row in table:
            click.echo("\t".join(map(one_line, (row.state, row.name, row.note))))
    named = {rule.why for rule in rules.left_out}
    warnings = [one for one in rules.warnings if one.message not in named]
    for one in warnings:
        click.echo(_safe(f"\n{one.describe()}" if verbose else f"warning: {one}"), err=True)
    counts = f"{len(rules.live)} live, {len(rules.left_out)} left out, {len(rules.disabled)} off"
    if as_table:
        click.echo(f"\n{counts}; rule set {rules.hash[:12]}")


def _echo_errors(error: RulesError) -> None:
    for problem in error.problems:
        click.echo(_safe(problem.describe()) + "\n", err=True)
    count = len(error.problems)
    click.echo(f"{count} error{'s' * (count != 1)}", err=True)


def _safe(text: str) -> str:
    """Rule files may hold what a terminal would obey."""
    return "\n".join(map(one_line, text.split("\n")))


def _echo_json(config: SensorConfig, problems: Iterable[Problem], rules: RuleSet | None) -> None:
    problems = list(problems)
    names = dict.fromkeys(
        [*map(str, rule_files(config.rules_files)), *(one.context.file for one in problems)]
    )
    value: dict[str, Any] = {
        "falco_load_results": [_file(name, problems) for name in names],
        "engine_version": versions.text(versions.ENGINE_VERSION),
    }
    if rules is not None:
        value["hash"] = rules.hash
        value["rules"] = [
            {"name": row.name, "state": row.state, "priority": row.priority, "note": row.note}
            for row in rows(rules)
        ]
    click.echo(json.dumps(value, indent=2))


def _file(name: str, problems: list[Problem]) -> dict[str, Any]:
    """One file as Falco's `-V` with json_output tells it."""
    here = [one for one in problems if one.context.file == name]
    errors = [one.as_json() for one in here if one.is_error]
    warnings = [one.as_json() for one in here if not one.is_error]
    return {"name": name, "successful": not errors, "errors": errors, "warnings": warnings}
