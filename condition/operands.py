"""Fields and transformers: what a condition compares, on either side."""

from __future__ import annotations

from condition.ast import Field, Operand, Transform
from condition.lexer import ANY_FIELD_NAME, FIELD_ARG, FIELD_NAME, NUMBER, Lexer

MAX_DEPTH = 100
"""Nested parentheses, and nested transformers, that a condition may have."""

TRANSFORMERS = ("tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt")
_CALLS = tuple(f"{name}(" for name in TRANSFORMERS)
KEYWORDS = ("and", "or", "not")


def quoted_names(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


class OperandParser:
    """The part of the parser that reads operands. Depth is counted where the grammar embeds itself.

    `alert`: names need no dot.
    """

    def __init__(self, text: str, *, alert: bool) -> None:
        self._lex = Lexer(text)
        self._alert = alert
        self._field_name = ANY_FIELD_NAME if alert else FIELD_NAME
        self._depth = 0

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._lex.error(f"nested too deeply: exceeded max depth limit of {MAX_DEPTH}")

    def _right_operand(self) -> Operand | None:
        """val(field), or a transformer; anything else on the right is a literal."""
        lex = self._lex
        lex.blank()
        pos = lex.pos
        if not lex.take("val("):
            return self._transformer()
        lex.blank()
        field = self._field()
        if field is None:
            raise lex.error("expected a field within 'val' transformer")
        self._close_transformer()
        return Transform("val", (field,), pos=pos)

    def _operand(self) -> Operand | None:
        return self._transformer() or self._field()

    def _field(self) -> Field | None:
        lex = self._lex
        pos = lex.pos
        if lex.looking_at(self._field_name) in KEYWORDS:
            return None
        name = lex.match(self._field_name)
        return None if name is None else Field(name, self._bracket(), pos)

    def _bracket(self) -> str | None:
        """The argument in brackets, which touch what they belong to; None if there are none."""
        lex = self._lex
        if not lex.take("["):
            return None
        arg = lex.quoted()
        if arg is None:
            arg = lex.match(FIELD_ARG)
        if arg is None:
            raise lex.error("expected a valid field argument: a quoted string or a bare string")
        if not lex.take("]"):
            raise lex.error("expected a ']' token")
        return arg

    def _transformer(self) -> Transform | None:
        lex = self._lex
        pos = lex.pos
        call = lex.take_any(_CALLS)
        if call is None:
            return None
        name = call[:-1]
        self._enter()
        lex.blank()
        if name == "join":
            args = self._join_args()
        elif name == "concat":
            args = self._items()
        elif name == "getopt":
            args = (self._inner(), self._comma_literal())
        else:
            args = (self._inner(),)
        self._close_transformer()
        self._depth -= 1
        return Transform(name, args, self._bracket(), pos)

    def _close_transformer(self) -> None:
        self._lex.blank()
        if not self._lex.take(")"):
            raise self._lex.error("expected a ')' token closing the transformer")

    def _inner(self) -> Operand:
        found = self._operand()
        if found is None:
            raise self._lex.error(
                f"expected a field or a nested valid transformer: {quoted_names(TRANSFORMERS)}"
            )
        return found

    def _comma_literal(self) -> str:
        self._comma()
        return self._literal()

    def _comma(self) -> None:
        self._lex.blank()
        if not self._lex.take(","):
            raise self._lex.error("expected a ',' token")
        self._lex.blank()

    def _literal(self) -> str:
        text = self._lex.quoted()
        if text is None:
            raise self._lex.error("expected a quoted string")
        return text

    def _join_args(self) -> tuple[Operand | str, ...]:
        """`"sep", (item, item)`: the separator and the items, flat."""
        lex = self._lex
        separator = self._literal()
        self._comma()
        if not lex.take("("):
            raise lex.error("expected a '(' token opening the list of what to join")
        lex.blank()
        items = () if lex.peek(")") else self._items()
        lex.blank()
        if not lex.take(")"):
            raise lex.error("expected a ')' token closing the list of what to join")
        return (separator, *items)

    def _items(self) -> tuple[Operand | str, ...]:
        items = [self._item()]
        self._lex.blank()
        while self._lex.take(","):
            self._lex.blank()
            items.append(self._item())
            self._lex.blank()
        return tuple(items)

    def _item(self) -> Operand | str:
        operand = self._operand()
        if operand is not None:
            return operand
        text = self._lex.quoted()
        if text is None:
            text = self._lex.match(NUMBER)
        if text is None:
            raise self._lex.error("expected a field, a transformer, a quoted string or a number")
        return text
