"""Lists and macros: Falco's quirks, which rule files rely on."""

from __future__ import annotations

import pytest

from condition import parse
from condition.ast import Node
from sensor.rules.lists import substitute
from tests.sensor.rules.loading import errors, load, rule


def condition(*texts: str) -> Node:
    return load(*texts).live[0].condition


@pytest.mark.parametrize(
    ("text", "items", "result"),
    [
        ("proc.name in (l)", ["a", "b"], "proc.name in (a, b)"),
        ("proc.name in (x, l, y)", ["a", "b"], "proc.name in (x, a, b, y)"),
        ("proc.name in (l, l)", ["a"], "proc.name in (a, a)"),
        ("proc.name=l", ["a"], "proc.name = a"),
        ("proc.name in (l)", ["a b", "'c d'"], "proc.name in (\"a b\", 'c d')"),
        # An empty list takes a comma with it: the left one, or else the right one.
        ("proc.name in (l)", [], "proc.name in ()"),
        ("proc.name in (x, l)", [], "proc.name in (x)"),
        ("proc.name in (l, x)", [], "proc.name in (x)"),
        ("proc.name in (x, l, y)", [], "proc.name in (x, y)"),
        ("proc.name in (l,l,l)", [], "proc.name in ()"),
        # Only whole words count, and a dot or a dash is no delimiter.
        ("proc.name in (ll, l.l, l-l, -l)", ["a"], "proc.name in (ll, l.l, l-l, -l)"),
        # It happens in quoted strings too, where blanks are around.
        ('proc.cmdline contains "x l y"', ["a"], 'proc.cmdline contains "x a y"'),
        ('proc.cmdline contains "l"', ["a"], 'proc.cmdline contains "l"'),
    ],
)
def test_substitution(text: str, items: list[str], result: str) -> None:
    assert parse(substitute(text, {"l": items}, set())) == parse(result)


def test_used_lists_are_noted() -> None:
    used: set[str] = set()
    substitute("proc.name in (a)", {"a": ["x"], "b": ["y"], "": []}, used)
    assert used == {"a"}


def lists(**items: str) -> str:
    return "".join(f"- list: {name}\n  items: [{text}]\n" for name, text in items.items())


def test_a_list_stands_in_a_later_list() -> None:
    text = lists(a="x, y", b="a, z") + rule("evt.type = open and proc.name in (b)")
    assert condition(text) == parse("evt.type = open and proc.name in (x, y, z)")


def test_only_one_step_deep() -> None:
    # c gets b's items as they are written; `a` in them stays a name, for lists are put in in their order.
    text = lists(a="x", b="a", c="b") + rule("evt.type = open and proc.name in (c)")
    assert condition(text) == parse("evt.type = open and proc.name in (a)")


def test_a_later_list_in_a_list_is_put_in_with_the_text() -> None:
    text = lists(b="a", a="x") + rule("evt.type = open and proc.name in (b)")
    assert condition(text) == parse("evt.type = open and proc.name in (x)")


def test_lists_need_no_order_but_macros_do() -> None:
    text = rule("evt.type = open and proc.name in (a)") + lists(a="x")
    assert condition(text) == parse("evt.type = open and proc.name in (x)")
    later = "- macro: m\n  condition: n\n- macro: n\n  condition: evt.type = open\n"
    assert errors(later + rule("m")) == ["Undefined macro 'n' used in filter."]


def test_a_rule_sees_every_macro() -> None:
    text = rule("m") + "- macro: m\n  condition: evt.type = open\n"
    assert condition(text) == parse("evt.type = open")


def test_a_redefined_macro_sees_what_came_before_its_redefinition() -> None:
    text = (
        "- macro: m\n  condition: evt.type = open\n- macro: n\n  condition: proc.name = cat\n"
        "- macro: m\n  condition: evt.type = close and n\n"
    )
    assert condition(text + rule("m or evt.type = open")) == parse(
        "(evt.type = close and proc.name = cat) or evt.type = open"
    )


def test_loops_are_errors() -> None:
    text = "- macro: m\n  condition: x\n- macro: x\n  condition: m\n- macro: m\n  condition: x\n"
    assert errors(text + rule("m")) == ["reference loop in macro 'x'"]
    assert errors("- macro: m\n  condition: m\n" + rule("m")) == ["reference loop in macro 'm'"]


def test_an_error_in_a_macro_is_said_once() -> None:
    text = "- macro: m\n  condition: proc.name =\n" + rule("m", name="a") + rule("m", name="b")
    assert len(errors(text)) == 1


def test_a_macro_that_nobody_uses_may_name_any_field() -> None:
    text = "- macro: m\n  condition: no.such.field = x\n" + rule()
    assert [one.message for one in load(text).warnings] == ["Macro not referred to by any other rule/macro"]
    assert "nonexistent field no.such.field" in errors(text + rule("evt.type = open and m", name="b"))[0]


def test_the_place_of_an_error_is_in_the_macro() -> None:
    from sensor.rules.problems import RulesError

    text = "- macro: m\n  condition: proc.pid = 1 and no.such = x\n" + rule("evt.type = open and m")
    with pytest.raises(RulesError) as caught:
        load(text)
    (problem,) = caught.value.problems
    assert problem.context.line == 2
    assert problem.context.snippet() == "proc.pid = 1 and no.such = x\n                 ^"


def test_a_file_must_stand_on_those_before_it() -> None:
    macro = "- macro: m\n  condition: evt.type = open\n"
    assert load(macro, rule("m")).live
    assert errors(rule("m"), macro) == ["Undefined macro 'm' used in filter."]


def test_a_redefinition_keeps_its_place() -> None:
    first = rule("evt.type = open", name="a") + rule("evt.type = open", name="b")
    again = rule("evt.type = openat", name="a")
    assert [one.name for one in load(first, again).live] == ["a", "b"]
    assert load(first, again).live[0].events == {"openat"}


def test_unused_lists_and_macros_are_warned_of() -> None:
    text = lists(a="x") + "- macro: m\n  condition: evt.type = open\n" + rule()
    assert [one.code for one in load(text).warnings] == ["LOAD_UNUSED_MACRO", "LOAD_UNUSED_LIST"]
    # A list that only a macro uses is used.
    text = lists(a="x") + "- macro: m\n  condition: proc.name in (a)\n" + rule("evt.type = open and m")
    assert load(text).warnings == ()
