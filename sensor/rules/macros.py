"""Macros: trees that are put into trees (filter_macro_resolver.cpp)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from condition import ConditionError
from condition.ast import And, Compare, Exists, Macro, Node, Not, Or
from condition.parser import MAX_DEPTH

MAX_NODES = 50_000
"""Of a condition with its macros: each macro can use the one before twice."""

MAX_TREE_DEPTH = MAX_DEPTH

LookUp: TypeAlias = Callable[[Macro], "Expanded"]


class Expanded:
    """A tree without macros: how many nodes and how deep it is, and the macros that were put into it."""

    __slots__ = ("depth", "macros", "node", "size")

    def __init__(self, node: Node, size: int, depth: int, macros: frozenset[str]) -> None:
        self.node = node
        self.size = size
        self.depth = depth
        self.macros = macros


def expand(node: Node, look_up: LookUp) -> Expanded:
    """Put the macros in. `look_up` gives a macro's tree or raises. ConditionError: it gets too large."""
    if isinstance(node, Macro):
        found = look_up(node)
        return Expanded(found.node, found.size, found.depth, found.macros | {node.name})
    if isinstance(node, Compare | Exists):
        return Expanded(node, 1, 1, frozenset())
    children = [
        expand(child, look_up) for child in ([node.child] if isinstance(node, Not) else node.children)
    ]
    size = 1 + sum(child.size for child in children)
    depth = 1 + max(child.depth for child in children)
    if size > MAX_NODES or depth > MAX_TREE_DEPTH:
        raise ConditionError("the condition is too large with its macros", node.pos)
    macros = frozenset().union(*(child.macros for child in children))
    return Expanded(_rebuilt(node, [child.node for child in children]), size, depth, macros)


def _rebuilt(node: And | Or | Not, children: list[Node]) -> Node:
    if isinstance(node, Not):
        return Not(children[0], node.pos)
    return type(node)(tuple(children), node.pos)
