"""What one field of the sensor is: its kind and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from condition.fields import Kind, Many, UnknownFieldError
from sensor.event import Event

Getter: TypeAlias = Callable[[Event], Any]
Maker: TypeAlias = Callable[[str | None], tuple[Getter, Many | None]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A field without an argument; or, if `make` is there, one whose getter depends on the argument."""

    kind: Kind
    get: Getter | None = None
    many: Many = Many.ONE
    make: Maker | None = None


def with_argument(kind: Kind, make: Maker) -> Entry:
    """A field that takes an argument. `make` raises UnknownFieldError for one that is not right."""
    return Entry(kind, make=make)


def number(name: str, arg: str) -> int:
    """An argument that is a level: proc.aname[2]."""
    if not (arg.isascii() and arg.isdecimal() and len(arg) <= 4):
        raise UnknownFieldError(f"{name}[{arg}]: the argument must be a number, 0 for the process itself")
    return int(arg)
