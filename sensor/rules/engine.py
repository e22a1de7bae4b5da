"""Which rules an event fulfils."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import structlog

from condition import compile_condition
from condition.ast import Node
from condition.fields import Fields
from sensor.event import Event
from sensor.rules.events import for_type
from sensor.rules.ruleset import Rule, RuleSet

Test: TypeAlias = Callable[[Event], bool]

log = structlog.get_logger("sensor")


class Engine:
    """Implements sensor.pipeline.Judge. Rules are asked in the order of their definition.

    With `first` the first rule that an event fulfils is the only one, with `all` every one counts.
    """

    def __init__(self, rules: RuleSet, fields: Fields, matching: Literal["first", "all"] = "first") -> None:
        self.failures = 0
        self._first = matching == "first"
        compiled: dict[Node, Test] = {}
        self._by_type: dict[str, tuple[tuple[Test, Rule], ...]] = {}
        for type_ in sorted(rules.events):
            tests: list[tuple[Test, Rule]] = []
            for rule in rules.live:
                node = for_type(rule.condition, type_) if type_ in rule.events else False
                if isinstance(node, bool):
                    if node:
                        tests.append((_always, rule))
                    continue
                if node not in compiled:
                    compiled[node] = compile_condition(node, fields)
                tests.append((compiled[node], rule))
            self._by_type[type_] = tuple(tests)

    def match(self, event: Event) -> Sequence[Rule]:
        """The rules that the event fulfils. A rule that fails counts as not fulfilled, and is logged."""
        found: list[Rule] = []
        for test, rule in self._by_type.get(event.type, ()):
            try:
                if not test(event):
                    continue
            except Exception as error:
                self._fail(rule, error)
                continue
            if self._first:
                return (rule,)
            found.append(rule)
        return found

    def _fail(self, rule: Rule, error: Exception) -> None:
        self.failures += 1
        if self.failures & (self.failures - 1) == 0:  # the 1st, 2nd, 4th, 8th, …
            log.error("rule failed", rule=rule.name, times=self.failures, exc_info=error)


def _always(event: Event) -> bool:
    return True
