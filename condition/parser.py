"""Text to tree: Falco's condition grammar, and the alert dialect (see Dialect)."""

from __future__ import annotations

from enum import Enum

from condition.ast import (
    And,
    Compare,
    Exists,
    Field,
    Macro,
    Node,
    Not,
    Operand,
    Or,
    Right,
    Transform,
    Value,
    ValueList,
)
from condition.errors import ConditionError
from condition.lexer import (
    ANY_FIELD_NAME,
    BARE_STRING,
    FIELD_ARG,
    FIELD_NAME,
    IDENTIFIER,
    NOT_BLANK,
    NUMBER,
    Lexer,
)

MAX_DEPTH = 100
"""Nested parentheses, and nested transformers, that a condition may have."""

NUMERIC = ("<=", "<", ">=", ">")
_EQUALITY = ("==", "=", "!=")
_WORDS = (
    "glob",
    "iglob",
    "contains",
    "icontains",
    "bcontains",
    "startswith",
    "bstartswith",
    "endswith",
    "regex",
)
STRING = (*_EQUALITY, *_WORDS)
LISTS = ("intersects", "in", "pmatch")
OPERATORS = ("exists", *NUMERIC, *STRING, *LISTS)
MODIFIERS = ("oneof", "anyof", "allof")
TRANSFORMERS = ("tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt")
_CALLS = tuple(f"{name}(" for name in TRANSFORMERS)
_KEYWORDS = ("and", "or", "not")


class Dialect(Enum):
    """RULE is Falco's. ALERT adds names without a dot, bare words on the right of < <= > >=; no macros."""

    RULE = "rule"
    ALERT = "alert"


def parse(text: str, dialect: Dialect = Dialect.RULE) -> Node:
    """The tree of a condition. Raises ConditionError, whatever the text is, and nothing else."""
    if not text.strip(" \t\b\r\n"):
        raise ConditionError("the condition is empty", 0, text)
    return _Parser(text, dialect).whole()


def _names(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


class _Parser:
    """Recursive descent; one method a production. Depth is counted where the grammar embeds itself."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self._lex = Lexer(text)
        self._alert = dialect is Dialect.ALERT
        self._field_name = ANY_FIELD_NAME if self._alert else FIELD_NAME
        self._depth = 0

    def whole(self) -> Node:
        node = self._or()
        if not self._lex.at_end:
            raise self._lex.error(f"unexpected token after '{self._lex.last}', expecting 'or', 'and'")
        return node

    # Logic

    def _or(self) -> Node:
        self._lex.blank()
        pos = self._lex.pos
        children = [self._and()]
        while self._lex.take("or"):
            children.append(self._embedded() if self._opens_after("or") else self._and())
            self._lex.blank()
        return Or(tuple(children), pos) if len(children) > 1 else children[0]

    def _and(self) -> Node:
        self._lex.blank()
        pos = self._lex.pos
        children = [self._not()]
        self._lex.blank()
        while self._lex.take("and"):
            children.append(self._embedded() if self._opens_after("and") else self._not())
            self._lex.blank()
        return And(tuple(children), pos) if len(children) > 1 else children[0]

    def _opens_after(self, keyword: str) -> bool:
        """True if a parenthesis follows the keyword directly (and is taken), False if a blank does."""
        if self._lex.blank():
            return False
        if self._lex.take("("):
            return True
        raise self._lex.error(f"expected blank or '(' after '{keyword}'")

    def _not(self) -> Node:
        self._lex.blank()
        pos = self._lex.pos
        negated = False
        while self._lex.match(NOT_BLANK):
            negated = not negated
        if self._lex.take("not("):
            negated = not negated
            child = self._embedded()
        else:
            child = self._check()
        return Not(child, pos) if negated else child

    def _embedded(self) -> Node:
        """The rest of a parenthesised condition."""
        self._enter()
        child = self._or()
        self._lex.blank()
        if not self._lex.take(")"):
            raise self._lex.error("expected a ')' token")
        self._depth -= 1
        return child

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._lex.error(f"nested too deeply: exceeded max depth limit of {MAX_DEPTH}")

    # One check

    def _check(self) -> Node:
        lex = self._lex
        lex.blank()
        pos = lex.pos
        if lex.take("("):
            return self._embedded()
        operand = self._operand()
        if operand is not None:
            return self._condition(operand, pos)
        word = lex.match(IDENTIFIER) if not self._alert else None
        if word is None:
            raise lex.error("expected a '(' token, a field check, or an identifier")
        return Macro(word, pos)

    def _condition(self, left: Operand, pos: int) -> Node:
        lex = self._lex
        lex.blank()
        if self._operator(("exists",)):
            return Exists(left, pos)
        op = lex.take_any(NUMERIC)
        if op is not None:
            return Compare(left, op, self._number(), pos=pos)
        op = lex.take_any(_EQUALITY) or lex.take_word(_WORDS)
        if op is not None:
            modifier = self._modifier()
            right = self._list() if modifier else self._string()
            return Compare(left, op, right, modifier, pos)
        op = self._operator(LISTS)
        if op is not None:
            return Compare(left, op, self._list(), pos=pos)
        if isinstance(left, Field) and left.arg is None and "." not in left.name:
            raise lex.error(
                f"unknown bare word '{left.name}': a condition compares a field, as in {left.name} = value",
                pos,
            )
        raise lex.error(f"expected a valid check operator: one of {_names(OPERATORS)}")

    def _operator(self, words: tuple[str, ...]) -> str | None:
        """A word operator. Falco lets the next token touch it (`x.y inlist`); the alert dialect does not."""
        if self._alert:
            here = self._lex.looking_at(IDENTIFIER)
            words = (here,) if here in words and here is not None else ()
        return self._lex.take_any(words)

    def _modifier(self) -> str | None:
        """oneof, anyof or allof: only between blanks and before a list, else it is a plain string."""
        lex = self._lex
        start = lex.pos
        if lex.blank():
            word = lex.take_word(MODIFIERS)
            if word is not None:
                lex.blank()
                following = lex.looking_at(IDENTIFIER)
                if lex.peek("(") or (following is not None and following not in _KEYWORDS):
                    return word
        lex.pos = start
        return None

    # The right side

    def _number(self) -> Right:
        lex = self._lex
        found = self._right_operand()
        if found is not None:
            return found
        pos = lex.pos
        if self._alert:
            return self._value("expected a number, a name, or a field with a valid transformer")
        text = lex.match(NUMBER)
        if text is None:
            raise lex.error(f"expected a number value or a field with a valid transformer: {_known()}")
        return Value(text, pos=pos)

    def _string(self) -> Right:
        found = self._right_operand()
        if found is not None:
            return found
        return self._value(f"expected a string value or a field with a valid transformer: {_known()}")

    def _value(self, expected: str) -> Value:
        lex = self._lex
        lex.blank()
        pos = lex.pos
        text = lex.quoted()
        if text is not None:
            return Value(text, True, pos)
        text = lex.match(BARE_STRING)
        if text is None:
            raise lex.error(expected)
        return Value(text, False, pos)

    def _list(self) -> Right:
        lex = self._lex
        lex.blank()
        pos = lex.pos
        if lex.take("("):
            lex.blank()
            items: list[Value] = []
            if lex.looking_at(BARE_STRING) or lex.peek("'") or lex.peek('"'):
                items.append(self._value("expected a string value"))
                lex.blank()
                while lex.take(","):
                    items.append(self._value("expected a string value"))
                    lex.blank()
            if not lex.take(")"):
                raise lex.error("expected a ')' token")
            return ValueList(tuple(items), pos)
        found = self._right_operand()
        if found is not None:
            return found
        word = lex.match(IDENTIFIER)
        if word is None:
            raise lex.error(
                f"expected a list, an identifier, or a field with a valid transformer: {_known()}"
            )
        return Value(word, False, pos)

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

    # Fields and transformers

    def _operand(self) -> Operand | None:
        return self._transformer() or self._field()

    def _field(self) -> Field | None:
        lex = self._lex
        pos = lex.pos
        if lex.looking_at(self._field_name) in _KEYWORDS:
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
            raise self._lex.error(f"expected a field or a nested valid transformer: {_names(TRANSFORMERS)}")
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


def _known() -> str:
    return _names(("val", *TRANSFORMERS))
