"""Exceptions: the condition they make, and what is wrong with them."""

from __future__ import annotations

import pytest

from condition import parse
from tests.sensor.rules.loading import errors, load, rule


def with_exceptions(text: str, condition: str = "evt.type = open") -> str:
    return rule(condition, more=f"  exceptions:\n{text}")


@pytest.mark.parametrize(
    ("exception", "made"),
    [
        ("{name: e, fields: proc.name, values: [a, b c]}", 'not (proc.name in (a, "b c"))'),
        ("{name: e, fields: proc.exe, comps: pmatch, values: [/bin]}", "not (proc.exe pmatch (/bin))"),
        (
            "{name: e, fields: proc.name, comps: startswith anyof, values: [a, b]}",
            "not proc.name startswith anyof (a, b)",
        ),
        ("{name: e, fields: [proc.name], values: [[a]]}", "not proc.name = a"),
        (
            "{name: e, fields: [proc.name, fd.name], comps: [in, =], values: [[[a, b c], /x], [d, /y]]}",
            'not ((proc.name in (a, "b c") and fd.name = /x) or (proc.name in (d) and fd.name = /y))',
        ),
        ("{name: e, fields: [proc.name], comps: [in], values: [['(a, b)']]}", "not proc.name in (a, b)"),
        ("{name: e, fields: [proc.name], values: [[val(proc.pname)]]}", "not proc.name = val(proc.pname)"),
        ("{name: e, fields: [proc.name], values: [[\"'a b'\"]]}", "not proc.name = 'a b'"),
        ("{name: e, fields: ['proc.aname[2]'], values: [[a]]}", "not proc.aname[2] = a"),
    ],
)
def test_condition(exception: str, made: str) -> None:
    found = load(with_exceptions(f"    - {exception}\n")).live[0].condition
    assert found == parse(f"evt.type = open and {made}")


def test_without_values_nothing_changes() -> None:
    text = with_exceptions("    - {name: e, fields: proc.name}\n    - {name: f, fields: [proc.exe]}\n")
    assert load(text).live[0].condition == parse("evt.type = open")


def test_the_condition_is_put_in_parentheses() -> None:
    text = with_exceptions(
        "    - {name: e, fields: proc.name, values: [a]}\n", "evt.type = open or fd.num = 1"
    )
    assert load(text).live[0].condition == parse("(evt.type = open or fd.num = 1) and not proc.name in (a)")


def test_appended_values_and_a_new_exception() -> None:
    text = with_exceptions("    - {name: e, fields: proc.name, values: [a]}\n") + (
        "- rule: test_rule\n  exceptions:\n    - {name: e, values: [b]}\n"
        "    - {name: f, fields: [proc.exe], values: [[/c]]}\n  override: {exceptions: append}\n"
    )
    assert load(text).live[0].condition == parse(
        "evt.type = open and not proc.name in (a, b) and not proc.exe = /c"
    )


@pytest.mark.parametrize(
    ("exception", "message"),
    [
        ("{name: e, values: [a]}", "Item has no mapping for key 'fields'"),
        ("{fields: proc.name}", "Item has no mapping for key 'name'"),
        ("[a]", "Rule exception must be a mapping"),
        ("{name: e, fields: no.such, values: [a]}", "'no.such' is not a supported filter field"),
        (
            "{name: e, fields: [proc.name, 'no.such'], values: []}",
            "'no.such' is not a supported filter field",
        ),
        ("{name: e, fields: [[proc.name]]}", "'(proc.name)' is not a supported filter field"),
        ("{name: e, fields: [proc.name], comps: [=, =]}", "Fields and comps lists must have equal length"),
        ("{name: e, fields: [proc.name], comps: in}", "Fields and comps lists must have equal length"),
        (
            "{name: e, fields: [proc.name], values: [[a, b]]}",
            "Fields and values lists must have equal length",
        ),
        ("{name: e, fields: [proc.name], values: [a]}", "Fields and values lists must have equal length"),
        ("{name: e, fields: proc.name, comps: [in]}", "Fields and comps must both be strings"),
        ("{name: e, fields: proc.name, comps: =}", "When fields is a single value, comps must be one of"),
        ("{name: e, fields: [proc.name], comps: [like]}", "'like' is not a supported comparison operator"),
        ("{name: e, fields: proc.name, values: [[a]]}", "Expected values array to contain a list of strings"),
        ("{name: e, fields: proc.name, values: a}", "Rule exception values must be a sequence"),
        ("{name: e, fields: proc.name, values: ['']}", "Value must be non-empty"),
        ("{name: e, fields: proc.name, values: [{a: b}]}", "Value is neither a scalar nor a list of scalars"),
        ("{name: e, fields: [proc.pid], values: [[a]]}", "'a' is not a number"),
    ],
)
def test_errors(exception: str, message: str) -> None:
    (found,) = errors(with_exceptions(f"    - {exception}\n"))
    assert message in found


@pytest.mark.parametrize(
    ("exception", "message"),
    [
        (
            "{name: e, fields: proc.name, values: [b]}",
            "Can not append exception fields to existing exception",
        ),
        ("{name: e, comps: in, values: [b]}", "Can not append exception comps to existing exception"),
        ("{name: f, values: [b]}", "Rule exception must have fields property with a list of fields"),
        ("{name: f, fields: proc.name}", "Rule exception must have values property with a list of values"),
    ],
)
def test_errors_of_appending(exception: str, message: str) -> None:
    text = with_exceptions("    - {name: e, fields: proc.name, values: [a]}\n")
    more = f"- rule: test_rule\n  exceptions:\n    - {exception}\n  override: {{exceptions: append}}\n"
    assert any(message in found for found in errors(text + more))
