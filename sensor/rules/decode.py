"""Values of a rule file's keys, decoded as yaml-cpp does it for Falco, with Falco's words for errors."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sensor.config import PRIORITIES
from sensor.rules.model import Entry
from sensor.rules.problems import Context, ItemError
from sensor.rules.source import Mapping, Scalar, Sequence, Value, is_null

_TRUE, _FALSE = ("y", "yes", "true", "on"), ("n", "no", "false", "off")
_BOOLS = {
    form: value
    for words, value in ((_TRUE, True), (_FALSE, False))
    for word in words
    for form in (word, word.upper(), word.capitalize())
}
_UNSIGNED = re.compile(r"[0-9]{1,10}", re.ASCII)
MAX_EXCEPTION_DEPTH = 3


def invalid(message: str, context: Context) -> ItemError:
    return ItemError("LOAD_ERR_YAML_VALIDATE", message, context)


class Item:
    """One mapping of a rule file. Every method raises ItemError."""

    def __init__(self, node: Mapping, context: Context) -> None:
        self.node = node
        self.context = context

    def has(self, key: str) -> bool:
        return key in self.node.entries

    def value_context(self, key: str, item_type: str = "value for") -> Context:
        value = self.node.get(key)
        position = value.position if value is not None else self.node.position
        return self.context.at(item_type, key if item_type == "value for" else "", position)

    def key_context(self, key: str) -> Context:
        return self.context.at("value for", key, self.node.entries[key][0])

    def text(self, key: str) -> str:
        """A scalar that must be there and not empty."""
        value = self.node.get(key)
        if value is None:
            raise invalid(f"Item has no mapping for key '{key}'", self.context)
        if is_null(value):
            raise invalid(f"Mapping for key '{key}' is empty", self.context)
        if not isinstance(value, Scalar):
            raise invalid("Value is not a scalar value", self.value_context(key))
        if not value.text:
            raise invalid("Value must be non-empty", self.value_context(key))
        return value.text

    def bool(self, key: str, default: bool) -> bool:
        if not self.has(key):
            return default
        found = _BOOLS.get(self.text(key))
        if found is None:
            raise invalid("Can't decode YAML scalar value", self.value_context(key))
        return found

    def unsigned(self, key: str, default: int) -> int:
        if not self.has(key):
            return default
        text = self.text(key)
        if not _UNSIGNED.fullmatch(text) or int(text) >= 1 << 32:
            raise invalid("Can't decode YAML scalar value", self.value_context(key))
        return int(text)

    def texts(self, key: str) -> list[str]:
        """A sequence of scalars that must be there."""
        value = self.node.get(key)
        if value is None:
            raise invalid(f"Item has no mapping for key '{key}'", self.context)
        context = self.value_context(key)
        if not isinstance(value, Sequence):
            raise invalid("Value is not a sequence", context)
        found = []
        for one in value.items:
            if not isinstance(one, Scalar):
                raise invalid("sequence value is not scalar", context.at("list item", "", one.position))
            found.append(one.text)
        return found

    def priority(self) -> int:
        """An index into PRIORITIES."""
        name = self.text("priority").lower()
        name = {"info": "informational"}.get(name, name)
        if name not in PRIORITIES:
            raise invalid("Invalid priority", self.value_context("priority", "rule priority"))
        return PRIORITIES.index(name)

    def source(self) -> str | None:
        """None where none is written or it is empty."""
        value = self.node.get("source")
        if value is None or is_null(value) or (isinstance(value, Scalar) and not value.text):
            return None
        return self.text("source")

    def mappings(self, key: str, message: str, context: Context) -> Iterator[Mapping]:
        """The mappings of a sequence; `message` says what else must not be there."""
        value = self.node.get(key)
        if not isinstance(value, Sequence):
            raise invalid(message, context)
        for one in value.items:
            if not isinstance(one, Mapping):
                raise invalid(message, context)
            yield one

    def entry(self, key: str) -> Entry | None:
        """A scalar or a list of an exception; None if it is not there."""
        value = self.node.get(key)
        return None if value is None else entry(value, self.value_context(key))


def entry(value: Value, context: Context, depth: int = 0) -> Entry:
    """A scalar, or a list of lists of scalars."""
    if isinstance(value, Scalar):
        if not value.text:
            raise invalid("Value must be non-empty", context)
        return value.text
    if not isinstance(value, Sequence) or depth == MAX_EXCEPTION_DEPTH:
        raise invalid("Value is neither a scalar nor a list of scalars", context)
    return [entry(one, context.at("exception", "", one.position), depth + 1) for one in value.items]
