"""What is left of a condition when the value of one field is known: how rules are sorted by event type."""

from __future__ import annotations

from typing import Any

from condition.ast import And, Compare, Exists, Field, Node, Not, Or, Value, ValueList
from condition.check import literals
from condition.comparison import holds
from condition.fields import FieldInfo, Fields, Many

ALWAYS = And(())
"""The condition that always holds."""
NEVER = Or(())
"""The condition that never holds."""


def assume(node: Node, fields: Fields, name: str, value: Any) -> Node:
    """The condition for events whose field `name` has this value (None: is absent).

    Checks of that field against literals are decided, and with them all that depends on nothing else: NEVER
    means that no such event fulfils it. The tree must have passed `check`. Raises UnknownFieldError.
    """
    return _assume(node, fields.resolve(name, None), Field(name), value)


def _assume(node: Node, info: FieldInfo, field: Field, value: Any) -> Node:
    if isinstance(node, Not):
        child = _assume(node.child, info, field, value)
        if child in (ALWAYS, NEVER):
            return NEVER if child == ALWAYS else ALWAYS
        return Not(child, node.pos)
    if isinstance(node, And | Or):
        return _assume_all(node, info, field, value)
    if isinstance(node, Exists) and node.left == field:
        there = value is not None and (info.many is Many.ONE or len(value) > 0)
        return ALWAYS if there else NEVER
    if isinstance(node, Compare) and node.left == field and isinstance(node.right, Value | ValueList):
        rights = literals(node, info)
        return ALWAYS if holds(info, info.kind, node.op, node.modifier, value, rights) else NEVER
    return node


def _assume_all(node: And | Or, info: FieldInfo, field: Field, value: Any) -> Node:
    kind = type(node)
    neutral, deciding = (ALWAYS, NEVER) if kind is And else (NEVER, ALWAYS)
    children: list[Node] = []
    for child in node.children:
        left = _assume(child, info, field, value)
        if left == deciding:
            return deciding
        if left != neutral:
            children.append(left)
    if not children:
        return neutral
    return children[0] if len(children) == 1 else kind(tuple(children), node.pos)
