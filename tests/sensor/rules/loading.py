"""Loads rules from text, over the sensor's fields on no machine at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sensor.config import SensorConfig
from sensor.containers import Containers
from sensor.fields import SensorFields
from sensor.processes import NoProc
from sensor.rules.problems import Problem, RulesError
from sensor.rules.ruleset import RuleSet, rules_of
from sensor.users import Users

STABLE = Path(__file__).parents[3] / "config" / "rules" / "falco_rules.yaml"

FIELDS = SensorFields(Users(NoProc()), Containers(), 0)


def config(**changes: Any) -> SensorConfig:
    return SensorConfig(**{"rules_files": [STABLE], **changes})


def load(*texts: str, **changes: Any) -> RuleSet:
    contents = [(f"rules{number}.yaml", text) for number, text in enumerate(texts, 1)]
    return rules_of(contents, config(**changes), FIELDS)


def rule(condition: str = "evt.type = execve", *, name: str = "test_rule", more: str = "") -> str:
    """A rule file with one rule; `more` are further keys."""
    return (
        f"- rule: {name}\n  desc: a rule\n  condition: >\n    {condition}\n"
        f"  output: command=%proc.cmdline\n  priority: WARNING\n{more}\n"
    )


def errors(*texts: str) -> list[str]:
    """The messages of a load that must fail."""
    with pytest.raises(RulesError) as caught:
        load(*texts)
    assert caught.value.problems
    return [problem.message for problem in caught.value.problems]


def problems(*texts: str) -> tuple[Problem, ...]:
    """What is wrong, if anything is."""
    try:
        load(*texts)
    except RulesError as error:
        return error.problems
    return ()
