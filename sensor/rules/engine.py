"""Which rules an event fulfils."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import structlog

from condition import compile_condition
from condition.ast import Node, Or
from condition.fields import Fields
from sensor.event import Event
from sensor.rules.events import for_type
from sensor.rules.ruleset import Rule, RuleSet

Test: TypeAlias = Callable[[Event], bool]

log = structlog.get_logger("sensor")


@dataclass(frozen=True, slots=True)
class _Tests:
    """What one type of event is asked. `any` holds if any of the rules does: most events fulfil none."""

    any: Test
    each: tuple[tuple[Test, Rule], ...]


class Engine:
    """Implements sensor.pipeline.Judge. Rules are asked in the order of their definition.

    With `first` the first rule that an event fulfils is the only one, with `all` every one counts.
    """

    def __init__(self, rules: RuleSet, fields: Fields, matching: Literal["first", "all"] = "first") -> None:
        self.failures = 0
        self._first = matching == "first"
        self._fields = fields
        self._compiled: dict[Node, Test] = {}
        self._by_type = {type_: self._tests(rules, type_) for type_ in sorted(rules.events)}

    def _tests(self, rules: RuleSet, type_: str) -> _Tests:
        nodes: list[Node] = []
        each: list[tuple[Test, Rule]] = []
        always = False
        for rule in rules.live:
            node = for_type(rule.condition, type_) if type_ in rule.events else False
            if isinstance(node, bool):
                always = always or node
                if node:
                    each.append((_always, rule))
                continue
            nodes.append(node)
            each.append((self._compile(node), rule))
        one = _always if always else self._compile(Or(tuple(nodes)) if len(nodes) > 1 else nodes[0])
        return _Tests(one, tuple(each))

    def _compile(self, node: Node) -> Test:
        """Types of event that are asked the same share the function."""
        if node not in self._compiled:
            self._compiled[node] = compile_condition(node, self._fields)
        return self._compiled[node]

    def match(self, event: Event) -> Sequence[Rule]:
        """The rules that the event fulfils. A rule that fails counts as not fulfilled, and is logged."""
        tests = self._by_type.get(event.type)
        if tests is None:
            return ()
        try:
            if not tests.any(event):
                return ()
        except Exception:
            # Which rule it was, and what the others say, is found out below.
            return self._each(tests, event)
        return self._each(tests, event)

    def _each(self, tests: _Tests, event: Event) -> Sequence[Rule]:
        found: list[Rule] = []
        for test, rule in tests.each:
            try:
                if not test(event):
                    continue
            except Exception as error:
                self._fail(rule, error)
                continue
            found.append(rule)
            if self._first:
                break
        return found

    def _fail(self, rule: Rule, error: Exception) -> None:
        self.failures += 1
        if self.failures & (self.failures - 1) == 0:  # the 1st, 2nd, 4th, 8th, …
            log.error("rule failed", rule=rule.name, times=self.failures, exc_info=error)


def _always(event: Event) -> bool:
    return True
