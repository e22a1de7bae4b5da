"""The one error that a condition can give."""

from __future__ import annotations


class ConditionError(ValueError):
    """What is wrong with a condition, and where.

    `pos` is the 0-based character offset into the condition's text; `line` and `column` count from 1. They
    are None when the text was not at hand (a tree was checked without it) and for trees that no text made.
    """

    def __init__(self, message: str, pos: int | None = None, text: str | None = None) -> None:
        self.message = message
        self.pos = pos
        self.line: int | None = None
        self.column: int | None = None
        if pos is not None and text is not None:
            before = text[:pos].replace("\r\n", "\n").replace("\r", "\n")
            self.line = before.count("\n") + 1
            self.column = len(before) - (before.rfind("\n") + 1) + 1
        super().__init__(str(self))

    def __str__(self) -> str:
        if self.line is not None:
            return f"line {self.line}, column {self.column}: {self.message}"
        if self.pos is not None:
            return f"character {self.pos + 1}: {self.message}"
        return self.message

    def within(self, text: str) -> ConditionError:
        """The same error, with line and column in the text it speaks of."""
        return self if self.line is not None else ConditionError(self.message, self.pos, text)
