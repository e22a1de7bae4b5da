"""The interpreter: the tree, evaluated as it stands. Slow and plain; the compiler is tested against it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from condition.ast import And, Compare, Exists, Macro, Node, Not, Or, Value, ValueList
from condition.check import check, literals
from condition.comparison import compared_as, holds, rights_of
from condition.fields import Fields, Many
from condition.transform import resolve


def interpret(node: Node, fields: Fields) -> Callable[[Any], bool]:
    """A function of an event that says whether the condition holds. Raises ConditionError at once."""
    check(node, fields)
    return lambda event: _evaluate(node, fields, event)


def _evaluate(node: Node, fields: Fields, event: Any) -> bool:
    if isinstance(node, And):
        return all(_evaluate(child, fields, event) for child in node.children)
    if isinstance(node, Or):
        return any(_evaluate(child, fields, event) for child in node.children)
    if isinstance(node, Not):
        return not _evaluate(node.child, fields, event)
    if isinstance(node, Exists):
        info = resolve(node.left, fields)
        value = info.get(event)
        return value is not None and (info.many is Many.ONE or len(value) > 0)
    assert not isinstance(node, Macro)
    return _compare(node, fields, event)


def _compare(node: Compare, fields: Fields, event: Any) -> bool:
    left = resolve(node.left, fields)
    value = left.get(event)
    if isinstance(node.right, Value | ValueList):
        return holds(left, left.kind, node.op, node.modifier, value, literals(node, left))
    right = resolve(node.right, fields)
    rights = rights_of(left, right, right.get(event))
    return holds(left, compared_as(left, right), node.op, node.modifier, value, rights)
