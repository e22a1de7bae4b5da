"""Types: does each operator fit its field, and each literal; everything that compiling relies on."""

from __future__ import annotations

from typing import Any

from condition.ast import And, Compare, Exists, Macro, Node, Not, Or, Transform, Value, ValueList
from condition.errors import ConditionError
from condition.fields import FieldInfo, Fields, Kind, Many
from condition.regex import RegexError, compile_regex
from condition.transform import resolve
from condition.values import literal

MAX_TREE_DEPTH = 150
"""Levels of and, or, not in a tree: macros make trees deeper than any text, and what walks them recurses."""

_SETS = frozenset({"in", "intersects"})
_EQUAL = frozenset({"=", "==", "!="})
_ORDER = frozenset({"<", "<=", ">", ">="})
_STRINGS = (
    _EQUAL
    | _ORDER
    | _SETS
    | {"contains", "icontains", "startswith", "endswith", "glob", "iglob", "regex", "pmatch"}
)
OPERATORS: dict[Kind, frozenset[str]] = {
    Kind.STRING: _STRINGS,
    Kind.NUMBER: _EQUAL | _ORDER | _SETS,
    Kind.BOOL: _EQUAL | _SETS,
    Kind.BYTES: _EQUAL
    | {"contains", "in", "startswith", "endswith", "intersects", "bcontains", "bstartswith"},
    Kind.IP: _EQUAL | _SETS,
    Kind.NET: _EQUAL | _SETS,
    Kind.DYNAMIC: _STRINGS,
}
"""libsinsp/filter_compare.cpp; `exists` fits every field."""


def check(node: Node, fields: Fields, text: str | None = None) -> None:
    """Raise ConditionError for the first thing that is wrong with the tree, and nothing else.

    With the `text` that the tree was parsed from, the error has its line and column.
    """
    try:
        _check_depth(node)
        _check_node(node, fields)
    except ConditionError as error:
        raise (error if text is None else error.within(text)) from None


def _check_depth(root: Node) -> None:
    todo: list[tuple[Node, int]] = [(root, 1)]
    while todo:
        node, depth = todo.pop()
        if depth > MAX_TREE_DEPTH:
            raise ConditionError(f"nested too deeply: more than {MAX_TREE_DEPTH} levels", node.pos)
        if isinstance(node, And | Or):
            todo.extend((child, depth + 1) for child in node.children)
        elif isinstance(node, Not):
            todo.append((node.child, depth + 1))


def _check_node(node: Node, fields: Fields) -> None:
    if isinstance(node, And | Or):
        for child in node.children:
            _check_node(child, fields)
    elif isinstance(node, Not):
        _check_node(node.child, fields)
    elif isinstance(node, Macro):
        raise ConditionError(f"undefined macro '{node.name}' used in filter", node.pos)
    elif isinstance(node, Exists):
        resolve(node.left, fields)
    else:
        _check_compare(node, fields)


def _check_compare(node: Compare, fields: Fields) -> None:
    left = resolve(node.left, fields)
    allowed = _SETS if left.many is Many.LIST else OPERATORS[left.kind]
    if node.op not in allowed:
        what = "lists" if left.many is Many.LIST else f"fields of the kind {left.kind.value}"
        raise ConditionError(
            f"'{node.op}' operator not supported for {what}, as {left.name} is one; "
            f"supported: exists, {', '.join(sorted(allowed))}",
            node.pos,
        )
    if isinstance(node.right, Value | ValueList):
        literals(node, left)
        return
    if node.op == "regex":
        raise ConditionError("regex takes its pattern as a literal", node.pos)
    right = resolve(node.right, fields)
    if Kind.DYNAMIC not in (left.kind, right.kind) and left.kind is not right.kind:
        called = node.right.name if isinstance(node.right, Transform) else "field"
        raise ConditionError(
            f"{left.name} is a {left.kind.value} and cannot be compared with the {called} on the right, "
            f"which is a {right.kind.value}",
            node.pos,
        )
    if right.many is not Many.ONE and node.op not in _SETS | {"pmatch"} and node.modifier is None:
        raise ConditionError(
            f"{right.name} has several values: compare with it by in or intersects, or {node.op} anyof",
            node.pos,
        )


def literals(node: Compare, left: FieldInfo) -> list[Any]:
    """The literals on the right, typed. Raises ConditionError where one does not fit."""
    assert isinstance(node.right, Value | ValueList)
    values = node.right.items if isinstance(node.right, ValueList) else (node.right,)
    typed = []
    for value in values:
        try:
            typed.append(literal(value.text, node.op, left))
            if node.op == "regex":
                compile_regex(value.text)
        except RegexError as error:
            raise ConditionError(f"bad regular expression: {error}", value.pos) from None
        except ValueError as error:
            raise ConditionError(str(error), value.pos) from None
    return typed
