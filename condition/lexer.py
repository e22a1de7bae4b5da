"""The tokens of a condition, as libsinsp reads them (userspace/libsinsp/filter/parser.cpp, escaping.cpp)."""

from __future__ import annotations

import re

from condition.errors import ConditionError

_SPACE = r"\t\n\v\f\r "  # POSIX [:space:] in ASCII: Python's \s would take Unicode blanks too
IDENTIFIER = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
FIELD_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*(?:\.[a-zA-Z][a-zA-Z0-9_]*)+")
ANY_FIELD_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*(?:\.[a-zA-Z][a-zA-Z0-9_]*)*")
FIELD_ARG = re.compile(rf"[^\]\[\"'{_SPACE}]+")
NUMBER = re.compile(r"0[xX][0-9a-zA-Z]+|[+-]?[0-9]+\.?[0-9]*(?:[eE][+-][0-9]+)?")
BARE_STRING = re.compile(rf"[^()\"'{_SPACE}=,]+")
NOT_BLANK = re.compile(rf"not[{_SPACE}]+")
_BLANK = re.compile(r"[ \t\b\r\n]+")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "\\": "\\", "/": "/"}


class Lexer:
    """A cursor over the text. `last` is the last token taken, for messages. Blanks are never tokens."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0
        self.last = ""

    def error(self, message: str, pos: int | None = None) -> ConditionError:
        return ConditionError(message, self.pos if pos is None else pos, self.text)

    @property
    def at_end(self) -> bool:
        return self.pos >= len(self.text)

    def blank(self) -> bool:
        """Skip blanks; True if there were any."""
        found = _BLANK.match(self.text, self.pos)
        if found:
            self.pos = found.end()
        return found is not None

    def peek(self, literal: str) -> bool:
        return self.text.startswith(literal, self.pos)

    def take(self, literal: str) -> bool:
        """Take exactly this text."""
        if not self.peek(literal):
            return False
        self.pos += len(literal)
        self.last = literal
        return True

    def take_any(self, literals: tuple[str, ...]) -> str | None:
        """Take the first of these that stands here."""
        for literal in literals:
            if self.take(literal):
                return literal
        return None

    def take_word(self, words: tuple[str, ...]) -> str | None:
        """Take the first of these words that stands here with a blank after it (which is left)."""
        for word in words:
            if self.peek(word) and _BLANK.match(self.text, self.pos + len(word)):
                self.pos += len(word)
                self.last = word
                return word
        return None

    def match(self, pattern: re.Pattern[str]) -> str | None:
        """Take what the pattern matches here."""
        found = pattern.match(self.text, self.pos)
        if found is None:
            return None
        self.pos = found.end()
        self.last = found.group()
        return self.last

    def looking_at(self, pattern: re.Pattern[str]) -> str | None:
        """What the pattern would take, without taking it."""
        found = pattern.match(self.text, self.pos)
        return found.group() if found else None

    def quoted(self) -> str | None:
        """Take a quoted string, unescaped; None if none begins here or it has no end.

        As in Falco, the end is the first quote that no backslash stands directly before.
        """
        quote = self.text[self.pos : self.pos + 1]
        if quote not in ("'", '"'):
            return None
        end = self.text.find(quote, self.pos + 1)
        while end > 0 and self.text[end - 1] == "\\":
            end = self.text.find(quote, end + 1)
        if end < 0:
            return None
        value = self._unescape(self.pos + 1, end, quote)
        self.last = self.text[self.pos : end + 1]
        self.pos = end + 1
        return value

    def _unescape(self, start: int, end: int, quote: str) -> str:
        text, out, at = self.text, [], start
        while at < end:
            if text[at] != "\\":
                out.append(text[at])
                at += 1
                continue
            code = text[at + 1]
            if code == "x":
                digits = text[at + 2 : min(at + 4, end)]
                if not re.fullmatch(r"[0-9a-fA-F]{2}", digits):
                    raise self.error("unsupported string escape sequence: \\x needs two hex digits", at)
                out.append(chr(int(digits, 16)))
                at += 4
                continue
            if code == " ":
                out.append("\\")  # Falco's legacy reading of a backslash before a blank
            elif code in _ESCAPES:
                out.append(_ESCAPES[code])
            elif code == quote:
                out.append(code)
            elif code in ("'", '"'):
                raise self.error(f"invalid \\{code} escape in {quote}-quoted string", at)
            else:
                raise self.error(f"unsupported string escape sequence: \\{code}", at)
            at += 2
        return "".join(out)
