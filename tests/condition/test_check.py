"""What `check` refuses: with a place and what would be right."""

from __future__ import annotations

import pytest

from condition import ConditionError, check, parse
from tests.condition.language import Table


@pytest.mark.parametrize(
    ("text", "pos", "message"),
    [
        ("no.such = a", 0, "no field no.such"),
        ("s.one = a and no.such exists", 14, "no field no.such"),
        ("s.one[1] = a", 0, "s.one takes no argument"),
        ("s.one = val(no.such)", 12, "no field no.such"),
        (
            "n.one contains 1",
            0,
            "'contains' operator not supported for fields of the kind number, as n.one is",
        ),
        ("b.one < 1", 0, "'<' operator not supported for fields of the kind bool"),
        ("s.one bcontains 61", 0, "'bcontains' operator not supported for fields of the kind string"),
        ("y.one regex a", 0, "'regex' operator not supported for fields of the kind bytes"),
        ("ip.one startswith 10", 0, "'startswith' operator not supported for fields of the kind ip"),
        ("s.list = a", 0, "'=' operator not supported for lists, as s.list is one; supported: exists, in"),
        ("n.one = x", 8, "'x' is not a number, as n.one needs one"),
        ("n.one in (1, x)", 13, "'x' is not a number"),
        ("n.named = 2", 10, "'2' is not a n.named: one of low, middle, high"),
        ("b.one = yes", 8, "'yes' is not a boolean: b.one is true or false"),
        ("y.one bcontains xyz", 16, "is not a string of hex digits"),
        ("y.one bcontains abc", 16, "is not a string of hex digits"),
        ("ip.one = 10.0.0.0/8", 9, "is not an IP address"),
        ("ip.one in (10.0.0.1, 10.0.0.256)", 21, "'10.0.0.256' is not an IP address"),
        ("net.one = 10.0.0.0/33", 10, "is not a network such as 10.0.0.0/8"),
        ("s.one regex '('", 12, "bad regular expression: the group has no ')' (character 1 of the pattern)"),
        ("s.one regex anyof (a, '[')", 22, "bad regular expression"),
        ("s.one regex val(s.two)", 0, "regex takes its pattern as a literal"),
        (
            "s.one = val(n.one)",
            0,
            "s.one is a string and cannot be compared with the val on the right, which",
        ),
        ("s.one = len(s.two)", 0, "cannot be compared with the len on the right, which is a number"),
        (
            "s.one = val(s.any)",
            0,
            "s.any has several values: compare with it by in or intersects, or = anyof",
        ),
        ("tolower(n.one) = a", 0, "tolower takes a string, n.one is a number"),
        ("len(n.one) = 1", 0, "len takes a string or bytes, n.one is a number"),
        ("toupper(s.one)[x] = a", 0, "toupper(…) takes no argument in brackets"),
        ("getopt(s.one, 'a:')[b] = x", 0, "getopt: 'b' is not one of the options a:"),
        ("concat(s.one, no.such) = a", 14, "no field no.such"),
        ("s.one = a and open_read", 14, "undefined macro 'open_read' used in filter"),
    ],
)
def test_refused(text: str, pos: int, message: str) -> None:
    node = parse(text)
    with pytest.raises(ConditionError) as caught:
        check(node, Table())
    assert message in caught.value.message
    assert caught.value.pos == pos
    assert caught.value.line is None
    with pytest.raises(ConditionError) as placed:
        check(node, Table(), text)
    assert (placed.value.line, placed.value.column) == (1, pos + 1)


@pytest.mark.parametrize(
    "text", ["s.list exists", "s.list in (a)", "s.list intersects (a)", "s.list in val(s.any)"]
)
def test_what_lists_have(text: str) -> None:
    check(parse(text), Table())
