"""Falco's own cases for the rule loader (Apache-2.0), taken as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from condition import parse
from sensor.rules.compiler import Compilation
from sensor.rules.problems import Problem
from sensor.rules.ruleset import load_each
from tests.sensor.rules.loading import FIELDS

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "data" / "rule_loader.json").read_text()
)

# Falco's test-suite names its longer texts.
TEXTS = {
    "WARNING_APPEND": "'append' key is deprecated. Add an 'append' entry (e.g. 'condition: append') under "
    "'override' instead.",
    "WARNING_ENABLED": "The standalone 'enabled' key usage is deprecated.",
    "WARNING_NO_EVTTYPE": "Rule matches too many evt.type values.",
    "ERROR_OVERRIDE_APPEND": "Keys 'override' and 'append: true' cannot be used together.",
    "ERROR_NO_PREVIOUS_MACRO": "Macro uses 'append' or 'override.condition: append' but no macro by that "
    "name already exists",
    "ERROR_NO_PREVIOUS_LIST": "List uses 'append' or 'override.items: append' but no list by that name "
    "already exists",
    "ERROR_NO_PREVIOUS_RULE_APPEND": "Rule uses 'append' or 'override.<key>: append' but no rule by that "
    "name already exists",
    "ERROR_NO_PREVIOUS_RULE_REPLACE": "An 'override.<key>: replace' to a rule was requested but no rule by "
    "that name already exists",
}
# Cases that assert that the message is *not* given; the data does not say so.
ABSENT = {"rule_override_append", "evttype_warning_disabled_by_warn_evttypes"}
# Cases that are only exceptions: they follow this rule.
BASE = next(case for case in CASES if case["test"] == "exceptions_names_not_unique")["yaml"][1]


def name(case: dict[str, Any]) -> str:
    return f"{case['line']}-{case['test']}"


def run(case: dict[str, Any]) -> tuple[list[bool], list[Problem], Compilation]:
    """Whether each content loads, everything that was said, and the last compilation."""
    contents = case["yaml"][: len(case["load_ok"])]
    if contents[0].lstrip("\n").startswith("  exceptions:"):
        contents[0] = BASE + contents[0].lstrip("\n")
    loaded, said = [], []
    compilation = Compilation()
    for one in load_each([("test.yaml", text) for text in contents], FIELDS):
        loaded.append(not one.errors)
        compilation = one.compilation
        said += [*one.errors, *one.read_warnings, *compilation.warnings]
    return loaded, said, compilation


def test_every_case_is_used() -> None:
    assert len(CASES) == 103
    assert sum(len(case["compiled"]) for case in CASES) > 30
    assert sum(len(case["messages"]) for case in CASES) > 40


@pytest.mark.parametrize("case", CASES, ids=name)
def test_case(case: dict[str, Any]) -> None:
    loaded, said, compilation = run(case)
    assert loaded == case["load_ok"], [str(problem) for problem in said]
    conditions = {f'"{rule.item.name}"': rule.condition for rule in compilation.rules}
    for rule, condition in case["compiled"]:
        assert conditions[rule] == parse(condition.replace('\\"', '"'))
    absent = case["test"] in ABSENT or case["test"].startswith("no_")
    for kind, text in case["messages"]:
        messages = [one.message for one in said if one.is_error == (kind == "error")]
        given = any(TEXTS.get(text, text) in message for message in messages)
        assert given != absent, messages


@pytest.mark.parametrize("case", [case for case in CASES if not all(case["load_ok"])], ids=name)
def test_an_error_has_its_place(case: dict[str, Any]) -> None:
    _, said, _ = run(case)
    for problem in (one for one in said if one.is_error):
        assert problem.context.file == "test.yaml"
        assert problem.context.line > 1
        assert problem.context.snippet().rstrip().endswith("^")
        assert problem.describe().startswith("In rules content: (test.yaml:1:1)")
