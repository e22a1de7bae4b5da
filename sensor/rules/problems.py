"""What is wrong with rules, and where: Falco's codes, texts and contexts (falco_load_result.cpp)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

SNIPPET_WIDTH = 160
"""Characters of a long line that are shown around the place."""

ERRORS: Mapping[str, str] = {
    "LOAD_ERR_FILE_READ": "File read error",
    "LOAD_ERR_YAML_PARSE": "YAML parse error",
    "LOAD_ERR_YAML_VALIDATE": "Error validating internal structure of YAML file",
    "LOAD_ERR_COMPILE_CONDITION": "Error compiling condition",
    "LOAD_ERR_COMPILE_OUTPUT": "Error compiling output",
    "LOAD_ERR_VALIDATE": "Error validating rule/macro/list/exception objects",
}
WARNINGS: Mapping[str, str] = {
    "LOAD_UNKNOWN_SOURCE": "Unknown event source",
    "LOAD_NO_EVTTYPE": "Condition has no event-type restriction",
    "LOAD_UNKNOWN_FILTER": "Unknown field or event-type in condition or output",
    "LOAD_UNUSED_MACRO": "Unused macro",
    "LOAD_UNUSED_LIST": "Unused list",
    "LOAD_UNKNOWN_ITEM": "Unknown rules file item",
    "LOAD_DEPRECATED_ITEM": "Used deprecated item",
    "LOAD_APPEND_NO_VALUES": "Overriding/appending with no values",
    "LOAD_EXCEPTION_NAME_NOT_UNIQUE": "Multiple exceptions defined with the same name",
    "LOAD_INVALID_MACRO_NAME": "Invalid macro name",
    "LOAD_INVALID_LIST_NAME": "Invalid list name",
    "LOAD_COMPILE_CONDITION": "Warning in rule condition",
    "LOAD_UNKNOWN_KEY": "Unknown key in item definition",
    # Our own: what Falco has and the sensor does not have yet.
    "SENSOR_LACKS_FIELD": "Field that the sensor does not have",
    "SENSOR_LACKS_EVENT": "Event that the sensor does not have",
}


@dataclass(frozen=True, slots=True)
class Position:
    """0-based, as Falco's."""

    line: int = 0
    column: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Location:
    """One step of the way to the place: `rule 'x'` in a file."""

    item_type: str
    item_name: str
    name: str  # of the file; for a condition, its beginning in quotes
    position: Position


@dataclass(frozen=True, slots=True)
class Context:
    """The way from the file to the place. `text` is what the last location's position is in."""

    locations: tuple[Location, ...]
    text: str

    @classmethod
    def of_file(cls, name: str, text: str) -> Context:
        return cls((Location("rules content", "", name, Position()),), text)

    @property
    def file(self) -> str:
        return self.locations[0].name

    @property
    def line(self) -> int:
        """The line of the file, from 1: of the innermost place that is in the file itself."""
        inside = [place for place in self.locations if place.name == self.file]
        return inside[-1].position.line + 1

    def at(self, item_type: str, item_name: str, position: Position) -> Context:
        """A place inside of this one."""
        return replace(self, locations=(*self.locations, Location(item_type, item_name, self.file, position)))

    def in_condition(self, condition: str, offset: int) -> Context:
        """A place in a condition, `offset` characters from its beginning."""
        short = condition if len(condition) <= 20 else condition[:17] + "..."
        short = short.replace("\n", " ").replace("\r", " ")
        before = condition[:offset]
        line = before.count("\n")
        place = Position(line, offset - (before.rfind("\n") + 1), offset)
        step = Location("condition expression", "", f'"{short}"', place)
        return Context((*self.locations, step), condition)

    def describe(self) -> str:
        lines: list[str] = []
        for place in self.locations:
            named = f" '{place.item_name}'" if place.item_name else ""
            at = place.position
            lead = "    " if lines else "In "
            lines.append(f"{lead}{place.item_type}{named}: ({place.name}:{at.line + 1}:{at.column + 1})")
        return "\n".join(lines)

    def snippet(self) -> str:
        """The line of the place, cut around it, and a mark below."""
        text, at = self.text, min(self.locations[-1].position.offset, max(0, len(self.text) - 1))
        if not text.strip():
            return "<No context available>"
        while at > 0 and text[at] == "\n":
            at -= 1
        start = text.rfind("\n", 0, at) + 1
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        left, right = max(start, at - SNIPPET_WIDTH // 2), min(end, at + SNIPPET_WIDTH // 2)
        lead, tail = "..." * (left > start), "..." * (right < end)
        return f"{lead}{text[left:right]}{tail}\n{' ' * (len(lead) + at - left)}^"

    def as_json(self) -> dict[str, Any]:
        places = [
            {
                "item_type": place.item_type,
                "item_name": place.item_name,
                "position": {
                    "name": place.name,
                    "line": place.position.line,
                    "column": place.position.column,
                    "offset": place.position.offset,
                },
            }
            for place in self.locations
        ]
        return {"locations": places, "snippet": self.snippet()}


@dataclass(frozen=True, slots=True)
class Problem:
    """One error or warning."""

    code: str
    message: str
    context: Context

    @property
    def is_error(self) -> bool:
        return self.code in ERRORS

    @property
    def title(self) -> str:
        return ERRORS.get(self.code) or WARNINGS[self.code]

    def __str__(self) -> str:
        """One line, with the file and the line."""
        named = [place for place in self.context.locations if place.item_name]
        item = f"{named[0].item_type} '{named[0].item_name}': " if named else ""
        return f"{self.context.file}:{self.context.line}: {item}{self.message}"

    def describe(self) -> str:
        """Falco's long form."""
        place = f"{self.context.describe()}\n------\n{self.context.snippet()}\n------"
        return f"{place}\n{self.code} ({self.title}): {self.message}"

    def as_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "codedesc": self.title,
            "message": self.message,
            "context": self.context.as_json(),
        }


class ItemError(Exception):
    """One error, raised where it is found and collected where the next item begins."""

    def __init__(self, code: str, message: str, context: Context) -> None:
        super().__init__(message)
        self.problem = Problem(code, message, context)


class RulesError(Exception):
    """All errors of the rule files at once; `warnings` beside them."""

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        super().__init__("\n".join(map(str, self.problems)))
