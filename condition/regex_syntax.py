"""The regular expressions of the `regex` operator (RE2's syntax without captures) as trees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

MAX_REPEAT = 1000  # RE2's own limit on {n,m}
MAX_GROUPS = 50  # nested


class RegexError(ValueError):
    """What is wrong with a pattern. `pos` is a 0-based offset into it."""

    def __init__(self, message: str, pos: int) -> None:
        super().__init__(f"{message} (character {pos + 1} of the pattern)")
        self.pos = pos


Predicate: TypeAlias = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Char:
    """One character for which `test` holds."""

    test: Predicate


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    options: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`least` to `most` times; `most` None: without end."""

    part: Tree
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Anchor:
    """The beginning (`^`) or the end (`$`) of the text."""

    end: bool


Tree: TypeAlias = Char | Sequence | Choice | Repeat | Anchor

_DIGIT = "0123456789"
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()
_PUNCT = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_PERL = {"d": _DIGIT, "w": _DIGIT + _LOWER + _UPPER + "_", "s": "\t\n\f\r "}
_POSIX = {
    "alnum": _DIGIT + _LOWER + _UPPER,
    "alpha": _LOWER + _UPPER,
    "ascii": "".join(map(chr, range(128))),
    "blank": "\t ",
    "cntrl": "".join(map(chr, [*range(32), 127])),
    "digit": _DIGIT,
    "graph": _DIGIT + _LOWER + _UPPER + _PUNCT,
    "lower": _LOWER,
    "print": _DIGIT + _LOWER + _UPPER + _PUNCT + " ",
    "punct": _PUNCT,
    "space": "\t\n\v\f\r ",
    "upper": _UPPER,
    "word": _PERL["w"],
    "xdigit": _DIGIT + "abcdefABCDEF",
}
_CONTROL = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def posix_class(name: str) -> frozenset[str] | None:
    """The characters of `[:name:]`, ASCII only as in RE2 and in the C locale; None for an unknown name."""
    members = _POSIX.get(name)
    return None if members is None else frozenset(members)


def one_of(chars: str, negated: bool = False) -> Predicate:
    members = frozenset(chars)
    if negated:
        return lambda char: char not in members
    return members.__contains__


def _any_of(tests: list[Predicate], negated: bool, fold: bool) -> Predicate:
    def holds(char: str) -> bool:
        if any(test(char) for test in tests):
            return True
        return fold and any(test(char.swapcase()) for test in tests)

    return (lambda char: not holds(char)) if negated else holds


def _between(first: str, last: str) -> Predicate:
    return lambda char: first <= char <= last


def parse_regex(pattern: str) -> Tree:
    """Raises RegexError for what is not RE2 syntax, and for what this engine leaves out (`\\b`, `\\p`)."""
    parser = _Parser(pattern)
    tree = parser.choice()
    if parser.pos < len(pattern):
        raise RegexError("unexpected ')'", parser.pos)
    return tree


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.pos = 0
        self.depth = 0
        self.fold = False  # (?i)
        self.dot_all = False  # (?s)

    def peek(self) -> str:
        return self.pattern[self.pos : self.pos + 1]

    def take(self, text: str) -> bool:
        if self.pattern.startswith(text, self.pos):
            self.pos += len(text)
            return True
        return False

    def choice(self) -> Tree:
        options = [self.sequence()]
        while self.take("|"):
            options.append(self.sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def sequence(self) -> Tree:
        parts: list[Tree] = []
        while self.peek() not in ("", "|", ")"):
            part = self.atom()
            if part is not None:
                parts.append(self.repeated(part))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def repeated(self, part: Tree) -> Tree:
        while True:
            bounds = self.bounds()
            if bounds is None:
                return part
            part = Repeat(part, *bounds)
            self.take("?")  # lazy: makes no difference to whether the whole text matches

    def bounds(self) -> tuple[int, int | None] | None:
        for mark, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self.take(mark):
                return bounds
        end = self.pattern.find("}", self.pos)
        if self.peek() != "{" or end < 0:
            return None
        low, comma, high = self.pattern[self.pos + 1 : end].partition(",")
        if not (low.isascii() and low.isdecimal() and (not high or (high.isascii() and high.isdecimal()))):
            return None  # a literal brace
        start, self.pos = self.pos, end + 1
        if len(low) > 4 or len(high) > 4 or int(low) > MAX_REPEAT or int(high or 0) > MAX_REPEAT:
            raise RegexError(f"a repetition is over {MAX_REPEAT}", start)
        most = int(high) if high else (None if comma else int(low))
        if most is not None and most < int(low):
            raise RegexError("the bounds of the repetition are the wrong way round", start)
        return int(low), most

    def atom(self) -> Tree | None:
        """One item; None for flags such as (?i), which hold for what follows."""
        start, char = self.pos, self.peek()
        self.pos += 1
        if char == "(":
            return self.group(start)
        if char == "[":
            return Char(self.char_class(start))
        if char == ".":
            return Char((lambda _: True) if self.dot_all else one_of("\n", negated=True))
        if char in "^$":
            return Anchor(end=char == "$")
        if char in "*+?":
            raise RegexError(f"nothing to repeat before '{char}'", start)
        if char == "\\":
            if self.peek() in ("A", "z"):
                self.pos += 1
                return Anchor(end=self.pattern[self.pos - 1] == "z")
            return Char(self.literal(self.escape(start)))
        return Char(self.literal(char))

    def literal(self, item: str | Predicate) -> Predicate:
        if not isinstance(item, str):
            return item
        return one_of(item + item.swapcase() if self.fold else item)

    def group(self, start: int) -> Tree | None:
        flags = (self.fold, self.dot_all)
        if self.take("?"):
            lookbehind = self.pattern.startswith(("<=", "<!"), self.pos)
            if self.take("P<") or (self.peek() == "<" and not lookbehind):
                self.pos = self.pattern.find(">", self.pos) + 1 or len(self.pattern)
            elif self.set_flags(start):
                return None
        self.depth += 1
        if self.depth > MAX_GROUPS:
            raise RegexError(f"more than {MAX_GROUPS} nested groups", start)
        tree = self.choice()
        if not self.take(")"):
            raise RegexError("the group has no ')'", start)
        self.depth -= 1
        self.fold, self.dot_all = flags
        return tree

    def set_flags(self, start: int) -> bool:
        """`i`, `s` and their negations after `(?`. True if the group ends here."""
        value = True
        while True:
            char = self.peek()
            self.pos += 1
            if char == "-":
                value = False
            elif char == "i":
                self.fold = value
            elif char == "s":
                self.dot_all = value
            elif char in (":", ")") and char:
                return char == ")"
            else:
                raise RegexError("only (?:…), (?P<name>…), (?i) and (?s) may follow '(?', as in RE2", start)

    def escape(self, start: int) -> str | Predicate:
        """A character, or the test of a class, after a backslash."""
        char = self.peek()
        self.pos += 1
        if char.lower() in _PERL and char:
            return one_of(_PERL[char.lower()], negated=char.isupper())
        if char in _CONTROL:
            return _CONTROL[char]
        if char == "x":
            return self.hex_escape(start)
        if char and not char.isalnum():
            return char
        raise RegexError(f"the escape \\{char} is not supported", start)

    def hex_escape(self, start: int) -> str:
        if self.take("{"):
            end = self.pattern.find("}", self.pos)
            digits = self.pattern[self.pos : end] if end > 0 else ""
            self.pos = end + 1
        else:
            digits = self.pattern[self.pos : self.pos + 2]
            self.pos += 2
        if not 0 < len(digits) <= 6 or not set(digits) <= set("0123456789abcdefABCDEF"):
            raise RegexError("\\x needs two hex digits, or some in braces", start)
        if int(digits, 16) > 0x10FFFF:
            raise RegexError("no such character", start)
        return chr(int(digits, 16))

    def char_class(self, start: int) -> Predicate:
        negated = self.take("^")
        tests: list[Predicate] = []
        first = True
        while first or self.peek() != "]":
            if self.peek() == "":
                raise RegexError("the character class has no ']'", start)
            first = False
            item = self.class_item()
            if not isinstance(item, str):
                tests.append(item)
            elif self.peek() == "-" and self.pattern[self.pos + 1 : self.pos + 2] not in ("]", ""):
                self.pos += 1
                last = self.class_item()
                if not isinstance(last, str) or last < item:
                    raise RegexError("a bad range in the character class", start)
                tests.append(_between(item, last))
            else:
                tests.append(one_of(item))
        self.pos += 1
        return _any_of(tests, negated, self.fold)

    def class_item(self) -> str | Predicate:
        start = self.pos
        if self.take("[:"):
            end = self.pattern.find(":]", self.pos)
            name = self.pattern[self.pos : end] if end > 0 else ""
            members = posix_class(name.removeprefix("^"))
            if members is None:
                raise RegexError("an unknown character class", start)
            self.pos = end + 2
            return one_of("".join(members), negated=name.startswith("^"))
        char = self.peek()
        self.pos += 1
        return self.escape(start) if char == "\\" else char
