"""Regular expressions in linear time.

Falco matches with RE2 so that no text, which an attacker may write, can make a match slow. Python's `re`
backtracks, so patterns run here as automata: Thompson's construction, and a deterministic automaton that is
made while it is used and is thrown away when it grows large. A step costs at most MAX_STATES.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from condition.regex_syntax import (
    Anchor,
    Char,
    Choice,
    Predicate,
    RegexError,
    Repeat,
    Sequence,
    Tree,
    parse_regex,
)

__all__ = ["Regex", "RegexError", "compile_regex"]

MAX_STATES = 2000
MAX_TEXT = 65536
"""Characters of a text that take part: of a longer one, its beginning is matched."""
_MAX_CACHED = 5000  # transitions


@dataclass(slots=True)
class _State:
    """Of the non-deterministic automaton: one of a test with one way out, an anchor, or a fork."""

    test: Predicate | None = None
    anchor: Anchor | None = None
    out: list[int] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Node:
    """Of the deterministic automaton: the set of states it stands for."""

    states: frozenset[int]
    accepts: bool
    next: dict[str, _Node] = field(default_factory=dict)


class Regex:
    """A compiled pattern; `matches` is RE2's FullMatch."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._states: list[_State] = []
        self._final = self._add(_State())
        start = self._build(parse_regex(pattern), self._final)
        self._cached = 0
        self._nodes: dict[frozenset[int], _Node] = {}
        self._start = self._node(self._closure({start}, begin=True))

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        node = self._start
        for char in text[:MAX_TEXT]:
            following = node.next.get(char)
            if following is None:
                following = self._step(node, char)
            if not following.states:
                return False
            node = following
        return node.accepts

    def _step(self, node: _Node, char: str) -> _Node:
        reached = set()
        for number in node.states:
            state = self._states[number]
            if state.test is not None and state.test(char):
                reached.add(state.out[0])
        if self._cached >= _MAX_CACHED:
            for old in (*self._nodes.values(), self._start):
                old.next.clear()
            self._nodes.clear()
            self._cached = 0
        following = self._node(self._closure(reached, begin=False))
        node.next[char] = following
        self._cached += 1
        return following

    def _node(self, states: frozenset[int]) -> _Node:
        node = self._nodes.get(states)
        if node is None:
            accepts = self._final in self._closure(set(states), begin=False, end=True)
            node = self._nodes[states] = _Node(states, accepts)
        return node

    def _closure(self, numbers: set[int], *, begin: bool, end: bool = False) -> frozenset[int]:
        """What is reached without a character; anchors let pass only at the beginning, or at the end."""
        seen: set[int] = set()
        todo = list(numbers)
        while todo:
            number = todo.pop()
            if number in seen:
                continue
            seen.add(number)
            state = self._states[number]
            if state.test is not None:
                continue
            if state.anchor is None or (end if state.anchor.end else begin):
                todo.extend(state.out)
        return frozenset(seen)

    def _add(self, state: _State) -> int:
        if len(self._states) >= MAX_STATES:
            raise RegexError("the pattern is too large", 0)
        self._states.append(state)
        return len(self._states) - 1

    def _build(self, tree: Tree, then: int) -> int:
        """Add the states of the tree, which lead to `then`; the number of the first."""
        if isinstance(tree, Char):
            return self._add(_State(test=tree.test, out=[then]))
        if isinstance(tree, Anchor):
            return self._add(_State(anchor=tree, out=[then]))
        if isinstance(tree, Sequence):
            for part in reversed(tree.parts):
                then = self._build(part, then)
            return then
        if isinstance(tree, Choice):
            return self._add(_State(out=[self._build(option, then) for option in tree.options]))
        return self._repeat(tree, then)

    def _repeat(self, tree: Repeat, then: int) -> int:
        if tree.most is None:
            loop = self._add(_State())
            self._states[loop].out = [self._build(tree.part, loop), then]
            then = loop
        else:
            end = then
            for _ in range(tree.most - tree.least):
                then = self._add(_State(out=[self._build(tree.part, then), end]))
        for _ in range(tree.least):
            then = self._build(tree.part, then)
        return then


@lru_cache(maxsize=256)
def compile_regex(pattern: str) -> Regex:
    """Raises RegexError."""
    return Regex(pattern)
