"""What is right in a condition and probably not meant: `!=` on a field that may be absent."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass

from condition.ast import (
    And,
    Compare,
    Exists,
    Field,
    Node,
    Not,
    Operand,
    Or,
    Right,
    Transform,
    Value,
    ValueList,
)


@dataclass(frozen=True, slots=True)
class Caution:
    """`pos` is a 0-based character offset into the condition's text."""

    message: str
    pos: int


def cautions(node: Node, always_there: Container[str] = ()) -> list[Caution]:
    """`field != x` is false where the field is absent; who writes it mostly wants `not field = x`.

    Nothing is said of the fields `always_there`, nor where the condition itself asks for `field exists`.
    """
    return list(_cautions(node, always_there, frozenset()))


def _cautions(node: Node, always: Container[str], asked: frozenset[Operand]) -> Iterator[Caution]:
    if isinstance(node, And):
        asked |= {child.left for child in node.children if isinstance(child, Exists)}
    if isinstance(node, And | Or):
        for child in node.children:
            yield from _cautions(child, always, asked)
    elif isinstance(node, Not):
        yield from _cautions(node.child, always, asked)
    elif isinstance(node, Compare) and node.op == "!=" and node.left not in asked:
        field = _field(node.left)
        if field is not None and field.name not in always:
            yield Caution(_message(node, field), node.pos)


def _message(node: Compare, field: Field) -> str:
    left = _operand(node.left)
    right = " ".join([*([node.modifier] if node.modifier else []), _right(node.right)])
    # Not any of them, where `!=` all of them was asked for, and the other way round.
    opposite = right if node.modifier is None else _opposite(node.modifier, node.right)
    return (
        f"`{left} != {right}` does not hold where {field} is absent; "
        f"`not {left} = {opposite}` does, and is mostly what is meant"
    )


def _opposite(modifier: str, right: Right) -> str:
    return f"{'anyof' if modifier == 'allof' else 'allof'} {_right(right)}"


def _field(operand: Operand | str) -> Field | None:
    """The first field that the operand reads."""
    if isinstance(operand, Field):
        return operand
    if isinstance(operand, Transform):
        return next((found for found in map(_field, operand.args) if found is not None), None)
    return None


def _operand(operand: Operand | str) -> str:
    if not isinstance(operand, Transform):
        return str(operand)
    return f"{operand.name}(…)" if len(operand.args) > 1 else f"{operand.name}({_operand(operand.args[0])})"


def _right(right: Right) -> str:
    if isinstance(right, Value):
        return f'"{right.text}"' if right.quoted else right.text
    if isinstance(right, ValueList):
        return f"({', '.join(map(_right, right.items))})"
    return _operand(right)
