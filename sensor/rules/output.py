"""Falco's output texts: `file=%fd.name gparent=%proc.aname[2]` (eventformatter.cpp)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from condition import ConditionError, parse
from condition.ast import Exists, Operand
from condition.fields import FieldInfo, Fields
from condition.parser import TRANSFORMERS
from condition.transform import resolve
from sensor.event import Event
from sensor.rules import known
from sensor.times import SECOND_NS, iso_8601, moment, time_of_day

NA = "<NA>"
MAX_WIDTH = 4096
MAX_TOKENS = 1000

_WIDTH = re.compile(r"[0-9]+", re.ASCII)
_ARGUMENT = re.compile(r"""\[(?:"[^"]*"|'[^']*'|[^\]"'\s]+)\]""")
_CALL = re.compile(rf"(?:{'|'.join(TRANSFORMERS)})\(")


class OutputError(ValueError):
    """What is wrong with an output text; `pos` is the offset."""

    def __init__(self, message: str, pos: int) -> None:
        super().__init__(message)
        self.pos = pos


TIMES: dict[str, Callable[[int], str]] = {
    "evt.time": time_of_day,
    "evt.time.s": lambda time_ns: f"{moment(time_ns):%H:%M:%S}",
    "evt.time.iso8601": iso_8601,
    "evt.datetime": lambda time_ns: f"{moment(time_ns):%Y-%m-%d} {time_of_day(time_ns)}",
    "evt.datetime.s": lambda time_ns: f"{moment(time_ns):%Y-%m-%d %H:%M:%S}",
    "evt.rawtime.ns": lambda time_ns: f"{time_ns % SECOND_NS:09d}",
}
"""Words in the text; in the JSON the time in nanoseconds, but for evt.rawtime.ns."""


@dataclass(frozen=True, slots=True)
class Token:
    """A field in the text. `key` is how it is written, and its name among the output fields."""

    key: str
    width: int  # 0: as it is
    get: Callable[[Event], Any]

    def text(self, event: Event, value: Any) -> str:
        words = TIMES.get(self.key)
        shown = words(event.time_ns) if words is not None else text_of(value)
        return f"{shown[: self.width]:<{self.width}}" if self.width else shown


@dataclass(frozen=True, slots=True)
class Output:
    """A text that was taken apart; `operands` are the fields that it uses."""

    pieces: tuple[str | Token, ...]
    operands: tuple[Operand, ...]

    def render(self, event: Event) -> tuple[str, dict[str, Any]]:
        """The text, and the fields by name: numbers, truth values, strings, None."""
        parts: list[str] = []
        fields: dict[str, Any] = {}
        for piece in self.pieces:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            if piece.key in fields:
                value = fields[piece.key]
            else:
                value = fields[piece.key] = json_value(piece.get(event))
            parts.append(piece.text(event, value))
        return "".join(parts), fields


def text_of(value: Any) -> str:
    """As Falco prints a value."""
    if isinstance(value, str):
        return value
    if value is None:
        return NA
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"({','.join(map(text_of, value))})"
    return str(value)


def json_value(value: Any) -> Any:
    """What JSON can hold; several values are a list, none are absent."""
    if isinstance(value, tuple | list):
        return [json_value(one) for one in value] or None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def compile_output(text: str, fields: Fields) -> Output:
    """Raises OutputError for a field that Falco does not know, in Falco's words."""
    start = 1 if text.startswith("*") else 0  # a missing value never silences an alert, with the star or not
    if len(text) == start:
        raise OutputError("empty formatting token", 0)
    pieces: list[str | Token] = []
    operands: list[Operand] = []
    while True:
        at = text.find("%", start)
        if at < 0:
            pieces.append(text[start:])
            break
        pieces.append(text[start:at])
        if text.startswith("%%", at):
            pieces.append("%")
            start = at + 2
            continue
        token, operand, start = _token(text, at, fields)
        pieces.append(token)
        operands.append(operand)
        if len(operands) > MAX_TOKENS:
            raise OutputError(f"more than {MAX_TOKENS} fields", at)
    return Output(tuple(piece for piece in pieces if piece != ""), tuple(operands))


def _token(text: str, at: int, fields: Fields) -> tuple[Token, Operand, int]:
    """The field after a percent sign, and where it ends."""
    start = at + 1
    if start == len(text):
        raise OutputError("invalid formatting syntax: formatting cannot end with a %", at)
    width = 0
    digits = _WIDTH.match(text, start)
    if digits is not None:
        start = digits.end()
        width = int(digits[0][:5])
        if start == len(text):
            raise OutputError("invalid formatting syntax: formatting cannot end with a number", at)
        if width > MAX_WIDTH:
            raise OutputError(f"a width of more than {MAX_WIDTH}", at)
    end = _call_end(text, start) if _CALL.match(text, start) else _field_end(text, start)
    if end is None:
        raise OutputError(f"invalid formatting token {text[start : start + 40]}", at)
    written = text[start:end]
    operand, info = _resolved(written, at, fields)
    return Token(written, width, _getter(written, info)), operand, end


def _getter(written: str, info: FieldInfo) -> Callable[[Event], Any]:
    if written in TIMES and written != "evt.rawtime.ns":
        return lambda event: event.time_ns
    return info.get


def _field_end(text: str, start: int) -> int | None:
    name = known.longest(text, start)
    if name is None:
        return None
    end = start + len(name)
    argument = _ARGUMENT.match(text, end)
    return argument.end() if argument is not None and known.takes_argument(name) else end


def _call_end(text: str, start: int) -> int | None:
    """Where the parenthesis that was opened first is closed."""
    depth, quote = 0, ""
    for at in range(start, min(len(text), start + MAX_WIDTH)):
        char = text[at]
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                argument = _ARGUMENT.match(text, at + 1)
                return argument.end() if argument is not None else at + 1
    return None


def _resolved(written: str, at: int, fields: Fields) -> tuple[Operand, FieldInfo]:
    try:
        node = parse(f"{written} exists")
        if not isinstance(node, Exists):
            raise OutputError(f"invalid formatting token {written}", at)
        return node.left, resolve(node.left, fields)
    except ConditionError as error:
        raise OutputError(f"invalid formatting token {written}: {error.message}", at) from None
