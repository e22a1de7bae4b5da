"""A table of fields with one field of each kind and number of values, and random conditions over it, as text.

An event is a dictionary; what is not in it is absent.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

from hypothesis import strategies as st

from condition import FieldInfo, Kind, Many, UnknownFieldError
from condition.check import OPERATORS

URGENCY = {"low": 1, "middle": 2, "high": 3}


class Event(dict[str, Any]):
    """Counts how often each field was asked for."""

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self.asked: Counter[str] = Counter()

    def value(self, name: str) -> Any:
        self.asked[name] += 1
        return self.get(name)


def _info(name: str, kind: Kind, many: Many = Many.ONE, **more: Any) -> FieldInfo:
    return FieldInfo(name, kind, lambda event: event.value(name), many, **more)


FIELDS = {
    info.name: info
    for info in (
        _info("s.one", Kind.STRING),
        _info("s.two", Kind.STRING),
        _info("s.any", Kind.STRING, Many.ANY),
        _info("s.pair", Kind.STRING, Many.PAIR),
        _info("s.list", Kind.STRING, Many.LIST),
        _info("n.one", Kind.NUMBER),
        _info("n.two", Kind.NUMBER),
        _info("n.any", Kind.NUMBER, Many.ANY),
        _info("n.pair", Kind.NUMBER, Many.PAIR),
        _info("n.list", Kind.NUMBER, Many.LIST),
        _info("n.named", Kind.NUMBER, names=URGENCY),
        _info("b.one", Kind.BOOL),
        _info("y.one", Kind.BYTES),
        _info("ip.one", Kind.IP),
        _info("ip.pair", Kind.IP, Many.PAIR),
        _info("net.one", Kind.NET),
        _info("net.pair", Kind.NET, Many.PAIR),
        _info("d.one", Kind.DYNAMIC),
        _info("d.two", Kind.DYNAMIC),
    )
}


class Table:
    """Implements condition.Fields."""

    def resolve(self, name: str, arg: str | None) -> FieldInfo:
        if name not in FIELDS:
            raise UnknownFieldError(f"no field {name}")
        if arg is not None:
            raise UnknownFieldError(f"{name} takes no argument")
        return FIELDS[name]


# Values: few, so that comparisons hold often.

_TEXTS = ["", "a", "b", "ab", "A", "/a", "/a/b", "a b", "10", "9", "a.b", "{0}", "*"]
_INTEGERS = [-1, 0, 1, 2, 3, 10, 2**64]
_ADDRESSES = ["10.0.0.1", "10.0.0.2", "192.168.1.1", "::1", "2001:db8::5", "::ffff:10.0.0.1", "bad"]
_ODD: list[Any] = [
    True,
    False,
    0.5,
    1.0,
    1e30,
    math.nan,
    math.inf,
    [],
    ["a"],
    ["a", 1, None],
    [2, "b"],
    {"a": [1]},
]
_POOLS: dict[Kind, list[Any]] = {
    Kind.STRING: _TEXTS,
    Kind.NUMBER: _INTEGERS,
    Kind.BOOL: [True, False],
    Kind.BYTES: [b"", b"a", b"ab", b"\xca\xfe", b"\xca\xfe\xba"],
    Kind.IP: _ADDRESSES,
    Kind.NET: _ADDRESSES,
    Kind.DYNAMIC: [*_TEXTS, *_INTEGERS, *_ODD],
}


def _event(seed: int) -> Event:
    """Each field is there or not, or is None, which is absent too."""
    chance = random.Random(seed)
    found = Event()
    for name, info in FIELDS.items():
        pool = _POOLS[info.kind]
        if info.many is Many.ONE:
            value = chance.choice(pool)
        else:
            value = tuple(chance.choice([*pool, None]) for _ in range(chance.choice([0, 1, 2, 2, 3])))
        kept = chance.random()
        if kept < 0.8:
            found[name] = value if kept > 0.1 else None
    return found


def events() -> st.SearchStrategy[Event]:
    """Random events; of one draw each, for speed."""
    return st.integers(0, 2**32).map(_event)


# Conditions


def quoted(text: str) -> str:
    """As a literal of the language. Falco's grammar has none for text that ends with a backslash."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


_NUMERALS = st.sampled_from(["-1", "0", "1", "2", "3", "10", "0x2", "1.0", "18446744073709551616"])
_PATTERNS = {
    "glob": st.sampled_from(["*", "a*", "?", "[ab]*", "/*/b", ""]),
    "iglob": st.sampled_from(["*", "A*", "?", "[AB]*", ""]),
    "regex": st.sampled_from([".*", "a.*", "[ab]+", "(?i)A", "a|b", ""]),
    "pmatch": st.sampled_from(["/a", "/a/b", "/", "a", "/*", ""]),
}


def _literals(info: FieldInfo, op: str) -> st.SearchStrategy[str]:
    if op in _PATTERNS:
        return _PATTERNS[op].map(quoted)
    if info.names:
        return st.sampled_from([*info.names, "HIGH"])
    by_kind = {
        Kind.NUMBER: _NUMERALS,
        Kind.BOOL: st.sampled_from(["true", "false"]),
        Kind.BYTES: st.sampled_from(["cafe", "61", "ba"] if op.startswith("b") else ["a", "b", "ab"]),
        Kind.IP: st.sampled_from(["10.0.0.1", "::1", "::ffff:10.0.0.2", "8.8.8.8"]),
        Kind.NET: st.sampled_from(["10.0.0.0/8", "10.0.0.1", "192.168.0.0/16", "2001:db8::/32", "0.0.0.0/0"]),
        Kind.DYNAMIC: st.one_of(
            _NUMERALS, st.sampled_from(_TEXTS).map(quoted), st.sampled_from(["true", "0.5", "nan"])
        ),
    }
    return by_kind.get(info.kind, st.sampled_from(_TEXTS).map(quoted))


_STRING_LEFTS = ["tolower({})", "toupper({})", "basename({})", "b64({})"]


@st.composite
def _lefts(draw: st.DrawFn) -> tuple[str, FieldInfo]:
    """A field, or a transformer of one."""
    info = draw(st.sampled_from(list(FIELDS.values())))
    if info.kind is not Kind.STRING or draw(st.integers(0, 3)):
        return info.name, info
    form = draw(st.sampled_from([*_STRING_LEFTS, "len({})", 'concat({}, "b")', 'join(",", ({}, n.one))']))
    many = info.many
    kind = Kind.STRING
    if form.startswith("len"):
        kind, many = Kind.NUMBER, Many.ONE if many is Many.LIST else many
    elif form.startswith(("concat", "join")):
        many = Many.ONE
    return form.format(info.name), FieldInfo(info.name, kind, info.get, many)


_NO_LIST = ("<", "<=", ">", ">=")  # the grammar has no modifier for these


@st.composite
def comparisons(draw: st.DrawFn) -> str:
    """One check, with every operator that its field has."""
    name, info = draw(_lefts())
    sets = {"in", "intersects"}
    allowed = sorted((sets if info.many is Many.LIST else OPERATORS[info.kind]) | {"exists"})
    op = draw(st.sampled_from(allowed))
    if op == "exists":
        return f"{name} exists"
    if op != "regex" and draw(st.integers(0, 4)) == 0:
        right = draw(_right_fields(info, op))
        if right is not None:
            return f"{name} {op} {right}"
    if op in sets | {"pmatch"}:
        return f"{name} {op} ({', '.join(draw(st.lists(_literals(info, op), max_size=3)))})"
    if op not in _NO_LIST and draw(st.integers(0, 3)) == 0:
        items = draw(st.lists(_literals(info, op), max_size=3))
        return f"{name} {op} {draw(st.sampled_from(['oneof', 'anyof', 'allof']))} ({', '.join(items)})"
    if op in _NO_LIST:
        return f"{name} {op} {draw(_order_literals(info))}"
    return f"{name} {op} {draw(_literals(info, op))}"


def _order_literals(info: FieldInfo) -> st.SearchStrategy[str]:
    """Falco's grammar wants a number here; a field that has names wants a name."""
    return _NUMERALS if info.names is None else st.just("val(n.named)")


@st.composite
def _right_fields(draw: st.DrawFn, left: FieldInfo, op: str) -> str | None:
    fits = [
        info.name
        for info in FIELDS.values()
        if (info.kind is left.kind or Kind.DYNAMIC in (info.kind, left.kind))
        and (info.many is Many.ONE or op in ("in", "intersects", "pmatch"))
    ]
    return f"val({draw(st.sampled_from(fits))})" if fits else None


def conditions() -> st.SearchStrategy[str]:
    """A whole condition."""

    def deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        several = st.lists(inner, min_size=1, max_size=4)
        return st.one_of(
            several.map(lambda parts: f"({' and '.join(parts)})"),
            several.map(lambda parts: f"({' or '.join(parts)})"),
            inner.map(lambda part: f"not {part}"),
        )

    return st.recursive(comparisons(), deeper, max_leaves=12)
