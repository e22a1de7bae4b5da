"""YAML with the line of every value, `${VAR}` expanded inside scalars, and duplicate keys refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

Path_: TypeAlias = tuple[str | int, ...]
"""Where a value stands: ("outputs", "oncall", "url")."""

VALUES_MOST = 50_000
"""A few lines of aliases to aliases can stand for any number of values."""
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[^}]*)\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


class ConfigError(Exception):
    """All problems of a configuration at once, one a line."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
        self.files: Mapping[Path, tuple[int, ...] | None] = {}  # what was read, as in RelayConfig


@dataclass(slots=True)
class Document:
    """A parsed file: plain values, and the line (from 1) of each by its path."""

    file: Path
    value: Any = None
    lines: dict[Path_, int] = field(default_factory=dict)
    values: int = 0
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Path_) -> int:
        """The line of the value, or of the nearest one around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: Path_, text: str) -> None:
        self.problems.append(Problem(self.file, self.line(path), text))


def read(file: Path, environment: Mapping[str, str]) -> Document:
    """Parse the file. Raises ConfigError when it is no YAML at all; other problems are collected."""
    document = Document(file)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([Problem(file, 1, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(file, 1, f"is not UTF-8 at byte {error.start}")]) from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            document.value = _value(node, (), document, environment, depth=0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = error.problem or "not valid YAML"
        raise ConfigError([Problem(file, (mark.line if mark else 0) + 1, said)]) from None
    except yaml.YAMLError as error:
        raise ConfigError([Problem(file, 1, str(error).splitlines()[0])]) from None
    return document


def _value(
    node: yaml.Node, path: Path_, document: Document, environment: Mapping[str, str], *, depth: int
) -> Any:
    document.lines.setdefault(path, node.start_mark.line + 1)
    document.values += 1
    if document.values > VALUES_MOST:
        said = f"more than {VALUES_MOST} values; is an alias repeated in others?"
        raise ConfigError([Problem(document.file, node.start_mark.line + 1, said)])
    if depth > 20:  # anchors can be nested without end
        document.problem(path, "is nested too deeply")
        return None
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            here = (*path, key)
            if key in found:
                document.problems.append(
                    Problem(document.file, key_node.start_mark.line + 1, f"{key} is given twice")
                )
                continue
            document.lines[here] = key_node.start_mark.line + 1
            found[key] = _value(value_node, here, document, environment, depth=depth + 1)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [
            _value(item, (*path, at), document, environment, depth=depth + 1)
            for at, item in enumerate(node.value)
        ]
    return _scalar(node, path, document, environment)


def _scalar(node: yaml.Node, path: Path_, document: Document, environment: Mapping[str, str]) -> Any:
    def expand(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name = match["name"]
        if not match[0].endswith("}") or not _NAME.fullmatch(name):
            document.problem(path, f"{match[0]} is not a variable; write ${{NAME}}, or $$ for a dollar")
        elif name not in environment:
            document.problem(path, f"the variable {name} is not set")
        return environment.get(name, "")

    text: str = node.value
    if "$" in text:
        # What a variable holds is text, never more YAML.
        return _VARIABLE.sub(expand, text)
    loader = yaml.SafeLoader("")
    try:
        value = loader.construct_object(node)
    except (yaml.YAMLError, ValueError):
        document.problem(path, f"is not a value that is understood here: {node.tag.rpartition(':')[2]}")
        return None
    finally:
        loader.dispose()
    # A date, a set or bytes is nothing that a setting takes: what the person wrote.
    return value if value is None or isinstance(value, str | bool | int | float) else text
