"""What a comparison means, written to be read; the compiler too uses it where a field stands on the right.

A comparison with an absent value is false, whatever the operator, `!=` too; only `not` makes it true. Of a
field with several values, one that satisfies is enough; but `!=` on both ends of a socket means that neither
is it, and `in` on a list that all of its values are in the set.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from condition.fields import FieldInfo, Kind, Many
from condition.patterns import Glob, PathPrefixes, ascii_lower
from condition.regex import compile_regex
from condition.values import Dynamic, address, from_field, is_number, number, text_of

SETS = frozenset({"in", "intersects"})
EQUAL = frozenset({"=", "=="}) | SETS
"""The operators that ask one value whether it is another. Of a set, one at a time."""
ORDER = frozenset({"<", "<=", ">", ">="})

TESTS: dict[str, Callable[[Any, Any], bool]] = {
    **dict.fromkeys(EQUAL, operator.eq),
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "contains": operator.contains,
    "bcontains": operator.contains,
    "icontains": lambda value, right: ascii_lower(right) in ascii_lower(value),
    "startswith": lambda value, right: value.startswith(right),
    "bstartswith": lambda value, right: value.startswith(right),
    "endswith": lambda value, right: value.endswith(right),
    # Not kept as compiled: here the pattern may be a field's, and as long as an attacker likes.
    "glob": lambda value, right: Glob(right).matches(value),
    "iglob": lambda value, right: Glob(right, fold=True).matches(value),
    "regex": lambda value, right: compile_regex(right).matches(value),
    "pmatch": lambda value, right: PathPrefixes([right]).matches(value),
}
"""One value, one right side."""


def compared_as(left: FieldInfo, right: FieldInfo) -> Kind:
    """The kind that decides how two fields compare."""
    return Kind.DYNAMIC if Kind.DYNAMIC in (left.kind, right.kind) else left.kind


def test(kind: Kind, op: str, value: Any, right: Any) -> bool:
    """Whether one present value satisfies the operator and one right side, typed for `kind`."""
    if kind is Kind.DYNAMIC:
        return dynamic_test(op, value, right)
    if kind is Kind.NET:
        return bool(right.holds(value)) is (op in EQUAL)
    return TESTS[op](value, right)


def dynamic_test(op: str, value: Any, right: Dynamic) -> bool:
    """Values whose type is only known now: numbers if both sides are numbers, else text.

    For the order, text that reads as a number is one: a Kubernetes audit event's response code is text.
    Equality takes it as text, so that `1e3` is not `1000` in a container's name.
    """
    mine: int | float | None = value if is_number(value) else None
    other = right.number
    if op in ORDER:
        mine = number(text_of(value)) if mine is None else mine
        other = number(right.text) if other is None else other
    if mine is not None and other is not None and (op in ORDER or op in EQUAL or op == "!="):
        return TESTS[op](mine, other)
    return TESTS[op](text_of(value), right.text)


def holds(left: FieldInfo, kind: Kind, op: str, modifier: str | None, value: Any, rights: list[Any]) -> bool:
    """Whether a field's value (None: absent) satisfies the operator and the right side.

    A modifier is short for several comparisons: anyof and oneof need one of them, allof all. An empty list is
    satisfied by nothing.
    """
    if value is None:
        return False
    if modifier is not None:
        each = [holds(left, kind, op, None, value, [right]) for right in rights]
        return bool(each) and (all(each) if modifier == "allof" else any(each))
    many, values = _values(left.many, kind, op, value)
    if kind in (Kind.IP, Kind.NET):
        values = [found for found in map(address, values) if found is not None]
    verdicts = [any(test(kind, op, one, right) for right in rights) for one in values]
    if (many is Many.LIST and op == "in") or (many is Many.PAIR and op == "!="):
        return bool(verdicts) and all(verdicts)
    return any(verdicts)


def _values(many: Many, kind: Kind, op: str, value: Any) -> tuple[Many, list[Any]]:
    """The single values in a value. In the alert dialect an array is a list for `in` and `intersects`."""
    if many is Many.ONE and kind is Kind.DYNAMIC and op in SETS and isinstance(value, list):
        many = Many.LIST
    several: Sequence[Any] = (value,) if many is Many.ONE else value
    return many, [one for one in several if one is not None]


def rights_of(left: FieldInfo, right: FieldInfo, value: Any) -> list[Any]:
    """The right side from the value of a field, typed; empty if it is absent."""
    if value is None:
        return []
    if right.many is Many.ONE:
        value = value if right.kind is Kind.DYNAMIC and isinstance(value, list) else (value,)
    typed = (from_field(one, left.kind, right.kind) for one in value if one is not None)
    return [one for one in typed if one is not None]
