"""The regex operator: Python's `re` as the reference where both mean the same; linear time; RE2's limits."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condition import regex
from condition.regex import MAX_TEXT, Regex, RegexError, compile_regex

ATOMS = st.sampled_from(
    [
        *[
            r"a",
            r"b",
            r"c",
            r".",
            r"[ab]",
            r"[^a]",
            r"[a-c]",
            r"[]a]",
            r"[a-]",
            r"\.",
            r"\w",
            r"\W",
            r"\d",
            r"\s",
            r"[\w.]",
            r"[^\d]",
            r"\x61",
            r"-",
            r"[\]b]",
        ],
        " ",
    ]
)
MARKS = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}", "{0,1}", "{2,}", "*?", "+?"])


def _group(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    sequence = st.lists(st.tuples(inner, MARKS).map("".join), max_size=4).map("".join)
    choice = st.lists(sequence, min_size=1, max_size=3).map("|".join)
    return st.tuples(st.sampled_from(["(", "(?:", "(?P<n>"]), choice).map(lambda both: f"{both[0]}{both[1]})")


def _named_once(pattern: str) -> str:
    return pattern.replace("(?P<n>", "(?:")


PATTERNS = st.recursive(ATOMS, _group, max_leaves=10).map(_named_once)
TEXTS = st.text(alphabet="abcA1_. -]\n", max_size=8)


@given(pattern=PATTERNS, text=TEXTS)
@settings(max_examples=500, deadline=None)
def test_agrees_with_python(pattern: str, text: str) -> None:
    expected = re.fullmatch(pattern, text, re.ASCII) is not None
    assert Regex(pattern).matches(text) is expected


@given(pattern=PATTERNS, text=TEXTS, flags=st.sampled_from(["(?i)", "(?s)", "(?is)"]))
@settings(max_examples=200, deadline=None)
def test_flags_agree_with_python(pattern: str, text: str, flags: str) -> None:
    assert Regex(flags + pattern).matches(text) is (re.fullmatch(flags + pattern, text, re.ASCII) is not None)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("", "", True),
        ("", "a", False),
        ("a|", "", True),
        ("ab", "abc", False),  # the whole text
        (".*b.*", "abc", True),
        ("^ab$", "ab", True),
        ("a^b", "ab", False),
        ("(^a|b)c", "bc", True),
        ("a$b", "ab", False),
        ("\\Aab\\z", "ab", True),
        ("a{,2}", "a{,2}", True),  # RE2: a literal brace
        ("a{", "a{", True),
        ("[[:alpha:]_]+", "ab_C", True),
        ("[[:alpha:]]+", "a1", False),
        ("[[:^digit:]]", "a", True),
        ("\\x{41}", "A", True),
        ("é+", "éé", True),
        ("(?i)É", "é", True),
        (".", "\n", False),
        ("(?s:.)", "\n", True),
        ("(?i:a)b", "Ab", True),
        ("(?i:a)b", "AB", False),
        ("a(?i)b", "aB", True),
        ("a(?i)b(?-i)c", "aBC", False),
        ("(?P<name>x)y", "xy", True),
        ("(?<name>x)y", "xy", True),
    ],
)
def test_re2(pattern: str, text: str, matches: bool) -> None:
    assert Regex(pattern).matches(text) is matches


@pytest.mark.parametrize(
    ("pattern", "pos"),
    [
        ("(", 0),
        (")", 0),
        ("a)", 1),
        ("*a", 0),
        ("a|*", 2),
        ("[a", 0),
        ("[b-a]", 0),
        ("[[:nope:]]", 1),
        ("a{1001}", 1),
        ("a{2,1}", 1),
        ("\\b", 0),
        ("\\p{L}", 0),
        ("\\1", 0),
        ("\\", 0),
        ("(?=a)", 0),
        ("(?!a)", 0),
        ("(?<=a)", 0),
        ("(?P=n)", 0),
        ("\\xzz", 0),
        ("\\x{110000}", 0),
        ("(" * 60 + ")" * 60, 50),
    ],
)
def test_refused_with_its_place(pattern: str, pos: int) -> None:
    with pytest.raises(RegexError, match=f"character {pos + 1} of the pattern"):
        compile_regex(pattern)


@pytest.mark.parametrize("pattern", ["(a{1000}){1000}", "((a{100}){100}){100}", "(((a*){1000})*){1000}"])
def test_a_huge_pattern_is_refused_before_it_is_built(pattern: str) -> None:
    with pytest.raises(RegexError, match="too large"):
        compile_regex(pattern)


@given(st.text(alphabet="ab()[]{}|*+?\\^$-:.1,<>=!PisxAz", max_size=20))
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_pattern_or_refused(pattern: str) -> None:
    with suppress(RegexError):
        Regex(pattern).matches("ab(1")


EVIL = ["(a*)*b", "(a|a)*b", "(a|aa)+b", "(a+)+$b", "(.*a){12}b", "a?" * 25 + "a" * 25 + "b"]


@pytest.mark.parametrize("pattern", EVIL)
def test_time_is_linear(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each character costs at most one look at each state, and mostly one look into a table."""
    looks = 0
    step = Regex._step

    def counted(self: Regex, node: regex._Node, char: str) -> regex._Node:
        nonlocal looks
        looks += len(node.states)
        return step(self, node, char)

    monkeypatch.setattr(Regex, "_step", counted)
    compiled = Regex(pattern)
    size = 3000
    assert not compiled.matches("a" * size)
    assert 0 < looks <= len(compiled._states) * 60  # not for every character again: the automaton is kept
    assert compiled.matches("a" * 30 + "b") is (not pattern.startswith("(a+)+$"))


def test_the_automaton_does_not_grow_without_end() -> None:
    compiled = Regex("(.*x[^y]{8})*z")
    for number in range(4000):
        compiled.matches(f"x{chr(0x4E00 + number)}x{chr(0x5E00 + number)}")
    transitions = sum(len(node.next) for node in compiled._nodes.values()) + len(compiled._start.next)
    assert transitions <= regex._MAX_CACHED
    assert compiled.matches("xabcdefghz")
    assert not compiled.matches("xabcdefgz")


def test_of_a_very_long_text_the_beginning_is_matched() -> None:
    assert Regex("a*").matches("a" * MAX_TEXT + "b")
    assert not Regex("a*").matches("a" * (MAX_TEXT - 1) + "b")
