"""Text to tree: Falco's condition grammar, and the alert dialect (see Dialect)."""

from __future__ import annotations

from enum import Enum

from condition.ast import And, Compare, Exists, Field, Macro, Node, Not, Operand, Or, Right, Value, ValueList
from condition.errors import ConditionError
from condition.lexer import BARE_STRING, IDENTIFIER, NOT_BLANK, NUMBER
from condition.operands import KEYWORDS, MAX_DEPTH, TRANSFORMERS, OperandParser, quoted_names

__all__ = [
    "LISTS",
    "MAX_DEPTH",
    "MODIFIERS",
    "NUMERIC",
    "OPERATORS",
    "STRING",
    "TRANSFORMERS",
    "Dialect",
    "parse",
]

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


class Dialect(Enum):
    """RULE is Falco's. ALERT adds names without a dot, bare words on the right of < <= > >=; no macros."""

    RULE = "rule"
    ALERT = "alert"


def parse(text: str, dialect: Dialect = Dialect.RULE) -> Node:
    """The tree of a condition. Raises ConditionError, whatever the text is, and nothing else."""
    if not text.strip(" \t\b\r\n"):
        raise ConditionError("the condition is empty", 0, text)
    return _Parser(text, alert=dialect is Dialect.ALERT).whole()


class _Parser(OperandParser):
    """Recursive descent; one method a production. Depth is counted where the grammar embeds itself."""

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
        raise lex.error(f"expected a valid check operator: one of {quoted_names(OPERATORS)}")

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
                if lex.peek("(") or (following is not None and following not in KEYWORDS):
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


def _known() -> str:
    return quoted_names(("val", *TRANSFORMERS))
