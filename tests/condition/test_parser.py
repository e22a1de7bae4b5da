"""The parser on text that nobody meant: an error with its place, and nothing else."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from condition import ConditionError, Dialect, Kind, compile_condition, interpret, parse, walk
from condition.ast import And, Compare, Exists, Macro, Not, Or
from condition.parser import MAX_DEPTH, MODIFIERS, OPERATORS, TRANSFORMERS
from tests.condition.language import FIELDS, Event, Table, conditions

TOKENS = [
    *OPERATORS,
    *MODIFIERS,
    *(f"{name}(" for name in TRANSFORMERS),
    "val(",
    "and",
    "or",
    "not",
    "not(",
    "(",
]
TOKENS += [
    ")",
    ",",
    "[",
    "]",
    "a",
    "a.b",
    "s.one",
    "n.one",
    "1",
    "0x",
    "'",
    '"',
    "\\",
    "'a'",
    '"\\x4"',
    "\n",
    " ",
    "é",
]
SOUP = st.lists(st.sampled_from(TOKENS), max_size=15).flatmap(
    lambda tokens: st.sampled_from(["", " "]).map(lambda space: space.join(tokens))
)


def refused_in_place(text: str, dialect: Dialect) -> None:
    try:
        node = parse(text, dialect)
    except ConditionError as error:
        caught = error
    else:
        for judge in (compile_condition, interpret):
            with suppress(ConditionError):
                judge(node, Table())(Event())
        return
    assert caught.pos is not None
    assert 0 <= caught.pos <= len(text)
    lines = text[: caught.pos].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert (caught.line, caught.column) == (len(lines), len(lines[-1]) + 1)
    assert caught.message


@given(text=st.text(max_size=60), dialect=st.sampled_from(Dialect))
@settings(max_examples=500, deadline=None)
@example("\x00", Dialect.RULE)
@example("a.b = \ud800", Dialect.RULE)
@example("(" * 100_000, Dialect.RULE)
@example("not " * 100_000, Dialect.RULE)
@example("tolower(" * 100_000, Dialect.ALERT)
@example("'" + "\\'" * 50_000, Dialect.RULE)
def test_arbitrary_text(text: str, dialect: Dialect) -> None:
    refused_in_place(text, dialect)


@given(text=SOUP, dialect=st.sampled_from(Dialect))
@settings(max_examples=2000, deadline=None)
def test_soup_of_tokens(text: str, dialect: Dialect) -> None:
    refused_in_place(text, dialect)


@given(text=conditions(), cut=st.integers(0, 200), dialect=st.sampled_from(Dialect))
@settings(max_examples=300, deadline=None)
def test_conditions_cut_short(text: str, cut: int, dialect: Dialect) -> None:
    refused_in_place(text[:cut], dialect)


@pytest.mark.parametrize("opening", ["(", "not(", "a.b = 1 and(", "tolower("])
def test_depth_has_a_limit(opening: str) -> None:
    with pytest.raises(ConditionError, match="nested too deeply"):
        parse(opening * (MAX_DEPTH + 1) + "a.b")
    closing = " = 1" if opening == "tolower(" else ""
    inner = "a.b" if closing else "a.b = 1"
    parse(opening * MAX_DEPTH + inner + ")" * MAX_DEPTH + closing)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("s.one = a and\n  n.one >", 2, 10, "expected a number value"),
        ("s.one = a\r\nand s.one = (", 2, 13, "expected a string value"),
        ("s.one = 'a\nb' or ?", 2, 7, "expected a '(' token"),
        ("s.one = a\n\nxor s.one = b", 3, 1, "unexpected token after 'a'"),
    ],
)
def test_line_and_column(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert message in caught.value.message
    assert str(caught.value).startswith(f"line {line}, column {column}: ")


def test_positions_of_nodes() -> None:
    text = "not s.one = a and (n.one > 1 or mac)"
    positions = {type(node): text[node.pos :] for node in walk(parse(text))}
    assert positions[Macro] == "mac)"
    assert positions[Or].startswith("n.one > 1")
    assert positions[Not] == text
    assert positions[And] == text
    compares = [node for node in walk(parse(text)) if isinstance(node, Compare)]
    assert [text[node.pos :][:5] for node in compares] == ["s.one", "n.one"]


def test_walk_goes_left_to_right_parents_first() -> None:
    kinds = [type(node) for node in walk(parse("a.b exists and not (a.b = 1 or m)"))]
    assert kinds == [And, Exists, Not, Or, Compare, Macro]


def test_the_table_has_a_field_of_every_kind() -> None:
    assert {info.kind for info in FIELDS.values()} == set(Kind)
