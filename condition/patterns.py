"""Globs and path prefixes: fnmatch(3) without flags, and libsinsp's prefix_search.h, in linear time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from condition.regex_syntax import Predicate, one_of, posix_class

_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def ascii_lower(text: str) -> str:
    """Lower case of A to Z alone, as C's tolower: no other letter may pass for one of these."""
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)


def ascii_upper(text: str) -> str:
    if text.isascii():
        return text.upper()
    return "".join(char.upper() if "a" <= char <= "z" else char for char in text)


_Segment: TypeAlias = str | tuple[Predicate, ...]


class Glob:
    """A pattern of fnmatch(3) with flags 0: `*` and `?` also match `/`, a backslash escapes.

    Between two stars everything has a fixed length, so that the leftmost place is always the right one and
    nothing is ever tried twice.
    """

    def __init__(self, pattern: str, *, fold: bool = False) -> None:
        self.pattern = pattern
        self._fold = fold
        self._segments = _segments(ascii_lower(pattern) if fold else pattern)

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        if self._fold:
            text = ascii_lower(text)
        segments = self._segments
        first = segments[0]
        if len(segments) == 1:
            return len(text) == len(first) and _at(first, text, 0)
        last = segments[-1]
        pos, end = len(first), len(text) - len(last)
        if end < pos or not _at(first, text, 0) or not _at(last, text, end):
            return False
        for segment in segments[1:-1]:
            pos = _find(segment, text, pos, end)
            if pos < 0:
                return False
            pos += len(segment)
        return True


def _at(segment: _Segment, text: str, pos: int) -> bool:
    if isinstance(segment, str):
        return text.startswith(segment, pos)
    return len(text) - pos >= len(segment) and all(
        test(char) for test, char in zip(segment, text[pos : pos + len(segment)], strict=True)
    )


def _find(segment: _Segment, text: str, pos: int, end: int) -> int:
    if isinstance(segment, str):
        return text.find(segment, pos, end)
    for start in range(pos, end - len(segment) + 1):
        if _at(segment, text, start):
            return start
    return -1


def _segments(pattern: str) -> list[_Segment]:
    """What stands between the stars: plain text, or a test for each character."""
    segments: list[list[str | Predicate]] = [[]]
    pos = 0
    while pos < len(pattern):
        char = pattern[pos]
        item: str | Predicate = char
        pos += 1
        if char == "*":
            segments.append([])
            continue
        if char == "?":
            item = _anything
        elif char == "\\":
            # Nothing matches a backslash that escapes nothing, as in glibc.
            item = pattern[pos] if pos < len(pattern) else _nothing
            pos += 1
        elif char == "[":
            bracket = _bracket(pattern, pos)
            if bracket is not None:
                item, pos = bracket
        segments[-1].append(item)
    return [_segment(items) for items in segments]


def _anything(_: str) -> bool:
    return True


def _nothing(_: str) -> bool:
    return False


def _segment(items: list[str | Predicate]) -> _Segment:
    texts = [item for item in items if isinstance(item, str)]
    if len(texts) == len(items):
        return "".join(texts)
    return tuple(one_of(item) if isinstance(item, str) else item for item in items)


def _bracket(pattern: str, pos: int) -> tuple[Predicate, int] | None:
    """A bracket expression that begins before `pos`; None if it has no end and so is a plain `[`."""
    negated = pattern[pos : pos + 1] in ("!", "^")
    pos += negated
    start = pos
    ranges: list[tuple[str, str]] = []
    members: set[str] = set()
    while True:
        char = pattern[pos : pos + 1]
        if char == "" or (char == "]" and pos > start):
            break
        if char == "[" and pattern[pos + 1 : pos + 2] == ":":
            end = pattern.find(":]", pos + 2)
            named = posix_class(pattern[pos + 2 : end]) if end > 0 else None
            if named is not None:
                members |= named
                pos = end + 2
                continue
        if char == "\\" and pos + 1 < len(pattern):
            pos += 1
            char = pattern[pos]
        pos += 1
        if pattern[pos : pos + 1] == "-" and pattern[pos + 1 : pos + 2] not in ("]", ""):
            last = pos + 1 + (pattern[pos + 1] == "\\" and pos + 2 < len(pattern))
            ranges.append((char, pattern[last]))
            pos = last + 1
        else:
            members.add(char)
    if pos >= len(pattern):
        return None

    def holds(char: str) -> bool:
        return (char in members or any(low <= char <= high for low, high in ranges)) != negated

    return holds, pos + 1


@lru_cache(maxsize=1024)
def compile_glob(pattern: str, fold: bool = False) -> Glob:
    return Glob(pattern, fold=fold)


def path_parts(path: str) -> list[str]:
    """The components of a path; an absolute one begins with "/"; repeated slashes count once."""
    parts = [part for part in path.split("/") if part]
    return ["/", *parts] if path.startswith("/") else parts


def has_wildcard(part: str) -> bool:
    return any(char in part for char in "*?[\\")


@dataclass(slots=True)
class _Branch:
    ends: bool = False
    plain: dict[str, _Branch] = field(default_factory=dict)
    globs: dict[str, tuple[Glob, _Branch]] = field(default_factory=dict)


class PathPrefixes:
    """A trie of path prefixes: `/etc` matches `/etc` and `/etc/passwd`, not `/etcetera`."""

    def __init__(self, prefixes: Iterable[str]) -> None:
        self._root = _Branch()
        for prefix in prefixes:
            branch = self._root
            for part in path_parts(prefix):
                branch = _descend(branch, part)
            # An empty prefix ends at the root, which nothing asks: it must not match everything.
            branch.ends = True

    def matches(self, path: str) -> bool:
        """Whether any of the prefixes is one of this path."""
        branches = [self._root]
        for part in path_parts(path):
            following: list[_Branch] = []
            for branch in branches:
                found = branch.plain.get(part)
                if found is not None:
                    following.append(found)
                following.extend(then for glob, then in branch.globs.values() if glob.matches(part))
            if not following:
                return False
            if any(branch.ends for branch in following):
                return True
            branches = following
        return False


def _descend(branch: _Branch, part: str) -> _Branch:
    if not has_wildcard(part):
        return branch.plain.setdefault(part, _Branch())
    return branch.globs.setdefault(part, (compile_glob(part), _Branch()))[1]
