"""YAML items → definitions (rule_loader_reader.cpp): which keys there are and what may stand in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Mapping as KeyMap

from sensor.rules.collector import Collector
from sensor.rules.decode import Item, entry, invalid
from sensor.rules.model import ListItem, MacroItem, RuleException, RuleItem, RuleUpdate
from sensor.rules.problems import Context, ItemError, Problem
from sensor.rules.requirements import read_engine_version, read_plugin_versions
from sensor.rules.source import Mapping, Scalar, Sequence, Value, is_null, read

_MACRO_NAME = re.compile(r"[a-zA-Z]+[a-zA-Z0-9_]*", re.ASCII)
_LIST_NAME = re.compile(r"[^()\"'\s=,]+")
_MACRO_RULE = "([a-zA-Z]+[a-zA-Z0-9_]*)"
_LIST_RULE = "([^()\"'[:space:]=,]+)"

_APPEND = (
    "'append' key is deprecated. Add an 'append' entry (e.g. 'condition: append') under 'override' instead."
)
_ENABLED = (
    "The standalone 'enabled' key usage is deprecated. The correct approach requires also a 'replace' entry "
    "under the 'override' key (i.e. 'enabled: replace')."
)
_BOTH = (
    "Keys 'override' and 'append: true' cannot be used together. Add an 'append' entry "
    "(e.g. 'condition: append') under 'override' instead."
)
_KEYS: KeyMap[str, frozenset[str]] = {
    "required_engine_version": frozenset({"required_engine_version"}),
    "required_plugin_versions": frozenset({"required_plugin_versions"}),
    "list": frozenset({"list", "items", "append", "override"}),
    "macro": frozenset({"macro", "condition", "append", "override"}),
    "rule": frozenset(
        {"rule", "condition", "output", "desc", "priority", "source", "enabled", "capture"}
        | {"capture_duration", "warn_evttypes", "skip-if-unknown-filter", "tags", "exceptions"}
        | {"override", "append"}
    ),
}
_APPENDABLE = ("condition", "output", "desc", "tags", "exceptions")
_REPLACEABLE = (
    *("condition", "output", "desc", "priority", "capture", "capture_duration", "tags", "exceptions"),
    *("enabled", "warn_evttypes", "skip-if-unknown-filter"),
)


class Reader:
    """Reads files into a collector; every problem is handed on and the next item is read."""

    def __init__(self, collector: Collector, report: Callable[[Problem], None]) -> None:
        self._collector = collector
        self._report = report

    def file(self, name: str, text: str) -> None:
        context = Context.of_file(name, text)
        try:
            documents = read(text, context)
        except ItemError as fault:
            self._report(fault.problem)
            return
        for document in documents:
            if not isinstance(document, Sequence):
                said = "Rules content is not yaml array of objects"
                if isinstance(document, Scalar):
                    said = "Rules content is not yaml"
                self._report(Problem("LOAD_ERR_YAML_VALIDATE", said, context))
                continue
            for item in document.items:
                if not is_null(item):
                    self._item(item, context)

    def _item(self, node: Value, parent: Context) -> None:
        context = parent.at("rules content item", "", node.position)
        try:
            if not isinstance(node, Mapping):
                said = "Unexpected element type. Each element should be a yaml associative array."
                raise invalid(said, context)
            kind = next((kind for kind in _KEYS if kind in node.entries), None)
            if kind is None:
                self._warn("LOAD_UNKNOWN_ITEM", "Unknown top level item", context)
                return
            item = Item(node, parent.at(kind, "", node.position))
            if kind in ("list", "macro", "rule"):
                item.context = parent.at(kind, item.text(kind), node.position)
            self._check_keys(item, _KEYS[kind])
            self._read(kind, item)
        except ItemError as fault:
            self._report(fault.problem)

    def _read(self, kind: str, item: Item) -> None:
        if kind == "list":
            self._list(item)
        elif kind == "macro":
            self._macro(item)
        elif kind == "rule":
            self._rule(item)
        elif kind == "required_engine_version":
            read_engine_version(item)
        else:
            read_plugin_versions(item)

    def _warn(self, code: str, message: str, context: Context) -> None:
        self._report(Problem(code, message, context))

    def _check_keys(self, item: Item, known: frozenset[str]) -> None:
        for key in item.node.entries:
            if key not in known:
                said = f"Unknown key '{key}'. The key will be ignored."
                self._warn("LOAD_UNKNOWN_KEY", said, item.key_context(key))
        for key, position in item.node.twice:
            said = f"Key '{key}' is given twice. The first one counts."
            self._warn("LOAD_UNKNOWN_KEY", said, item.context.at("value for", key, position))

    def _append_flag(self, item: Item) -> bool:
        append = item.bool("append", False)
        if append:
            self._warn("LOAD_DEPRECATED_ITEM", _APPEND, item.context)
        return append

    def _list(self, item: Item) -> None:
        name = item.text("list")
        if not _LIST_NAME.fullmatch(name):
            said = f"List has an invalid name. List names should match a regular expression: {_LIST_RULE}"
            self._warn("LOAD_INVALID_LIST_NAME", said, item.context)
        found = ListItem(name, item.texts("items"), item.context)
        append = self._append_flag(item)
        appended, replaced = overrides(item, ("items",), ("items",))
        _not_both(append, appended or replaced, item)
        if append or appended:
            self._collector.append_list(found)
        else:
            self._collector.define_list(found)

    def _macro(self, item: Item) -> None:
        name = item.text("macro")
        if not _MACRO_NAME.fullmatch(name):
            said = f"Macro has an invalid name. Macro names should match a regular expression: {_MACRO_RULE}"
            self._warn("LOAD_INVALID_MACRO_NAME", said, item.context)
        condition = item.text("condition")
        where = item.value_context("condition", "macro condition")
        found = MacroItem(name, condition, item.context, where)
        append = self._append_flag(item)
        appended, replaced = overrides(item, ("condition",), ("condition",))
        _not_both(append, appended or replaced, item)
        if append or appended:
            self._collector.append_macro(found)
        else:
            self._collector.define_macro(found)

    def _rule(self, item: Item) -> None:
        append = self._append_flag(item)
        appended, replaced = overrides(item, _APPENDABLE, _REPLACEABLE)
        _not_both(append, appended or replaced, item)
        if appended or replaced:
            self._override(item, appended, replaced)
        elif append:
            keys = [key for key in ("condition", "exceptions") if item.has(key)]
            self._collector.append_rule(self._update(item, keys, append=True))
        elif any(item.has(key) for key in ("condition", "output", "desc", "priority")):
            self._collector.define_rule(self._new_rule(item))
        else:
            if not item.has("enabled"):
                raise invalid("Item has no mapping for key 'enabled'", item.context)
            self._warn("LOAD_DEPRECATED_ITEM", _ENABLED, item.context)
            self._collector.enable(item.text("rule"), item.bool("enabled", True), item.context)

    def _override(self, item: Item, appended: list[str], replaced: list[str]) -> None:
        for kind, keys in (("append", appended), ("replace", replaced)):
            for key in keys:
                if not item.has(key):
                    said = f"An {kind} override for '{key}' was specified but '{key}' is not defined"
                    raise invalid(said, item.context)
        for key in item.node.entries:
            if key in _REPLACEABLE and key not in appended and key not in replaced:
                said = f"Unexpected key '{key}': no corresponding entry under 'override' is defined."
                raise invalid(said, item.key_context(key))
        if appended:
            self._collector.append_rule(self._update(item, appended, append=True))
        if replaced:
            self._collector.replace_rule(self._update(item, replaced, append=False))

    def _update(self, item: Item, keys: list[str], *, append: bool) -> RuleUpdate:
        update = RuleUpdate(item.text("rule"), item.context, item.source())
        for key in keys:
            update.values[key] = self._value(item, key, append=append)
            if key in ("condition", "output"):
                update.contexts[key] = item.value_context(key, f"rule {key}")
        return update

    def _value(self, item: Item, key: str, *, append: bool) -> object:
        if key == "tags":
            return set(item.texts("tags"))
        if key == "exceptions":
            return self._exceptions(item, append=append)
        if key == "priority":
            return item.priority()
        if key == "capture_duration":
            return item.unsigned(key, 0)
        if key in ("enabled", "capture", "warn_evttypes", "skip-if-unknown-filter"):
            return item.bool(key, False)
        text = item.text(key)
        return text.strip() if key == "output" else text

    def _new_rule(self, item: Item) -> RuleItem:
        return RuleItem(
            name=item.text("rule"),
            context=item.context,
            condition=item.text("condition"),
            condition_context=item.value_context("condition", "rule condition"),
            output=item.text("output").strip(),
            output_context=item.value_context("output", "rule output"),
            desc=item.text("desc"),
            priority=item.priority(),
            source=item.source() or "syscall",
            enabled=item.bool("enabled", True),
            capture=item.bool("capture", False),
            capture_duration=item.unsigned("capture_duration", 0),
            warn_evttypes=item.bool("warn_evttypes", True),
            skip_if_unknown_filter=item.bool("skip-if-unknown-filter", False),
            tags=set(item.texts("tags")) if item.has("tags") else set(),
            exceptions=self._exceptions(item, append=False),
        )

    def _exceptions(self, item: Item, *, append: bool) -> list[RuleException]:
        value = item.node.get("exceptions")
        if value is None or is_null(value):
            return []
        context = item.context.at("exceptions", "", value.position)
        if not isinstance(value, Sequence):
            raise invalid("Rule exceptions must be a sequence", context)
        found: list[RuleException] = []
        for node in value.items:
            one = self._exception(node, item.context, append=append)
            if any(one.name == other.name for other in found):
                said = f"Multiple definitions of exception '{one.name}' in the same rule"
                self._warn("LOAD_EXCEPTION_NAME_NOT_UNIQUE", said, one.context)
            found.append(one)
        return found

    def _exception(self, node: Value, parent: Context, *, append: bool) -> RuleException:
        unnamed = parent.at("exception", "", node.position)
        if not isinstance(node, Mapping):
            raise invalid("Rule exception must be a mapping", unnamed)
        item = Item(node, unnamed)
        name = item.text("name")
        item.context = parent.at("exception", name, node.position)
        if not append and not item.has("fields"):
            raise invalid("Item has no mapping for key 'fields'", item.context)
        one = RuleException(name, item.context, item.entry("fields"), item.entry("comps"))
        values = node.get("values")
        if values is not None:
            context = item.context.at("exception values", "", values.position)
            if not isinstance(values, Sequence):
                raise invalid("Rule exception values must be a sequence", context)
            one.values = [
                entry(value, context.at("exception value", "", value.position)) for value in values.items
            ]
        elif append:
            said = "Overriding/appending exception with no values"
            self._warn("LOAD_APPEND_NO_VALUES", said, item.context)
        return one


def _not_both(append: bool, override: object, item: Item) -> None:
    if append and override:
        raise invalid(_BOTH, item.context)


def overrides(
    item: Item, appendable: tuple[str, ...], replaceable: tuple[str, ...]
) -> tuple[list[str], list[str]]:
    """The keys that `override` names with append, and with replace. Raises ItemError."""
    node = item.node.get("override")
    appended: list[str] = []
    replaced: list[str] = []
    if node is None:
        return appended, replaced
    context = item.context.at("overrides", "", node.position)
    if not isinstance(node, Mapping):
        raise invalid("Value of override must be a mapping of keys to 'append' or 'replace'", context)
    for key, (position, value) in node.entries.items():
        where = context.at("overrides", key, position)
        operation = value.text if isinstance(value, Scalar) else ""
        if operation == "append":
            if key not in appendable:
                raise invalid(f"Key '{key}' cannot be appended to, use 'replace' instead", where)
            appended.append(key)
        elif operation == "replace":
            if key not in replaceable:
                raise invalid(f"Key '{key}' cannot be replaced", where)
            replaced.append(key)
        else:
            allowed = ["append"] * (key in appendable) + ["replace"] * (key in replaceable)
            said = f"Invalid override operation for key '{key}': '{operation}'. "
            raise invalid(f"{said}Allowed values are: {' '.join(allowed)}", where)
    return appended, replaced
