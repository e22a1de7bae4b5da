"""Falco's own cases for the grammar (Apache-2.0), taken as data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from condition.ast import And, Compare, Exists, Field, Macro, Node, Not, Or, Transform, Value, ValueList
from condition.errors import ConditionError
from condition.parser import parse

CASES = json.loads((Path(__file__).parents[1] / "data" / "condition_grammar.json").read_text())
GOOD = [case for case in CASES if case["kind"] in ("test_accept", "test_equal_ast")]
BAD = [case for case in CASES if case["kind"] in ("test_reject", "test_reject_msg")]


def name(case: dict[str, object]) -> str:
    return f"{case['line']}"


def test_every_case_is_used() -> None:
    assert len(CASES) == 545
    assert len(GOOD) + len(BAD) == 545


@pytest.mark.parametrize("case", GOOD, ids=name)
def test_accepted(case: dict[str, str]) -> None:
    parse(case["cond"])


@pytest.mark.parametrize("case", BAD, ids=name)
def test_refused_with_place_and_expectation(case: dict[str, str]) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(case["cond"])
    error = caught.value
    assert error.pos is not None
    assert 0 <= error.pos <= len(case["cond"])
    assert error.line is not None
    assert error.column is not None
    assert any(word in error.message for word in ("expect", "escape")), error.message


MESSAGES = {
    259: "expected a valid field argument: a quoted string or a bare string",
    261: "expected a ']' token",
    262: "expected a valid field argument: a quoted string or a bare string",
    264: "expected a ']' token",
}


@pytest.mark.parametrize("case", [c for c in BAD if c["kind"] == "test_reject_msg"], ids=name)
def test_refused_with_falcos_words(case: dict[str, int | str]) -> None:
    with pytest.raises(ConditionError, match=r".") as caught:
        parse(str(case["cond"]))
    assert caught.value.message == MESSAGES[int(case["line"])]


def field(text: str) -> Field:
    return Field(text)


def items(*texts: str) -> ValueList:
    return ValueList(tuple(Value(text) for text in texts))


def call(function: str, *args: Field | Transform) -> Transform:
    return Transform(function, args)


PROC = field("proc.name")
FD_EXISTS = Exists(field("fd.name"))
THREE = Or(
    (
        And((Exists(field("evt.name")), Compare(field("evt.type"), "in", items("a", "b")))),
        Compare(PROC, "=", Value("cat")),
    )
)
TREES: dict[str, Node] = {
    "evt.name exists and evt.type in (a, b) or proc.name=cat": THREE,
    "b64(evt.name) exists and tolower(toupper(evt.type)) in val(some.field) or "
    "proc.name=b64(tolower(some.field))": Or(
        (
            And(
                (
                    Exists(call("b64", field("evt.name"))),
                    Compare(
                        call("tolower", call("toupper", field("evt.type"))),
                        "in",
                        call("val", field("some.field")),
                    ),
                )
            ),
            Compare(PROC, "=", call("b64", call("tolower", field("some.field")))),
        )
    ),
    "not not not not not(not not(not not_macro))": Not(Not(Macro("not_macro"))),
    "proc.name == oneof (cat, nginx)": Compare(PROC, "==", items("cat", "nginx"), "oneof"),
    "proc.name != anyof (cat, nginx)": Compare(PROC, "!=", items("cat", "nginx"), "anyof"),
    "proc.name = allof (cat)": Compare(PROC, "=", items("cat"), "allof"),
    "proc.name == oneof ()": Compare(PROC, "==", items(), "oneof"),
    "proc.name == oneof my_list": Compare(PROC, "==", Value("my_list"), "oneof"),
    "proc.name == oneof (cat, nginx) and fd.name exists": And(
        (Compare(PROC, "==", items("cat", "nginx"), "oneof"), FD_EXISTS)
    ),
    "proc.name == anyof and fd.name exists": And((Compare(PROC, "==", Value("anyof")), FD_EXISTS)),
    "proc.name == oneof (cat) and proc.name == anyof": And(
        (Compare(PROC, "==", items("cat"), "oneof"), Compare(PROC, "==", Value("anyof")))
    ),
    "proc.name contains oneof (cat, nginx)": Compare(PROC, "contains", items("cat", "nginx"), "oneof"),
    "proc.name startswith anyof (/etc/, /tmp/)": Compare(
        PROC, "startswith", items("/etc/", "/tmp/"), "anyof"
    ),
}


@pytest.mark.parametrize("case", [c for c in GOOD if c["kind"] == "test_equal_ast"], ids=name)
def test_tree(case: dict[str, str]) -> None:
    assert parse(case["cond"]) == TREES[case["cond"]]
