"""Which types of event a condition can be true for: what leaves the kernel, and which rules are asked.

For every part of a condition two sets are known: the types for which it can be true, and those for which it
can be false. `not` swaps them. What does not speak of evt.type can be both, for every type.
"""

from __future__ import annotations

from dataclasses import dataclass

from condition import ConditionError
from condition.ast import And, Compare, Exists, Field, Node, Not, Or, Value, ValueList, walk
from sensor.rules.event_names import EVENT_NAMES

TOO_MANY = 100
"""A rule for more types than this is warned of, as in Falco."""

_ALL = EVENT_NAMES
_NONE: frozenset[str] = frozenset()
_OPERATORS = ("=", "==", "!=", "in", "intersects")


@dataclass(frozen=True, slots=True)
class _Types:
    true: frozenset[str]
    false: frozenset[str]


_ANY = _Types(_ALL, _ALL)


def event_types(node: Node) -> frozenset[str]:
    """The types for which the condition (macros expanded) can be true."""
    return _types(node).true


def _types(node: Node) -> _Types:
    if isinstance(node, Not):
        child = _types(node.child)
        return _Types(child.false, child.true)
    if isinstance(node, And | Or):
        parts = [_types(child) for child in node.children]
        true, false = [part.true for part in parts], [part.false for part in parts]
        if isinstance(node, And):
            return _Types(frozenset.intersection(*true), frozenset.union(*false))
        return _Types(frozenset.union(*true), frozenset.intersection(*false))
    if isinstance(node, Exists):
        return _Types(_ALL, _NONE) if _is_type(node.left) else _ANY
    if isinstance(node, Compare):
        return _compared(node)
    return _ANY


def _compared(node: Compare) -> _Types:
    names = _named(node)
    if names is not None:
        others = _ALL - names
        return _Types(others, names) if node.op == "!=" else _Types(names & _ALL, others)
    if _is_never(node):
        return _Types(_NONE, _ALL)
    return _ANY


def _is_type(left: object) -> bool:
    return isinstance(left, Field) and left.name == "evt.type" and left.arg is None


def _named(node: Compare) -> frozenset[str] | None:
    """The types on the right of a comparison of evt.type; None for any other comparison."""
    if not _is_type(node.left) or node.op not in _OPERATORS or node.modifier is not None:
        return None
    if isinstance(node.right, ValueList):
        return frozenset(value.text for value in node.right.items)
    return frozenset({node.right.text}) if isinstance(node.right, Value) else None


def _is_never(node: Compare) -> bool:
    """`evt.num = 0`: numbers begin at 1, and so rule files write what is never true."""
    left, right = node.left, node.right
    if not isinstance(left, Field) or left.name != "evt.num" or not isinstance(right, Value):
        return False
    return node.op in ("=", "==") and node.modifier is None and right.text in ("0", "0x0")


def check_names(node: Node) -> None:
    """Raise ConditionError for a type of event that does not exist."""
    for part in walk(node):
        names = _named(part) if isinstance(part, Compare) else None
        unknown = sorted((names or _NONE) - _ALL)
        if unknown:
            raise ConditionError(f"unknown event type {unknown[0]}", part.pos)
