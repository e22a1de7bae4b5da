"""What an output's `match:` may ask of an alert: the table of fields of the alert dialect.

Names without a dot are the alert's own and the configuration's custom fields; every name with a dot is a key
of `output_fields` (`proc.aname[2]` with its brackets), whose type is only known from the alert.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from condition.fields import FieldInfo, Kind, Many, UnknownFieldError
from relay.alert import PRIORITIES, PRIORITY_NUMBERS, Alert

_LEAST = len(PRIORITIES) - 1
# "At least as urgent as" reads as `>=`: Falco's own words, and the reverse of the numbers.
_URGENCY = {name: _LEAST - number for name, number in PRIORITY_NUMBERS.items()}

_OWN = {
    info.name: info
    for info in (
        FieldInfo("priority", Kind.NUMBER, lambda alert: _LEAST - alert.priority, names=_URGENCY),
        FieldInfo("rule", Kind.STRING, lambda alert: alert.rule),
        FieldInfo("source", Kind.STRING, lambda alert: alert.source or None),
        FieldInfo("hostname", Kind.STRING, lambda alert: alert.hostname or None),
        FieldInfo("tags", Kind.STRING, lambda alert: alert.tags, Many.LIST),
        FieldInfo("output", Kind.STRING, lambda alert: alert.output),
    )
}
ALWAYS_THERE = frozenset({"priority", "rule", "output"})
"""Fields that every alert has."""


class AlertFields:
    """Implements condition.fields.Fields over relay.alert.Alert.

    `custom_fields` are the configuration's; None: every name without a dot may be one, as in the routing of
    an earlier configuration, which is not at hand any more.
    """

    def __init__(self, custom_fields: frozenset[str] | None = frozenset()) -> None:
        self._custom = custom_fields

    def resolve(self, name: str, arg: str | None) -> FieldInfo:
        """The field and its getter. Raises UnknownFieldError."""
        own = _OWN.get(name)
        if own is not None:
            if arg is not None:
                raise UnknownFieldError(f"{name}[{arg}]: {name} takes no argument")
            return own
        if "." not in name and self._custom is not None and name not in self._custom:
            raise UnknownFieldError(self._unknown(name))
        key = name if arg is None else f"{name}[{arg}]"
        return FieldInfo(key, Kind.DYNAMIC, _output_field(key))

    def _unknown(self, name: str) -> str:
        names = sorted([*_OWN, *(self._custom or ())])
        near = difflib.get_close_matches(name, names, 1)
        right = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}."
        return f"unknown field '{name}': {right} The fields of output_fields have a dot, as in proc.name."


def _output_field(key: str) -> Callable[[Alert], Any]:
    return lambda alert: alert.output_fields.get(key)
