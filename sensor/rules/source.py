"""The YAML of rule files: every scalar stays text, as yaml-cpp gives it to Falco, and knows where it stands.

Nothing here recurses and an alias is the same node again, so that neither depth nor aliases can exhaust us.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import yaml

from sensor.rules.problems import Context, ItemError, Position

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(slots=True)
class Scalar:
    text: str
    plain: bool  # without quotes
    position: Position

    @property
    def is_null(self) -> bool:
        return self.plain and self.text in _NULLS


@dataclass(slots=True)
class Sequence:
    position: Position
    items: list[Value] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """The first of equal keys counts, as in yaml-cpp."""

    position: Position
    entries: dict[str, tuple[Position, Value]] = field(default_factory=dict)
    twice: list[tuple[str, Position]] = field(default_factory=list)

    def get(self, key: str) -> Value | None:
        found = self.entries.get(key)
        return found[1] if found is not None else None


Value: TypeAlias = Scalar | Sequence | Mapping


def is_null(value: Value | None) -> bool:
    """Whether nothing was written after the colon."""
    return isinstance(value, Scalar) and value.is_null


def read(text: str, context: Context) -> list[Value]:
    """The documents of a file that are not empty. Raises ItemError for what is no YAML."""
    if len(text) > MAX_BYTES:
        size = f"{len(text)} characters, at most {MAX_BYTES} are read"
        raise ItemError("LOAD_ERR_YAML_PARSE", f"the rules are too large: {size}", context)
    builder = _Builder(context)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = error.problem or error.context or "not valid YAML"
        where = context.at("value for", "", _position(mark)) if mark is not None else context
        raise ItemError("LOAD_ERR_YAML_PARSE", said, where) from None
    except (yaml.YAMLError, UnicodeError) as error:
        said = str(error).splitlines()[0] if str(error) else "not valid YAML"
        raise ItemError("LOAD_ERR_YAML_PARSE", said, context) from None
    return [document for document in builder.documents if not is_null(document)]


class _Mark(Protocol):
    """What both of PyYAML's parsers give."""

    line: int
    column: int
    index: int


_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def _position(mark: _Mark) -> Position:
    return Position(mark.line, mark.column, mark.index)


def _start(event: yaml.Event) -> Position:
    assert event.start_mark is not None
    return _position(event.start_mark)


class _Builder:
    """Puts nodes together from the parser's events."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._open: list[Sequence | Mapping] = []
        self._keys: list[tuple[str, Position] | None] = []
        self._anchors: dict[str, Value] = {}
        self.documents: list[Value] = []

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._add(Scalar(event.value, not event.style, _start(event)), event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._begin(Sequence(_start(event)), event.anchor)
        elif isinstance(event, yaml.MappingStartEvent):
            self._begin(Mapping(_start(event)), event.anchor)
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            self._open.pop()
            self._keys.pop()
        elif isinstance(event, yaml.DocumentStartEvent):
            self._anchors.clear()

    def _begin(self, node: Sequence | Mapping, anchor: str | None) -> None:
        self._add(node, anchor)
        self._open.append(node)
        self._keys.append(None)
        if len(self._open) > MAX_DEPTH:
            raise self._fault("nested too deeply", node.position)

    def _alias(self, event: yaml.AliasEvent) -> None:
        node = self._anchors.get(event.anchor or "")
        if node is None:
            raise self._fault(f"undefined alias '{event.anchor}'", _start(event))
        if any(one is node for one in self._open):
            raise self._fault(f"alias '{event.anchor}' contains itself", _start(event))
        self._add(node, None)

    def _add(self, node: Value, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self.documents.append(node)
            return
        parent = self._open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        key = self._keys[-1]
        if key is None:
            if not isinstance(node, Scalar):
                raise self._fault("a key is not a scalar value", node.position)
            self._keys[-1] = (node.text, node.position)
            return
        self._keys[-1] = None
        if key[0] in parent.entries:
            parent.twice.append(key)
        else:
            parent.entries[key[0]] = (key[1], node)

    def _fault(self, message: str, position: Position) -> ItemError:
        return ItemError("LOAD_ERR_YAML_PARSE", message, self._context.at("value for", "", position))
