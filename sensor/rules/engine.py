"""Which rules an event fulfils."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import structlog

from condition import NEVER, assume, compile_condition, compile_conditions
from condition.ast import Node
from condition.fields import Fields
from sensor.event import Event
from sensor.rules.ruleset import Rule, RuleSet

_Asked: TypeAlias = tuple[tuple[Node, Rule], ...]

log = structlog.get_logger("sensor")


class Engine:
    """Implements sensor.pipeline.Judge. Rules are asked in the order of their definition.

    With `first` the first rule that an event fulfils is the only one, with `all` every one counts.
    """

    def __init__(self, rules: RuleSet, fields: Fields, matching: Literal["first", "all"] = "first") -> None:
        self.failures = 0
        self._first = matching == "first"
        self._fields = fields
        self._asked: dict[str, _Asked] = {}
        self._together: dict[str, Callable[[Event], tuple[Rule, ...]]] = {}
        self._alone: dict[Node, Callable[[Event], bool]] = {}
        compiled: dict[_Asked, Callable[[Event], tuple[Rule, ...]]] = {}
        for type_ in sorted(rules.events):
            asked = self._rules_for(rules, type_)
            self._asked[type_] = asked
            # Types of event that are asked the same, such as open and openat, share the function.
            if asked not in compiled:
                compiled[asked] = compile_conditions(asked, fields)
            self._together[type_] = compiled[asked]

    def _rules_for(self, rules: RuleSet, type_: str) -> _Asked:
        found: list[tuple[Node, Rule]] = []
        for rule in rules.live:
            if type_ in rule.events:
                node = assume(rule.condition, self._fields, "evt.type", type_)
                if node != NEVER:
                    found.append((node, rule))
        return tuple(found)

    def match(self, event: Event) -> Sequence[Rule]:
        """The rules that the event fulfils. A rule that fails counts as not fulfilled, and is logged."""
        ask = self._together.get(event.type)
        if ask is None:
            return ()
        try:
            found = ask(event)
        except Exception:
            # Which rule it was, and what the others say, is found out by asking each alone.
            return self._ask_each(event)
        return found[:1] if self._first else found

    def _ask_each(self, event: Event) -> Sequence[Rule]:
        found: list[Rule] = []
        for node, rule in self._asked[event.type]:
            try:
                if not self._test(node)(event):
                    continue
            except Exception as error:
                self._fail(rule, error)
                continue
            found.append(rule)
            if self._first:
                break
        return found

    def _test(self, node: Node) -> Callable[[Event], bool]:
        if node not in self._alone:
            self._alone[node] = compile_condition(node, self._fields)
        return self._alone[node]

    def _fail(self, rule: Rule, error: Exception) -> None:
        self.failures += 1
        if self.failures & (self.failures - 1) == 0:  # the 1st, 2nd, 4th, 8th, …
            log.error("rule failed", rule=rule.name, times=self.failures, exc_info=error)
