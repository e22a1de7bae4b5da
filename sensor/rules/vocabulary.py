"""The fields that conditions and outputs are checked against: the sensor's, and all that Falco knows."""

from __future__ import annotations

from condition.fields import FieldInfo, Fields, UnknownFieldError
from sensor.rules import known


class Vocabulary:
    """Implements condition.fields.Fields. A field that only Falco has is always absent, and is noted."""

    def __init__(self, sensor: Fields) -> None:
        self._sensor = sensor
        self.lacking: set[str] = set()

    def resolve(self, name: str, arg: str | None) -> FieldInfo:
        """Raises UnknownFieldError, with "nonexistent field", for what Falco does not know."""
        there = known.resolve(name, arg)
        try:
            return self._sensor.resolve(name, arg)
        except UnknownFieldError:
            self.lacking.add(name if arg is None else f"{name}[{arg}]")
            return there
