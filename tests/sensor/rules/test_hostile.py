"""Rule files that want to exhaust or confuse the loader: a clear error, or rules that work."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.rules.problems import RulesError
from sensor.rules.source import MAX_BYTES
from tests.sensor.rules.loading import STABLE, errors, load, problems, rule

ALIASES = "- &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"- &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(20)
)
LISTS = "".join(f"- list: l{n}\n  items: [{','.join([f'l{n + 1}'] * 10)}]\n" for n in range(12))
MACROS = "- macro: m0\n  condition: proc.name = x or proc.exe = y\n" + "".join(
    f"- macro: m{n + 1}\n  condition: m{n} or not m{n}\n" for n in range(40)
)
CHAIN = "- macro: m0\n  condition: proc.name = x\n" + "".join(
    f"- macro: m{n + 1}\n  condition: not m{n}\n" for n in range(500)
)
# Every macro sees every other, because each is defined a second time.
TWICE = "".join(f"- macro: m{n}\n  condition: proc.name = x\n" for n in range(301)) + "".join(
    f"- macro: m{n}\n  condition: not m{n + 1}\n" for n in range(300)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("- " * 5_000 + "a", "nested too deeply"),
        ("\n".join(" " * n + "a:" for n in range(300)), "nested too deeply"),
        (ALIASES, "Unexpected element type. Each element should be a yaml associative array."),
        ("- &a [*a]", "alias 'a' contains itself"),
        ("- *a", "undefined alias 'a'"),
        ("- {[a]: b}", "a key is not a scalar value"),
        ("\t- rule: x", "found character that cannot start any token"),
        ("- rule: \x00", "control characters are not allowed"),
        ("- rule: '\ud800'", "surrogates not allowed"),
        ("- rule: 'x", "found unexpected end of stream"),
        ("#" * (MAX_BYTES + 1), "the rules are too large"),
        (LISTS + rule("evt.type = open and proc.name in (l0)"), "the condition is too large with its lists"),
        (MACROS + rule("evt.type = open and m40"), "the condition is too large with its macros"),
        (CHAIN + rule("evt.type = open and m500"), "the condition is too large with its macros"),
        (TWICE + rule("evt.type = open and m0"), "macros are nested too deeply"),
        (rule("evt.type = open and " + "(" * 5_000 + "proc.name = x" + ")" * 5_000), "nested too deeply"),
        ("- !!python/object/apply:os.system ['id']", "Unexpected element type."),
        ("- required_engine_version: " + "9" * 5_000, "Unable to parse engine version"),
        ("- list: l\n  items: &a [[*b]]\n  x: &b [y]", "undefined alias 'b'"),
    ],
    ids=lambda text: text[:20].replace("\n", " ") if len(text) < 200 else f"{text[:20]!r}…",
)
def test_refused(text: str, message: str) -> None:
    assert any(message in found for found in errors(text))


def test_an_error_of_a_huge_line_is_short() -> None:
    with pytest.raises(RulesError) as caught:
        load(rule("evt.type = open and proc.name = a " * 20_000))
    assert len(caught.value.problems[0].describe()) < 2_000


@pytest.mark.parametrize(
    "text",
    [
        rule("evt.type = open and " + "not " * 5_000 + "proc.name = x"),
        rule("evt.type = open and (" + " or ".join(f"proc.name = x{n}" for n in range(3_000)) + ")"),
        "- list: l\n  items: ["
        + ", ".join(f"10.0.{n // 256}.{n % 256}" for n in range(20_000))
        + "]\n"
        + rule("evt.type = connect and fd.sip in (l)"),
        "".join(MACROS.splitlines(keepends=True)[:20]) + rule("evt.type = open and m9"),
        rule("evt.type = open and proc.name = 'ü\u202e'", name="规则 \u202e"),
        "\ufeff" + rule(),
    ],
    ids=["nots", "wide", "long list", "macros", "unicode", "mark"],
)
def test_loaded(text: str) -> None:
    assert load(text).live


def test_an_item_of_aliases_is_what_it_points_to() -> None:
    text = "- list: l\n  items: [&a cat, *a]\n" + rule("evt.type = open and proc.name in (l)")
    assert "cat" in str(load(text).live[0].condition)


SCRAPS = """
- rule: x
- list: l
- macro: m
  items: [a, b]
  condition: evt.type = open
  condition: m and proc.name in (l)
  desc: d
  output: '%proc.name'
  priority: INFO
  append: true
  override: {condition: append}
  exceptions: [{name: e}]
---
  - x
  tags: ~
  enabled: false
  items: {a: b}
  condition:
  : x
&a
*a
"""
scraps = st.sampled_from(SCRAPS.splitlines(keepends=True)[1:])


@given(st.lists(st.one_of(scraps, st.text(max_size=8)), max_size=20).map("".join))
def test_whatever_the_text_is(text: str) -> None:
    for problem in problems(text):
        assert problem.describe()
        assert problem.as_json()["context"]["snippet"]


@given(st.integers(0, 50_000), st.integers(1, 40), st.text(max_size=4))
def test_damaged_stable_rules(at: int, length: int, instead: str) -> None:
    text = STABLE.read_text()
    at %= len(text)
    # Only what is around the damage: the whole file takes too long for many tries.
    for problem in problems(text[max(0, at - 2_000) : at] + instead + text[at + length : at + 2_000]):
        assert str(problem)
