"""Lists: text that is put into conditions before they are parsed (rule_loader_compiler.cpp, resolve_list)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sensor.rules.exceptions import quoted
from sensor.rules.model import ListItem

MAX_TEXT = 1 << 20
"""Characters of a condition with its lists, and of a list with those in it: lists can grow without end."""

_BLANKS = " \t\n\r"
_DELIMITERS = _BLANKS + "(),="


class TooLargeError(ValueError):
    """A text would grow beyond MAX_TEXT."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is too large with its lists: more than {MAX_TEXT} characters")


def expand_items(lists: Mapping[str, ListItem]) -> tuple[dict[str, list[str]], set[str]]:
    """The items of every list, and which lists others use.

    An item that is the name of an earlier list stands for the items of that list as they are written: one
    step, no further. Raises TooLargeError.
    """
    found: dict[str, list[str]] = {}
    used: set[str] = set()
    total = 0
    for one in sorted(lists.values(), key=lambda item: item.index):
        items: list[str] = []
        for item in one.items:
            other = lists.get(item)
            if other is not None and other.index < one.visibility:
                used.add(other.name)
                items.extend(other.items)
                total += sum(map(len, other.items))
            else:
                items.append(item)
            if total > MAX_TEXT:
                raise TooLargeError(f"list '{one.name}'")
        found[one.name] = items
    return found, used


def substitute(condition: str, lists: Mapping[str, Iterable[str]], used: set[str]) -> str:
    """The condition with the items in place of the names; `used` gains the lists that were found.

    A name counts where blanks, parentheses, commas, equal signs or the ends of the text are around it, in
    quoted strings too. Raises TooLargeError.
    """
    for name, items in lists.items():
        if name and name in condition:
            condition, found = _substitute(condition, name, ", ".join(map(quoted, filter(None, items))))
            if found:
                used.add(name)
    return condition


def _substitute(text: str, name: str, items: str) -> tuple[str, bool]:
    parts: list[str] = []
    size = done = 0
    found = False
    at = text.find(name)
    while at >= 0:
        end = at + len(name)
        before = text[at - 1] if at else ""
        if (not before or before in _DELIMITERS) and (end == len(text) or text[end] in _DELIMITERS):
            found = True
            start, end = _around(text, done, at, end, empty=not items)
            parts.append(f"{text[done:start]} {items} ")
            size += len(parts[-1])
            if size > MAX_TEXT:
                raise TooLargeError("the condition")
            done = end
        at = text.find(name, max(end, at + 1))
    return "".join([*parts, text[done:]]), found


def _around(text: str, low: int, start: int, end: int, *, empty: bool) -> tuple[int, int]:
    """The blanks around go too; and with an empty list one comma, the left one if there is one."""
    while start > low and text[start - 1] in _BLANKS:
        start -= 1
    while end < len(text) and text[end] in _BLANKS:
        end += 1
    if empty:
        if start > low and text[start - 1] == ",":
            start -= 1
        elif end < len(text) and text[end] == ",":
            end += 1
    return start, end
