"""The transformers: tolower, toupper, b64, basename, len, join, concat, getopt, and val on the right.

A transformer of an absent value is absent. One of a field with several values is applied to each of them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, TypeAlias

from condition.ast import Operand, Transform
from condition.errors import ConditionError
from condition.fields import FieldInfo, Fields, Kind, Many, UnknownFieldError
from condition.patterns import ascii_lower, ascii_upper
from condition.values import text_of, to_bytes

Getter: TypeAlias = Callable[[Any], Any]


def resolve(operand: Operand, fields: Fields) -> FieldInfo:
    """What a field or a transformer over fields gives. Raises ConditionError."""
    if isinstance(operand, Transform):
        return _transformed(operand, fields)
    try:
        return fields.resolve(operand.name, operand.arg)
    except UnknownFieldError as error:
        raise ConditionError(str(error), operand.pos) from None


def _basename(path: str) -> str:
    """What stands after the last slash, as libsinsp has it."""
    return path.rpartition("/")[2]


def _b64(value: Any) -> str:
    data = value if isinstance(value, bytes) else to_bytes(text_of(value))
    return base64.b64encode(data).decode("ascii")


_EACH: dict[str, Callable[[Any], Any]] = {
    "tolower": lambda value: ascii_lower(text_of(value)),
    "toupper": lambda value: ascii_upper(text_of(value)),
    "basename": lambda value: _basename(text_of(value)),
    "b64": _b64,
}
_TAKES = {
    "tolower": (Kind.STRING, Kind.DYNAMIC),
    "toupper": (Kind.STRING, Kind.DYNAMIC),
    "basename": (Kind.STRING, Kind.DYNAMIC),
    "b64": (Kind.STRING, Kind.BYTES, Kind.DYNAMIC),
    "len": (Kind.STRING, Kind.BYTES, Kind.DYNAMIC),
    "getopt": (Kind.STRING, Kind.DYNAMIC),
}


def _transformed(node: Transform, fields: Fields) -> FieldInfo:
    name = node.name
    if node.arg is not None and name != "getopt":
        raise ConditionError(f"{name}(…) takes no argument in brackets, only getopt does", node.pos)
    if name in ("join", "concat"):
        separator = str(node.args[0]) if name == "join" else ""
        return _joined(name, separator, node.args[1:] if name == "join" else node.args, fields)
    operand = node.args[0]
    assert not isinstance(operand, str)
    inner = resolve(operand, fields)
    if name == "val":
        return inner
    if inner.kind not in _TAKES[name] and not (name == "len" and inner.many is Many.LIST):
        kinds = " or ".join(kind.value for kind in _TAKES[name] if kind is not Kind.DYNAMIC)
        raise ConditionError(f"{name} takes a {kinds}, {inner.name} is a {inner.kind.value}", node.pos)
    if name == "getopt":
        return _getopt(inner, str(node.args[1]), node)
    called = f"{name}({inner.name})"
    if name == "len":
        return _length(called, inner)
    return FieldInfo(called, Kind.STRING, _map(inner, _EACH[name]), inner.many)


def _map(inner: FieldInfo, apply: Callable[[Any], Any]) -> Getter:
    get = inner.get

    def one(event: Any) -> Any:
        value = get(event)
        return None if value is None else apply(value)

    def several(event: Any) -> Any:
        values = get(event)
        return None if values is None else tuple(apply(value) for value in values)

    return one if inner.many is Many.ONE else several


def _length(called: str, inner: FieldInfo) -> FieldInfo:
    """Characters of a string, bytes of a buffer; of a list, how many values it has."""

    def size(value: Any) -> int:
        return len(value) if isinstance(value, bytes) else len(text_of(value))

    if inner.many is not Many.LIST:
        return FieldInfo(called, Kind.NUMBER, _map(inner, size), inner.many)
    get = inner.get

    def count(event: Any) -> int | None:
        values = get(event)
        return None if values is None else len(values)

    return FieldInfo(called, Kind.NUMBER, count)


def _joined(name: str, separator: str, args: tuple[Operand | str, ...], fields: Fields) -> FieldInfo:
    """The texts of all values in a row; absent if any of them is absent."""
    parts = [arg if isinstance(arg, str) else resolve(arg, fields) for arg in args]

    def get(event: Any) -> str | None:
        texts: list[str] = []
        for part in parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            value = part.get(event)
            if value is None:
                return None
            texts.extend([text_of(value)] if part.many is Many.ONE else map(text_of, value))
        return separator.join(texts)

    return FieldInfo(f"{name}(…)", Kind.STRING, get)


def _getopt(inner: FieldInfo, known: str, node: Transform) -> FieldInfo:
    """`getopt(proc.args, "nt:")` lists the options that are there; `[t]` gives the value of one."""
    letters = known.replace(":", "")
    if inner.many is not Many.ONE or not letters.isalnum() or known.startswith(":"):
        raise ConditionError('getopt takes one string and the letters of the options: "nt:"', node.pos)
    called, get, wanted = f"getopt({inner.name})", inner.get, node.arg
    if wanted is None:

        def names(event: Any) -> tuple[str, ...] | None:
            value = get(event)
            return None if value is None else tuple(options(text_of(value), known))

        return FieldInfo(called, Kind.STRING, names, Many.LIST)
    if len(wanted) != 1 or wanted not in letters:
        raise ConditionError(f"getopt: '{wanted}' is not one of the options {known}", node.pos)

    def one(event: Any) -> str | None:
        value = get(event)
        return None if value is None else options(text_of(value), known).get(wanted)

    return FieldInfo(called, Kind.STRING, one)


def options(args: str, known: str) -> dict[str, str]:
    """The options in a command's arguments as getopt(3) finds them, the last of equal ones; flags have "".

    It ends at the first argument that is not an option, and at `--`.
    """
    found: dict[str, str] = {}
    words = iter(args.split())
    for word in words:
        if not word.startswith("-") or word in ("-", "--"):
            break
        at = 1
        while at < len(word):
            letter, at = word[at], at + 1
            place = -1 if letter == ":" else known.find(letter)
            if place < 0:
                continue
            if known[place + 1 : place + 2] != ":":
                found[letter] = ""
                continue
            value = word[at:] or next(words, None)
            if value is not None:
                found[letter] = value
            break
    return found
