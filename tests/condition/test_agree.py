"""The compiler and the interpreter agree; and the compiler keeps what it promises beside."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condition import (
    NEVER,
    ConditionError,
    assume,
    compile_condition,
    compile_conditions,
    interpret,
    parse,
)
from condition.ast import And, Compare, Field, Node, Not, Or, Value
from condition.check import MAX_TREE_DEPTH
from tests.condition.language import Event, Table, conditions, events, quoted

TABLE = Table()


@given(text=conditions(), some=st.lists(events(), min_size=1, max_size=10))
@settings(max_examples=1000, deadline=None)
def test_compiled_as_interpreted(text: str, some: list[Event]) -> None:
    node = parse(text)
    compiled, interpreted = compile_condition(node, TABLE), interpret(node, TABLE)
    for event in some:
        assert compiled(event) is interpreted(event), text


@given(
    texts=st.lists(conditions(), max_size=5), some=st.lists(events(), min_size=1, max_size=3), data=st.data()
)
@settings(max_examples=300, deadline=None)
def test_many_in_one_function(texts: list[str], some: list[Event], data: st.DataObject) -> None:
    """Also with parts that several of them share, as macros give."""
    nodes = [parse(text) for text in texts]
    if len(nodes) > 1:
        shared = data.draw(st.sampled_from(nodes))
        nodes = [
            data.draw(st.sampled_from([node, And((node, shared)), Or((shared, node))])) for node in nodes
        ]
    together = compile_conditions([(node, number) for number, node in enumerate(nodes)], TABLE)
    for event in some:
        holds = [number for number, node in enumerate(nodes) if interpret(node, TABLE)(event)]
        assert list(together(event)) == holds


@given(text=conditions(), event=events())
@settings(max_examples=500, deadline=None)
def test_a_field_is_read_at_most_once(text: str, event: Event) -> None:
    if any(f"{name}(" in text for name in ("tolower", "toupper", "basename", "b64", "len", "concat", "join")):
        return  # a transformer reads its field for itself
    compile_condition(parse(text), TABLE)(event)
    assert all(count == 1 for count in event.asked.values()), (text, event.asked)


@given(text=conditions(), event=events(), value=st.sampled_from([None, "a", "ab", ""]))
@settings(max_examples=500, deadline=None)
def test_what_is_left_when_a_field_is_known(text: str, event: Event, value: str | None) -> None:
    event["s.one"] = value
    node = parse(text)
    left = assume(node, TABLE, "s.one", value)
    expected = interpret(node, TABLE)(event)
    assert interpret(left, TABLE)(event) is expected
    assert compile_condition(left, TABLE)(event) is expected
    if left == NEVER:
        assert not expected


def test_assuming_decides_all_that_it_can() -> None:
    node = parse("s.one in (a, b) and (s.one = b or n.one = 1) and not s.one = ab")
    assert assume(node, TABLE, "s.one", "x") == NEVER
    assert assume(node, TABLE, "s.one", None) == NEVER
    assert assume(node, TABLE, "s.one", "a") == parse("n.one = 1")


def test_and_or_and_not_stop_where_they_can() -> None:
    event = Event({"s.one": "a"})
    assert compile_condition(parse("s.one = a or n.one = 1"), TABLE)(event)
    assert not compile_condition(parse("s.one = b and n.two = 1"), TABLE)(event)
    assert set(event.asked) == {"s.one"}


def nested(levels: int) -> Node:
    node: Node = Compare(Field("s.one"), "=", Value("a"))
    for level in range(levels - 1):
        other = Compare(Field("n.one"), "=", Value(str(level)))
        node = [Not(node), And((node, Not(other))), Or((other, node))][level % 3]
    return node


@pytest.mark.parametrize("event", [Event({"s.one": "a", "n.one": -5}), Event(), Event({"n.one": 40})])
def test_deep_trees(event: Event) -> None:
    node = nested(MAX_TREE_DEPTH)
    assert compile_condition(node, TABLE)(event) is interpret(node, TABLE)(event)
    assert compile_conditions([(node, "x"), (Not(node.children[0]), "y")], TABLE)(event)  # type: ignore[union-attr]


def test_trees_that_are_too_deep() -> None:
    for judge in (compile_condition, interpret):
        with pytest.raises(ConditionError, match="nested too deeply: more than 150 levels"):
            judge(nested(MAX_TREE_DEPTH + 1), TABLE)


def test_wide_trees() -> None:
    node = parse(" or ".join(f"n.one = {number}" for number in range(3000)))
    compiled = compile_condition(node, TABLE)
    assert compiled(Event({"n.one": 2999}))
    assert not compiled(Event({"n.one": 3000}))


EVIL = [
    '"); import os #',
    "{0.__class__}",
    "{value}",
    "{right}",
    "%s",
    "\n    return True\n",
    "'''",
    "\x00",
    "__import__('os')",
]


@pytest.mark.parametrize("text", EVIL)
@pytest.mark.parametrize(
    "form", ["s.one = {}", "s.one in ({}, b)", "s.one contains {}", "s.one != anyof ({}, b)"]
)
def test_literals_never_become_code(text: str, form: str) -> None:
    node = parse(form.replace("{}", quoted(text)))
    compiled = compile_condition(node, TABLE)
    assert not [name for name in compiled.__code__.co_consts if name not in (None, True, False)]
    equal = "!=" not in form
    assert compiled(Event({"s.one": text})) is True
    assert compiled(Event({"s.one": "other"})) is not equal


@pytest.mark.parametrize("judge", [compile_condition, interpret])
def test_a_condition_is_checked_first(judge: Any) -> None:
    with pytest.raises(ConditionError, match="undefined macro 'open_read'"):
        judge(parse("open_read and s.one = a"), TABLE)
