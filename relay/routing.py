"""Which alert goes to which output: `match:`, `minimum_priority:` and `enabled:` of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from relay.alert import PRIORITIES, Alert, priority_number

if TYPE_CHECKING:
    from relay.config.settings import OutputSettings

WhyNot = Callable[[Alert], str | None]


@dataclass(frozen=True, slots=True)
class Routing:
    """One output's routing; as text it is a generation of the journal."""

    match: str | None = None
    minimum_priority: int | None = None
    enabled: bool = True

    @classmethod
    def of(cls, settings: OutputSettings) -> Routing:
        return cls(settings.match, settings.minimum_priority, settings.enabled)

    @classmethod
    def from_text(cls, text: Mapping[str, str]) -> Routing:
        """Of a generation; an unknown name of a later program is left out."""
        least = text.get("minimum_priority")
        return cls(
            text.get("match"), priority_number(least) if least else None, text.get("enabled") != "false"
        )

    def as_text(self) -> dict[str, str]:
        """Only what differs from "everything": the same routing is always the same text."""
        text = {}
        if self.match is not None:
            text["match"] = self.match
        if self.minimum_priority is not None:
            text["minimum_priority"] = PRIORITIES[self.minimum_priority].lower()
        if not self.enabled:
            text["enabled"] = "false"
        return text

    def problems(self, custom_fields: frozenset[str]) -> list[str]:
        """What is wrong with `match`, with its position."""
        if self.match is None:
            return []
        try:
            _compile(self.match, custom_fields)
        except ValueError as error:
            return [str(error)]
        return []

    def cautions(self) -> list[str]:
        """What in `match` is right and probably not meant."""
        if self.match is None:
            return []
        from condition import Dialect, cautions, parse  # noqa: PLC0415
        from relay.alert_fields import ALWAYS_THERE  # noqa: PLC0415

        found = cautions(parse(self.match, Dialect.ALERT), ALWAYS_THERE)
        return [f"character {caution.pos + 1}: {caution.message}" for caution in found]

    def why_not(self) -> WhyNot | None:
        """A function that says why an alert is left out; None when every alert is taken."""
        if self == Routing():
            return None
        holds = None
        if self.match is not None:
            holds = _compile(self.match, None)
        match, least, enabled = self.match, self.minimum_priority, self.enabled

        def judge(alert: Alert) -> str | None:
            if not enabled:
                return "the output is not enabled"
            if least is not None and alert.priority > least:
                return f"below minimum_priority {PRIORITIES[least]}"
            if holds is not None and not holds(alert):
                return f"match does not hold: {match}"
            return None

        return judge


def _compile(match: str, custom_fields: frozenset[str] | None) -> Callable[[Alert], bool]:
    """Raises ConditionError (a ValueError). `custom_fields` None: every dotless name may be a field."""
    # Loaded only when some output has a `match:`.
    from condition import Dialect, compile_condition, parse  # noqa: PLC0415
    from relay.alert_fields import AlertFields  # noqa: PLC0415

    return compile_condition(parse(match, Dialect.ALERT), AlertFields(custom_fields), match)


@lru_cache(maxsize=256)
def _compiled(text: tuple[tuple[str, str], ...]) -> WhyNot | None:
    try:
        return Routing.from_text(dict(text)).why_not()
    except ValueError as error:
        # Written by another version of the program.
        said = f"this routing cannot be read any more: {error}"
        return lambda alert: said


def judge(text: Mapping[str, str], alert: Alert) -> str | None:
    """Why a generation's routing leaves the alert out; None if it takes it. Never raises."""
    why_not = _compiled(tuple(sorted(text.items())))
    return why_not(alert) if why_not else None
