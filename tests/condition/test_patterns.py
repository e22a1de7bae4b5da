"""Globs against fnmatch(3) of the C library, path prefixes against their definition, both in linear time."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from condition import patterns
from condition.patterns import Glob, PathPrefixes, ascii_lower, ascii_upper, compile_glob

LIBC = ctypes.CDLL(None)
FNM_CASEFOLD = 16


def fnmatch(pattern: str, text: str, flags: int = 0) -> bool:
    return LIBC.fnmatch(pattern.encode(), text.encode(), flags) == 0


# Not `[a-` without an end: the standard takes its `[` as a plain one, as here; glibc matches nothing then.
PIECES = st.sampled_from(
    [
        r"a",
        r"b",
        r"-",
        r"]",
        r"!",
        r"^",
        r"/",
        r".",
        r"*",
        r"?",
        r"\*",
        r"\[",
        r"\a",
        r"[a]",
        r"[ab]",
        r"[!ab]",
        r"[^a]",
        r"[]a]",
        r"[!]a]",
        r"[a-b]",
        r"[a-]",
        r"[-a]",
        r"[\]]",
        r"[\]-a]",
        r"[a\-b]",
        r"[!-/]",
        r"[a-b-]",
        r"[b-a]",
        r"[!a-b]",
        r"[*?]",
        r"[/]",
        r"[[]",
        r"[[:alpha:]]",
        r"[![:alpha:]/]",
        r"[.-/]",
    ]
)
GLOBS = st.lists(PIECES, max_size=8).map("".join)
TEXTS = st.text(alphabet="abAB]-!^\\/.", max_size=8)


@given(pattern=GLOBS, text=TEXTS)
@settings(max_examples=1000, deadline=None)
@example("*", "/a/b")
@example("a*b", "a/b")
@example("[!a]", "b")
@example("[]a]", "]")
@example("[a", "[a")
@example("[", "[")
@example("[]", "[]")
@example("\\*", "*")
@example("\\", "\\")
@example("[\\]]", "]")
@example("[a-c-e]", "-")
@example("[b-a]", "a")
@example("", "")
@example("**a", "ba")
def test_a_glob_is_fnmatch(pattern: str, text: str) -> None:
    assert Glob(pattern).matches(text) is fnmatch(pattern, text)


@given(pattern=st.text(alphabet="abAB*?[]!-", max_size=10), text=st.text(alphabet="abAB-]", max_size=6))
@settings(max_examples=500, deadline=None)
@example("[A]", "a")
@example("A*", "ab")
def test_iglob_is_fnmatch_without_case(pattern: str, text: str) -> None:
    assert Glob(pattern, fold=True).matches(text) is fnmatch(pattern, text, FNM_CASEFOLD)


@pytest.mark.parametrize("name", ["alpha", "digit", "alnum", "upper", "lower", "space", "punct", "xdigit"])
def test_named_classes(name: str) -> None:
    for code in range(1, 127):
        assert Glob(f"[[:{name}:]]").matches(chr(code)) is fnmatch(f"[[:{name}:]]", chr(code)), chr(code)


class Counted(str):
    """Text that counts how often it is looked at."""

    looks = 0

    def startswith(self, *args: object) -> bool:  # type: ignore[override]
        Counted.looks += 1
        return super().startswith(*args)  # type: ignore[arg-type]

    def find(self, *args: object) -> int:  # type: ignore[override]
        Counted.looks += 1
        return super().find(*args)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "most"),
    [("*a" * 20 + "*b", 30), ("*a*a*a*a*c", 30)],
)
def test_stars_are_never_tried_twice(pattern: str, most: int) -> None:
    """A glob of n stars that backtracked would take text to the power of n steps here."""
    Counted.looks = 0
    assert not Glob(pattern).matches(Counted("a" * 5000))
    assert 0 < Counted.looks <= most


def test_brackets_between_stars_take_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    at = patterns._at

    def counted(*args: object) -> bool:
        nonlocal looks
        looks += 1
        return at(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(patterns, "_at", counted)
    seen = []
    for size in (1000, 2000):
        looks = 0
        assert not Glob("*[a]" * 10 + "*[b]*").matches("a" * size)
        seen.append(looks)
    assert seen[0] > 500
    assert seen[1] <= 2 * seen[0] + 30


@pytest.mark.parametrize(
    ("prefixes", "path", "matches"),
    [
        (["/etc"], "/etc", True),
        (["/etc"], "/etc/", True),
        (["/etc"], "/etc/passwd", True),
        (["/etc"], "/etcetera", False),
        (["/etc/"], "/etc/passwd", True),
        (["/etc"], "etc/passwd", False),
        (["etc"], "etc/passwd", True),
        (["etc"], "/etc/passwd", False),
        (["/"], "/anything", True),
        (["/"], "anything", False),
        (["/a/b"], "/a", False),
        (["/a/b", "/c"], "/c/d", True),
        (["/a/b", "/a/c"], "/a/c/d", True),
        (["/home/*/.ssh"], "/home/me/.ssh/id_rsa", True),
        (["/home/*/.ssh"], "/home/me/x/.ssh/id_rsa", False),
        (["/home/*/.ssh", "/home/root/x"], "/home/root/.ssh", True),
        (["//etc//"], "/etc/x", True),
        ([""], "/etc", False),
        ([""], "", False),
        ([], "/etc", False),
        (["/etc"], "", False),
    ],
)
def test_path_prefixes(prefixes: list[str], path: str, matches: bool) -> None:
    assert PathPrefixes(prefixes).matches(path) is matches


PATHS = st.text(alphabet="ab*?/", max_size=8)


def parts(path: str) -> list[str]:
    return (["/"] if path.startswith("/") else []) + [part for part in path.split("/") if part]


@given(prefixes=st.lists(PATHS, max_size=4), path=st.text(alphabet="ab/", max_size=8))
@settings(max_examples=500, deadline=None)
def test_a_prefix_is_a_prefix_of_components(prefixes: list[str], path: str) -> None:
    def is_prefix(prefix: str) -> bool:
        wanted, given_ = parts(prefix), parts(path)
        return 0 < len(wanted) <= len(given_) and all(map(fnmatch, wanted, given_))

    assert PathPrefixes(prefixes).matches(path) is any(map(is_prefix, prefixes))


@given(st.text(max_size=20))
def test_case_is_ascii_alone(text: str) -> None:
    """`K` (Kelvin) is no `k`, `İ` no `i`: nothing may pass for a name that it is not."""
    assert ascii_lower(text) == text.encode("utf-32-le", "surrogatepass").decode(
        "utf-32-le", "surrogatepass"
    ).translate({code: code + 32 for code in range(65, 91)})
    assert ascii_upper(text) == text.translate({code: code - 32 for code in range(97, 123)})


def test_globs_are_compiled_once() -> None:
    assert compile_glob("a*b") is compile_glob("a*b")
    assert compile_glob("a*b") is not compile_glob("a*b", fold=True)
