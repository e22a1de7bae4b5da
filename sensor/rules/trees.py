"""What a condition's tree reads and compares with."""

from __future__ import annotations

from condition.ast import Compare, Exists, Field, Node, Operand, Value, ValueList


def fields_of(operand: Operand) -> list[Field]:
    """The fields that an operand reads, transformers looked through."""
    found: list[Field] = []
    todo: list[Operand] = [operand]
    while todo:
        one = todo.pop()
        if isinstance(one, Field):
            found.append(one)
        else:
            todo.extend(arg for arg in one.args if not isinstance(arg, str))
    return found


def operands(node: Node) -> list[Operand]:
    """The fields of one check, on both sides; of any other node none."""
    if isinstance(node, Exists):
        return [node.left]
    if isinstance(node, Compare):
        right = node.right
        return [node.left] if isinstance(right, Value | ValueList) else [node.left, right]
    return []


def values(node: Compare) -> tuple[Value, ...]:
    """The literals on the right."""
    if isinstance(node.right, Value):
        return (node.right,)
    return node.right.items if isinstance(node.right, ValueList) else ()
