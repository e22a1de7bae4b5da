"""What a condition may ask of an event: the type of each field and how its value is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol


class Kind(Enum):
    """The comparison class of a field (libsinsp/filter_compare.cpp)."""

    STRING = "string"  # str
    NUMBER = "number"  # int (signed, unsigned, errno, flags, enum, port, time in ns, duration in ns)
    BOOL = "bool"  # bool
    BYTES = "bytes"  # bytes
    IP = "ip"  # str, textual address
    NET = "net"  # str, textual address; compared with networks
    DYNAMIC = "dynamic"  # alert dialect: str | int | float | bool, numbers compare as numbers


class Many(Enum):
    """How a field with several values compares."""

    ONE = "one"  # scalar, or None when absent
    ANY = "any"  # tuple of values: a comparison holds if any of them satisfies it (proc.aname)
    PAIR = "pair"  # tuple of values: `=`/`in` if any, `!=` only if all differ (fd.ip, fd.port, fd.net)
    LIST = "list"  # list-typed: only in (all are in the set), intersects (any), exists


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A resolved field. `get(event)` gives the value, or None when it is absent.

    With several values an empty tuple is an absent field too. `names` are the words, in lower case, that
    stand for a number on the right of a NUMBER field; with names, nothing else may stand there.
    """

    name: str
    kind: Kind
    get: Callable[[Any], Any]
    many: Many = Many.ONE
    names: Mapping[str, int] | None = None


class UnknownFieldError(ValueError):
    """The field's name, or its argument, is not one that the language knows. str() says what is right."""


class Fields(Protocol):
    """The table of fields that a condition is checked and compiled against."""

    def resolve(self, name: str, arg: str | None) -> FieldInfo:
        """Raise UnknownFieldError for a name or argument that does not exist."""
        ...
