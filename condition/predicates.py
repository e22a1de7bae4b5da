"""The compiler's tests of a value against literals: everything that can be prepared is prepared once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeAlias

from condition.comparison import EQUAL, ORDER, SETS, dynamic_test, holds
from condition.fields import FieldInfo, Kind, Many
from condition.patterns import PathPrefixes, ascii_lower, compile_glob
from condition.regex import compile_regex
from condition.values import Dynamic, is_number, text_of

Predicate: TypeAlias = Callable[[Any], bool]

_INLINE = {
    "!=": "{value} != {right}",
    "contains": "{right} in {value}",
    "bcontains": "{right} in {value}",
    "startswith": "{value}.startswith({right})",
    "bstartswith": "{value}.startswith({right})",
    "endswith": "{value}.endswith({right})",
} | {op: f"{{value}} {op} {{right}}" for op in ORDER}
_CALL = "{right}({value})"
_ADDRESSES = 1024  # whose outcome one comparison remembers


def template(info: FieldInfo, op: str, rights: list[Any]) -> tuple[str, bool, Any]:
    """Python for the comparison of `{value}` with `{right}`; whether it must be guarded against None; and
    the value of `{right}`.
    """
    if info.kind in (Kind.IP, Kind.NET):
        return _CALL, True, _addressed(info, op, rights)
    plain = info.kind is not Kind.DYNAMIC
    if info.many is not Many.ONE:
        if plain and op in EQUAL and (info.many is not Many.LIST or op == "intersects"):
            return "not {right}.isdisjoint({value})", True, frozenset(rights)
        return _CALL, True, _quantified(info.many, op, predicate(info.kind, op, rights))
    if plain and op in EQUAL:
        if len(rights) == 1:
            return "{value} == {right}", False, rights[0]
        return "{value} in {right}", False, frozenset(rights)
    if plain and op in _INLINE:
        return _INLINE[op], True, rights[0]
    return _CALL, True, predicate(info.kind, op, rights)


def _addressed(info: FieldInfo, op: str, rights: list[Any]) -> Predicate:
    """Addresses are text in an event: reading one costs more than all the rest, and few are seen often."""

    @lru_cache(maxsize=_ADDRESSES)
    def test(value: Any) -> bool:
        return holds(info, info.kind, op, None, value, rights)

    return test


def _quantified(many: Many, op: str, test: Predicate) -> Predicate:
    if (many is Many.LIST and op == "in") or (many is Many.PAIR and op == "!="):

        def all_of(values: Iterable[Any]) -> bool:
            present = [value for value in values if value is not None]
            return bool(present) and all(map(test, present))

        return all_of
    return lambda values: any(test(value) for value in values if value is not None)


def predicate(kind: Kind, op: str, rights: list[Any]) -> Predicate:
    """A function of one present value that is not an address."""
    if kind is Kind.DYNAMIC:
        return _dynamic(op, rights)
    if op in EQUAL:
        return frozenset(rights).__contains__
    if op == "pmatch":
        return PathPrefixes(rights).matches
    if op in ("glob", "iglob"):
        return compile_glob(rights[0], fold=op == "iglob").matches
    if op == "regex":
        return compile_regex(rights[0]).matches
    if op == "icontains":
        lower = ascii_lower(rights[0])
        return lambda value: lower in ascii_lower(value)
    return _simple(op, rights[0])


def _simple(op: str, right: Any) -> Predicate:
    """The operators that compiled code has inline, for fields with several values."""
    if op == "!=":
        return lambda value: bool(value != right)
    if op in ("contains", "bcontains"):
        return lambda value: right in value
    if op in ("startswith", "bstartswith"):
        return lambda value: bool(value.startswith(right))
    if op == "endswith":
        return lambda value: bool(value.endswith(right))
    tests: dict[str, Predicate] = {
        "<": lambda value: bool(value < right),
        "<=": lambda value: bool(value <= right),
        ">": lambda value: bool(value > right),
        ">=": lambda value: bool(value >= right),
    }
    return tests[op]


def _dynamic(op: str, rights: list[Dynamic]) -> Predicate:
    if op in EQUAL:
        return _dynamic_member(op, rights)
    if op == "!=" or op in ORDER:
        return lambda value: dynamic_test(op, value, rights[0])
    test = predicate(Kind.STRING, op, [right.text for right in rights])
    return lambda value: test(text_of(value))


def _dynamic_member(op: str, rights: list[Dynamic]) -> Predicate:
    texts = frozenset(right.text for right in rights)
    words = frozenset(right.text for right in rights if right.number is None)
    numbers = frozenset(right.number for right in rights if right.number is not None)

    def is_one(value: Any) -> bool:
        if is_number(value):
            return value in numbers or text_of(value) in words
        return text_of(value) in texts

    if op not in SETS:
        return is_one

    def member(value: Any) -> bool:
        if not isinstance(value, list):
            return is_one(value)
        present = [one for one in value if one is not None]
        return bool(present) and (all if op == "in" else any)(map(is_one, present))

    return member
