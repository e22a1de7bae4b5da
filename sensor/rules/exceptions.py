"""Exceptions: checked when they are defined, then written into the condition as text, as Falco does."""

from __future__ import annotations

from condition import ConditionError, parse
from condition.ast import Exists
from condition.parser import LISTS, MODIFIERS, OPERATORS, STRING
from sensor.rules.known import is_known
from sensor.rules.model import Entry, RuleException
from sensor.rules.problems import Context, ItemError
from sensor.rules.trees import fields_of

_SCALAR_COMPS = ("in", "pmatch", "intersects")


def check_exception(one: RuleException, *, known_source: bool) -> None:
    """Fill in the comparisons that were left out. Raises ItemError for what does not fit."""
    if isinstance(one.fields, list):
        _check_list(one)
    else:
        _check_scalar(one)
    if not known_source:
        return
    for field in one.fields if isinstance(one.fields, list) else [one.fields]:
        if not isinstance(field, str) or not _is_field(field):
            raise _wrong(f"'{_shown(field)}' is not a supported filter field", one.context)


def _check_list(one: RuleException) -> None:
    assert isinstance(one.fields, list)
    if one.comps is None:
        one.comps = ["="] * len(one.fields)
    if not isinstance(one.comps, list) or len(one.comps) != len(one.fields):
        raise _wrong("Fields and comps lists must have equal length", one.context)
    comps: list[Entry] = []
    for comp in one.comps:
        text = " ".join(comp.split()) if isinstance(comp, str) else ""
        if text not in OPERATORS and not _is_modified(text):
            raise _wrong(f"'{text or _shown(comp)}' is not a supported comparison operator", one.context)
        comps.append(text)
    one.comps = comps
    for row in one.values:
        if not isinstance(row, list) or len(row) != len(one.fields):
            raise _wrong("Fields and values lists must have equal length", one.context)


def _check_scalar(one: RuleException) -> None:
    if one.comps is None:
        one.comps = "in"
    if not isinstance(one.comps, str):
        raise _wrong("Fields and comps must both be strings", one.context)
    one.comps = " ".join(one.comps.split())
    if one.comps not in _SCALAR_COMPS and not _is_modified(one.comps):
        raise _wrong(
            "When fields is a single value, comps must be one of (in, pmatch, intersects) "
            "or a modifier operator (e.g. startswith oneof)",
            one.context,
        )


def _is_modified(comp: str) -> bool:
    operator, _, modifier = comp.rpartition(" ")
    return operator in STRING and modifier in MODIFIERS


def _is_field(text: str) -> bool:
    try:
        node = parse(f"{text} exists")
    except ConditionError:
        return False
    return isinstance(node, Exists) and all(is_known(field) for field in fields_of(node.left))


def _wrong(message: str, context: Context) -> ItemError:
    return ItemError("LOAD_ERR_VALIDATE", message, context)


def _shown(entry: Entry | None) -> str:
    return entry if isinstance(entry, str) else f"({', '.join(map(_shown, entry or []))})"


def with_exceptions(condition: str, exceptions: list[RuleException]) -> str:
    """`(condition) and not (exception) and not …`; without exceptions the condition itself."""
    if not exceptions:
        return condition
    parts = [f"({condition})"]
    parts.extend(text for text in map(_text, exceptions) if text)
    return " and not ".join(parts)


def _text(one: RuleException) -> str:
    if not one.values:
        return ""
    if isinstance(one.fields, list):
        return f"({' or '.join(_row(one, row) for row in one.values)})"
    if any(isinstance(value, list) for value in one.values):
        one_value = "Expected values array to contain a list of strings"
        raise _wrong(one_value, one.context)
    values = ", ".join(quoted(value) for value in one.values if isinstance(value, str))
    return f"({one.fields} {one.comps} ({values}))"


def _row(one: RuleException, row: Entry) -> str:
    if not isinstance(row, list) or not isinstance(one.fields, list) or len(row) != len(one.fields):
        raise _wrong("Fields and values lists must have equal length", one.context)
    assert isinstance(one.comps, list)
    checks = [
        f"{field} {comp} {_right(str(comp), value)}"
        for field, comp, value in zip(one.fields, one.comps, row, strict=True)
    ]
    return f"({' and '.join(checks)})"


def _right(comp: str, value: Entry) -> str:
    if isinstance(value, list):
        return f"({', '.join(quoted(_shown(one)) for one in value)})"
    if comp in LISTS or _is_modified(comp):
        return value if value.startswith("(") else f"({value})"
    return quoted(value)


def quoted(item: str) -> str:
    """With double quotes around if it has a blank and no quotes yet."""
    return f'"{item}"' if " " in item and item[0] not in "\"'" else item
