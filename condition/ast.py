"""The abstract syntax tree of a Falco condition.

Every node is immutable and hashable, so that equal sub-conditions can be found and evaluated once.
`pos` (a 0-based character offset into the text) takes no part in equality.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the event: `proc.aname[2]` is name `proc.aname`, arg `2`; no brackets: arg None."""

    name: str
    arg: str | None = None
    pos: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return self.name if self.arg is None else f"{self.name}[{self.arg}]"


@dataclass(frozen=True, slots=True)
class Transform:
    """A transformer over its arguments: `toupper(proc.name)`, `val(proc.pname)`, `concat(a.b, "x")`.

    `args` holds fields, nested transformers and, where the grammar allows them, literal strings.
    `arg` is the optional bracket after the closing parenthesis: `getopt(proc.args, "n:")[n]`.
    """

    name: str
    args: tuple[Operand | str, ...]
    arg: str | None = None
    pos: int = field(default=0, compare=False)


Operand: TypeAlias = Field | Transform


@dataclass(frozen=True, slots=True)
class Value:
    """A literal on the right side. `quoted` tells "proc.name" (a string) from a bare proc.name."""

    text: str
    quoted: bool = field(default=False, compare=False)
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ValueList:
    """`(a, b, c)` on the right side; `()` is an empty one."""

    items: tuple[Value, ...]
    pos: int = field(default=0, compare=False)


Right: TypeAlias = Value | ValueList | Operand


@dataclass(frozen=True, slots=True)
class Exists:
    """`field exists`."""

    left: Operand
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """`left op right`; `modifier` is None or one of oneof, anyof, allof."""

    left: Operand
    op: str
    right: Right
    modifier: str | None = None
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Macro:
    """A bare identifier where a condition may stand: always the name of a macro."""

    name: str
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    child: Node
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class And:
    children: tuple[Node, ...]
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Or:
    children: tuple[Node, ...]
    pos: int = field(default=0, compare=False)


Node: TypeAlias = And | Or | Not | Macro | Exists | Compare


def walk(node: Node) -> Iterator[Node]:
    """Every node of the tree, parents before children, left to right."""
    stack: list[Node] = [node]
    while stack:
        current = stack.pop()
        yield current
        if isinstance(current, And | Or):
            stack.extend(reversed(current.children))
        elif isinstance(current, Not):
            stack.append(current.child)
