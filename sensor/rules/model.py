"""What rule files define, before anything is compiled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from sensor.rules.problems import Context

Entry: TypeAlias = "str | list[Entry]"
"""A scalar of an exception, or a list of them."""


@dataclass(slots=True)
class RuleException:
    """One exception of a rule. `fields` and `comps` are None where nothing was written."""

    name: str
    context: Context
    fields: Entry | None = None
    comps: Entry | None = None
    values: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class ListItem:
    """`index` is the order of definition, `visibility` that of the last change."""

    name: str
    items: list[str]
    context: Context
    index: int = 0
    visibility: int = 0


@dataclass(slots=True)
class MacroItem:
    name: str
    condition: str
    context: Context
    condition_context: Context
    index: int = 0
    visibility: int = 0


@dataclass(slots=True)
class RuleItem:
    """A rule with everything that later files appended to it or replaced."""

    name: str
    context: Context
    condition: str
    condition_context: Context
    output: str
    output_context: Context
    desc: str
    priority: int  # index into sensor.config.PRIORITIES
    source: str = "syscall"
    enabled: bool = True
    capture: bool = False
    capture_duration: int = 0  # ms
    warn_evttypes: bool = True
    skip_if_unknown_filter: bool = False
    tags: set[str] = field(default_factory=set)
    exceptions: list[RuleException] = field(default_factory=list)
    unknown_source: bool = False
    index: int = 0


@dataclass(slots=True)
class RuleUpdate:
    """What an append or a replacement carries: only the keys in `values`."""

    name: str
    context: Context
    source: str | None = None
    values: dict[str, object] = field(default_factory=dict)
    contexts: dict[str, Context] = field(default_factory=dict)
