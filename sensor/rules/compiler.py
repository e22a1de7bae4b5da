"""Definitions → rules that can be asked (rule_loader_compiler.cpp)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from condition import ConditionError, check, parse, walk
from condition.ast import Compare, Field, Macro, Node, Value
from condition.fields import Fields
from sensor.rules import known
from sensor.rules.collector import Collector, wrong
from sensor.rules.events import TOO_MANY, check_names, event_types
from sensor.rules.exceptions import with_exceptions
from sensor.rules.lists import TooLargeError, expand_items, substitute
from sensor.rules.macros import MAX_TREE_DEPTH, Expanded, expand
from sensor.rules.model import MacroItem, RuleItem
from sensor.rules.output import Output, OutputError, compile_output
from sensor.rules.problems import Context, ItemError, Problem
from sensor.rules.trees import fields_of, operands, values
from sensor.rules.versions import SUGGESTED_OUTPUT
from sensor.rules.vocabulary import Vocabulary

_SKIPPABLE = ("nonexistent field", "invalid formatting token", "unknown event type", "unknown filter:")
_CONTAINER_INFO = "%container.info"
_CONTAINER_INFO_IS_GONE = (
    "%container.info is deprecated and no more useful, and will be dropped by Falco 1.0.0. "
    "The container plugin will automatically add required fields to the output message."
)
_NO_EVENT_TYPE = "Rule matches too many evt.type values. This has a significant performance penalty."


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule of the files, checked. `lacking`: fields that its condition needs and the sensor lacks."""

    item: RuleItem
    condition: Node
    text: str  # with lists and exceptions put in
    output: Output
    types: frozenset[str]
    lacking: frozenset[str]
    uses: frozenset[str]  # names of all fields, of the condition and of the output


@dataclass(slots=True)
class Compilation:
    """What came out. A rule with an error is not among the rules."""

    rules: list[CompiledRule] = field(default_factory=list)
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


class _BrokenError(Exception):
    """A macro that is needed has an error, which has been said."""


def compile_all(collector: Collector, fields: Fields) -> Compilation:
    """All rules that are defined by now, in the order of their definition."""
    return _Compiler(collector, fields).run()


class _Compiler:
    def __init__(self, collector: Collector, fields: Fields) -> None:
        self._collector = collector
        self._fields = fields
        self._out = Compilation()
        self._lists: Mapping[str, list[str]] = {}
        self._used_lists: set[str] = set()
        self._used_macros: set[str] = set()
        self._macros: dict[str, Expanded] = {}
        self._broken: set[str] = set()
        self._macro_texts: dict[str, str] = {}

    def run(self) -> Compilation:
        try:
            self._lists, self._used_lists = expand_items(self._collector.lists)
        except TooLargeError as error:
            context = next(iter(self._collector.lists.values())).context
            self._out.errors.append(Problem("LOAD_ERR_VALIDATE", str(error), context))
            return self._out
        self._compile_macros()
        for rule in sorted(self._collector.rules.values(), key=lambda rule: rule.index):
            if not rule.unknown_source:
                self._attempt(lambda rule=rule: self._rule(rule))  # type: ignore[misc]
        self._warn_of_unused()
        return self._out

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except ItemError as fault:
            self._out.errors.append(fault.problem)
        except _BrokenError:
            pass

    def _warn(self, code: str, message: str, context: Context) -> None:
        self._out.warnings.append(Problem(code, message, context))

    # Text → tree

    def _parse(self, condition: str, context: Context) -> tuple[str, Node]:
        try:
            text = substitute(condition, self._lists, self._used_lists)
        except TooLargeError as error:
            raise ItemError("LOAD_ERR_COMPILE_CONDITION", str(error), context) from None
        try:
            return text, parse(text)
        except ConditionError as error:
            raise _condition_fault(error, text, context) from None

    def _compile_macros(self) -> None:
        trees: dict[str, Node] = {}
        for macro in self._collector.macros.values():
            self._attempt(lambda macro=macro: self._parse_macro(macro, trees))  # type: ignore[misc]
        for macro in sorted(self._collector.macros.values(), key=lambda macro: macro.index):
            self._attempt(lambda macro=macro: self._expand_macro(macro, trees))  # type: ignore[misc]

    def _parse_macro(self, macro: MacroItem, trees: dict[str, Node]) -> None:
        text, trees[macro.name] = self._parse(macro.condition, macro.condition_context)
        self._macro_texts[macro.name] = text

    def _expand_macro(self, macro: MacroItem, trees: dict[str, Node], depth: int = 0) -> None:
        """A macro sees those that were defined before its own last change."""
        if macro.name in self._macros:
            return  # another macro needed it before
        if macro.name in self._broken or macro.name not in trees:
            raise _BrokenError
        text, context = self._macro_texts[macro.name], macro.condition_context

        def look_up(node: Macro) -> Expanded:
            other = self._collector.macros.get(node.name)
            if other is None or (other is not macro and other.index >= macro.visibility):
                raise self._undefined(node, context, text)
            if other is macro or self._reaches(other, macro, trees):
                raise wrong(f"reference loop in macro '{node.name}'", context.in_condition(text, node.pos))
            if depth == MAX_TREE_DEPTH:
                raise wrong("macros are nested too deeply", context.in_condition(text, node.pos))
            self._expand_macro(other, trees, depth + 1)
            return self._expanded(node.name)

        self._broken.add(macro.name)
        self._macros[macro.name] = self._expand(trees[macro.name], look_up, context, text)
        self._broken.discard(macro.name)
        self._used_macros |= self._macros[macro.name].macros

    def _reaches(self, start: MacroItem, goal: MacroItem, trees: dict[str, Node]) -> bool:
        """Whether a macro uses another one, through however many in between."""
        if start.name in self._macros or start.name in self._broken:
            return False  # it is whole, so there is no loop in it; or what is wrong with it has been said
        seen: set[str] = set()
        todo = [start.name]
        while todo:
            name = todo.pop()
            if name == goal.name:
                return True
            if name in trees and name not in seen:
                seen.add(name)
                todo.extend(node.name for node in walk(trees[name]) if isinstance(node, Macro))
        return False

    def _expanded(self, name: str) -> Expanded:
        if name not in self._macros:
            raise _BrokenError
        return self._macros[name]

    @staticmethod
    def _expand(tree: Node, look_up: Callable[[Macro], Expanded], context: Context, text: str) -> Expanded:
        try:
            return expand(tree, look_up)
        except ConditionError as error:
            raise _condition_fault(error, text, context) from None

    @staticmethod
    def _undefined(node: Macro, context: Context, text: str) -> ItemError:
        return wrong(f"Undefined macro '{node.name}' used in filter.", context.in_condition(text, node.pos))

    # Rules

    def _rule(self, rule: RuleItem) -> None:
        condition = with_exceptions(rule.condition, rule.exceptions)
        output = self._output(rule)
        text, tree = self._parse(condition, rule.condition_context)

        def look_up(node: Macro) -> Expanded:
            if node.name not in self._collector.macros:
                raise self._undefined(node, rule.condition_context, text)
            return self._expanded(node.name)

        expanded = self._expand(tree, look_up, rule.condition_context, text)
        self._used_macros |= expanded.macros
        vocabulary = Vocabulary(self._fields)
        try:
            check_names(expanded.node)
            check(expanded.node, vocabulary)
        except ConditionError as error:
            fault = self._located(error, expanded, text, rule)
            if self._skipped(fault, rule):
                return
            raise fault from None
        if output is None:
            return
        self._warn_of_condition(expanded.node, rule)
        types = event_types(expanded.node)
        if len(types) > TOO_MANY and rule.warn_evttypes:
            self._warn("LOAD_NO_EVTTYPE", _NO_EVENT_TYPE, rule.context)
        read = [operand for node in walk(expanded.node) for operand in operands(node)]
        uses = {one.name for operand in [*read, *output.operands] for one in fields_of(operand)}
        self._out.rules.append(
            CompiledRule(
                rule, expanded.node, text, output, types, frozenset(vocabulary.lacking), frozenset(uses)
            )
        )

    def _output(self, rule: RuleItem) -> Output | None:
        """None if the rule is skipped for it."""
        text = rule.output
        if _CONTAINER_INFO in text:
            self._warn("LOAD_DEPRECATED_ITEM", _CONTAINER_INFO_IS_GONE, rule.context)
            text = text.replace(_CONTAINER_INFO, "")
        try:
            output = compile_output(f"{text} {SUGGESTED_OUTPUT}", Vocabulary(self._fields))
        except OutputError as error:
            context = rule.output_context.at(
                "rule output expression", "", rule.output_context.locations[-1].position
            )
            fault = ItemError("LOAD_ERR_COMPILE_OUTPUT", str(error), context)
            if self._skipped(fault, rule):
                return None
            raise fault from None
        for name in sorted(known.DEPRECATED):
            if any(one.name == name for operand in output.operands for one in fields_of(operand)):
                said = f"usage of deprecated field '{name}' has been detected in the rule output"
                self._warn("LOAD_DEPRECATED_ITEM", said, rule.output_context)
        return output

    def _skipped(self, fault: ItemError, rule: RuleItem) -> bool:
        """skip-if-unknown-filter: the rule goes, with a warning."""
        message = fault.problem.message
        if not rule.skip_if_unknown_filter or not any(text in message for text in _SKIPPABLE):
            return False
        self._warn("LOAD_UNKNOWN_FILTER", message, fault.problem.context)
        return True

    def _located(self, error: ConditionError, expanded: Expanded, text: str, rule: RuleItem) -> ItemError:
        """The place of the error, which may be in one of the macros."""
        for name in sorted(expanded.macros):
            macro = self._collector.macros[name]
            if self._has_error(self._macros[name].node, error):
                inner = self._macros[name].macros
                if not any(self._has_error(self._macros[other].node, error) for other in inner):
                    return _condition_fault(error, self._macro_texts[name], macro.condition_context)
        return _condition_fault(error, text, rule.condition_context)

    def _has_error(self, node: Node, error: ConditionError) -> bool:
        try:
            check_names(node)
            check(node, Vocabulary(self._fields))
        except ConditionError as found:
            return found.message == error.message and found.pos == error.pos
        return False

    def _warn_of_condition(self, tree: Node, rule: RuleItem) -> None:
        deprecated: set[str] = set()
        for node in walk(tree):
            for operand in operands(node):
                deprecated |= {one.name for one in fields_of(operand) if one.name in known.DEPRECATED}
            if isinstance(node, Compare):
                for value in values(node):
                    self._warn_of_value(value, rule)
        for name in sorted(deprecated):
            said = f"usage of deprecated field '{name}' has been detected in the rule condition"
            self._warn("LOAD_DEPRECATED_ITEM", said, rule.condition_context)

    def _warn_of_value(self, value: Value, rule: RuleItem) -> None:
        if known.is_known(Field(value.text.strip())):
            said = f"'{value.text}' may be a valid field misused as a const string value"
            self._warn("LOAD_COMPILE_CONDITION", said, rule.condition_context)

    def _warn_of_unused(self) -> None:
        for macro in self._collector.macros.values():
            if macro.name not in self._used_macros:
                said = "Macro not referred to by any other rule/macro"
                self._warn("LOAD_UNUSED_MACRO", said, macro.context)
        for one in self._collector.lists.values():
            if one.name not in self._used_lists:
                self._warn("LOAD_UNUSED_LIST", "List not referred to by any other rule/macro", one.context)


def _condition_fault(error: ConditionError, text: str, context: Context) -> ItemError:
    return ItemError("LOAD_ERR_COMPILE_CONDITION", error.message, context.in_condition(text, error.pos or 0))
