"""What is defined, after every later definition, append and replacement (rule_loader_collector.cpp)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from sensor.rules import versions
from sensor.rules.exceptions import check_exception
from sensor.rules.model import ListItem, MacroItem, RuleException, RuleItem, RuleUpdate
from sensor.rules.problems import Context, ItemError, Problem

Warn = Callable[[Problem], None]
Named = TypeVar("Named", ListItem, MacroItem)

_NO_LIST = "List uses 'append' or 'override.items: append' but no list by that name already exists"
_NO_MACRO = "Macro uses 'append' or 'override.condition: append' but no macro by that name already exists"
_NO_RULE_APPEND = "Rule uses 'append' or 'override.<key>: append' but no rule by that name already exists"
_NO_RULE_REPLACE = (
    "An 'override.<key>: replace' to a rule was requested but no rule by that name already exists"
)
_OTHER_SOURCE = "Rule has been re-defined with a different source"


def wrong(message: str, context: Context) -> ItemError:
    return ItemError("LOAD_ERR_VALIDATE", message, context)


class Collector:
    """A redefinition keeps the place of the first one. The methods raise ItemError."""

    def __init__(self, warn: Warn) -> None:
        self.lists: dict[str, ListItem] = {}
        self.macros: dict[str, MacroItem] = {}
        self.rules: dict[str, RuleItem] = {}
        self._warn = warn
        self._next = 0

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _define(self, items: dict[str, Named], item: Named) -> None:
        earlier = items.get(item.name)
        item.visibility = self._number()
        item.index = earlier.index if earlier is not None else item.visibility
        items[item.name] = item

    def define_list(self, item: ListItem) -> None:
        self._define(self.lists, item)

    def append_list(self, item: ListItem) -> None:
        earlier = self.lists.get(item.name)
        if earlier is None:
            raise wrong(_NO_LIST, item.context)
        earlier.items = [*earlier.items, *item.items]
        earlier.visibility = self._number()

    def define_macro(self, item: MacroItem) -> None:
        self._define(self.macros, item)

    def append_macro(self, item: MacroItem) -> None:
        earlier = self.macros.get(item.name)
        if earlier is None:
            raise wrong(_NO_MACRO, item.context)
        earlier.condition = f"{earlier.condition} {item.condition}"
        earlier.visibility = self._number()

    def define_rule(self, item: RuleItem) -> None:
        earlier = self.rules.get(item.name)
        if earlier is not None and earlier.source != item.source:
            raise wrong(_OTHER_SOURCE, item.context)
        if item.source not in versions.SOURCES:
            item.unknown_source = True
            text = f"Unknown source {item.source}, skipping"
            self._warn(Problem("LOAD_UNKNOWN_SOURCE", text, item.context))
        for one in item.exceptions:
            if one.fields is None:
                text = "Rule exception item must have fields property with a list of fields"
                raise wrong(text, one.context)
            check_exception(one, known_source=not item.unknown_source)
        item.index = earlier.index if earlier is not None else self._number()
        self.rules[item.name] = item

    def enable(self, name: str, enabled: bool, context: Context) -> None:
        if name not in self.rules:
            text = "Rule has 'enabled' key but no rule by that name already exists"
            raise wrong(text, context)
        self.rules[name].enabled = enabled

    def append_rule(self, update: RuleUpdate) -> None:
        rule = self._earlier(update, _NO_RULE_APPEND)
        if not update.values:
            raise wrong("Appended rule must have exceptions or condition property", update.context)
        for key in ("condition", "output", "desc"):
            if key in update.values:
                setattr(rule, key, f"{getattr(rule, key)} {update.values[key]}")
        rule.tags = rule.tags | self._tags(update)
        exceptions = [replace(one, values=list(one.values)) for one in rule.exceptions]
        for added in self._exceptions(update):
            self._append_exception(exceptions, added, known_source=not rule.unknown_source)
        rule.exceptions = exceptions

    def replace_rule(self, update: RuleUpdate) -> None:
        rule = self._earlier(update, _NO_RULE_REPLACE)
        for one in self._exceptions(update):
            check_exception(one, known_source=not rule.unknown_source)
        for key, value in update.values.items():
            setattr(rule, key.replace("-", "_"), value)
        for key, context in update.contexts.items():
            setattr(rule, f"{key}_context", context)

    def _earlier(self, update: RuleUpdate, missing: str) -> RuleItem:
        rule = self.rules.get(update.name)
        if rule is None:
            raise wrong(missing, update.context)
        if update.source is not None and update.source != rule.source:
            raise wrong(_OTHER_SOURCE, update.context)
        return rule

    @staticmethod
    def _exceptions(update: RuleUpdate) -> list[RuleException]:
        found: Any = update.values.get("exceptions", [])
        return list(found)

    @staticmethod
    def _tags(update: RuleUpdate) -> set[str]:
        found: Any = update.values.get("tags", ())
        return set(found)

    @staticmethod
    def _append_exception(into: list[RuleException], added: RuleException, *, known_source: bool) -> None:
        earlier = next((one for one in into if one.name == added.name), None)
        if earlier is None:
            if added.fields is None:
                raise wrong("Rule exception must have fields property with a list of fields", added.context)
            if not added.values:
                raise wrong("Rule exception must have values property with a list of values", added.context)
            check_exception(added, known_source=known_source)
            into.append(added)
            return
        if added.fields is not None:
            raise wrong("Can not append exception fields to existing exception, only values", added.context)
        if added.comps is not None:
            raise wrong("Can not append exception comps to existing exception, only values", added.context)
        earlier.values.extend(added.values)
