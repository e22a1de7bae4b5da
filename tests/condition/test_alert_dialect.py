"""The alert dialect: compiler and interpreter agree over real alerts; what its grammar adds and refuses."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condition import ConditionError, Dialect, compile_condition, interpret, parse
from condition.ast import Compare, Field, Value
from condition.check import OPERATORS
from condition.fields import Kind, Many
from relay.alert import PRIORITIES, Alert
from relay.alert_fields import AlertFields
from tests.condition.language import quoted

FIELDS = AlertFields(frozenset({"cluster"}))
NAMES = ["priority", "rule", "source", "hostname", "tags", "output", "cluster", "proc.pid", "proc.aname[2]"]
TEXTS = ["", "a", "b", "ab", "prod-1", "12", "9", "1.50", "true", "NaN"]
VALUES: list[Any] = [*TEXTS, None, 0, 9, 12, -1, 1.5, True, False, 10**40, [], ["a", 12, None], {"k": "v"}]


def _alert(seed: int) -> Alert:
    chance = random.Random(seed)
    names = [name for name in NAMES if "." in name or name == "cluster"]
    fields = {name: chance.choice(VALUES) for name in names if chance.random() < 0.8}
    body = {"output": chance.choice(TEXTS), "output_fields": fields, "tags": chance.sample(TEXTS, k=3)}
    return Alert(
        seq=1,
        id="a",
        time_ns=1,
        received_ns=1,
        priority=chance.randrange(len(PRIORITIES)),
        rule=chance.choice(TEXTS),
        source=chance.choice(TEXTS),
        hostname=chance.choice(TEXTS),
        raw=json.dumps(body if chance.random() < 0.9 else {}).encode(),
    )


@st.composite
def checks(draw: st.DrawFn) -> str:
    """One check over an alert."""
    name = draw(st.sampled_from(NAMES))
    info = FIELDS.resolve(name.partition("[")[0], "2" if "[" in name else None)
    allowed = {"in", "intersects"} if info.many is Many.LIST else OPERATORS[info.kind] - {"regex"}
    op = draw(st.sampled_from(sorted(allowed)))
    words = st.sampled_from([name.lower() for name in PRIORITIES] + ["WARN", "err"])
    literals = words if info.kind is Kind.NUMBER else st.sampled_from(TEXTS).map(quoted)
    if op in ("in", "intersects", "pmatch"):
        return f"{name} {op} ({', '.join(draw(st.lists(literals, max_size=3)))})"
    return f"{name} {op} {draw(literals)}"


@given(
    parts=st.lists(st.tuples(st.sampled_from(["and", "or", "and not", "or not"]), checks()), min_size=1),
    seeds=st.lists(st.integers(0, 2**32), min_size=1, max_size=10),
)
@settings(max_examples=500, deadline=None)
def test_compiled_as_interpreted(parts: list[tuple[str, str]], seeds: list[int]) -> None:
    text = "priority exists " + " ".join(f"{word} {check}" for word, check in parts)
    node = parse(text, Dialect.ALERT)
    compiled, interpreted = compile_condition(node, FIELDS), interpret(node, FIELDS)
    for alert in map(_alert, seeds):
        assert compiled(alert) is interpreted(alert)


def test_names_stand_on_the_right_of_an_order() -> None:
    expected = Compare(Field("priority"), ">=", Value("warning"))
    assert parse("priority >= warning", Dialect.ALERT) == expected
    assert parse("priority>=warning", Dialect.ALERT) == expected
    with pytest.raises(ConditionError, match="expected a number value"):
        parse("evt.x >= warning", Dialect.RULE)


@pytest.mark.parametrize(
    ("text", "pos", "message"),
    [
        ("open_read", 0, "unknown bare word 'open_read'"),
        ("rule = a and (b or rule = c)", 14, "unknown bare word 'b'"),
        ("rule", 0, "unknown bare word 'rule'"),
        ("rule inn (a)", 0, "unknown bare word 'rule'"),
        ("rule = a b", 9, "unexpected token after 'a', expecting 'or', 'and'"),
        ("priority >=", 11, "expected a number, a name, or a field"),
        ("not", 0, "expected a '(' token, a field check, or an identifier"),
        ("and rule = a", 0, "expected a '(' token, a field check, or an identifier"),
        ("  ", 0, "the condition is empty"),
    ],
)
def test_refused(text: str, pos: int, message: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(text, Dialect.ALERT)
    assert caught.value.pos == pos
    assert message in caught.value.message


def test_a_name_may_begin_with_a_word_of_the_language() -> None:
    for name in ("notable", "android", "orbit", "existsing", "input", "valid", "length"):
        assert parse(f"{name} = x", Dialect.ALERT) == Compare(Field(name), "=", Value("x"))
        assert parse(f"rule = a or {name} = x", Dialect.ALERT).children[1].left == Field(name)  # type: ignore
