"""The rules of the configured files: those that are live, and why the others are not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from condition.ast import Node
from condition.fields import Fields
from sensor.config import PRIORITIES, SensorConfig
from sensor.metadata import needed
from sensor.rules.collector import Collector
from sensor.rules.compiler import Compilation, CompiledRule, compile_all
from sensor.rules.events import TOO_MANY
from sensor.rules.output import Output
from sensor.rules.problems import Context, Problem, RulesError
from sensor.rules.reader import Reader
from sensor.rules.source import MAX_BYTES
from sensor.table import SUPPORTED_EVENTS

_ENVIRONMENT = frozenset({"proc.env", "proc.aenv"})


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that is live. `events` are the types of event that it can be true for and the sensor has."""

    name: str
    desc: str
    priority: str  # as in alerts: Warning
    source: str
    tags: tuple[str, ...]  # sorted
    condition: Node
    output: Output
    events: frozenset[str]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A rule that should be live and cannot be."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class RuleSet:
    """`disabled` are rules that are off because somebody said so; nothing is wrong with them."""

    live: tuple[Rule, ...]
    left_out: tuple[LeftOut, ...]
    disabled: tuple[LeftOut, ...]
    warnings: tuple[Problem, ...]
    hash: str  # sha256 of the files, in hex
    needs_env: bool

    @property
    def events(self) -> frozenset[str]:
        """The types of event that some live rule can be true for."""
        return frozenset().union(*(rule.events for rule in self.live))


def load_rules(config: SensorConfig, fields: Fields) -> RuleSet:
    """The rules of `rules_files`. Raises RulesError with everything that is wrong."""
    contents: list[tuple[str, str]] = []
    problems: list[Problem] = []
    for path in rule_files(config.rules_files):
        try:
            with path.open("rb") as file:
                data = file.read(4 * MAX_BYTES + 1)
            contents.append((str(path), data.decode("utf-8")))
        except OSError as error:
            problems.append(_unreadable(path, error.strerror or str(error)))
        except UnicodeDecodeError as error:
            problems.append(_unreadable(path, f"it is not UTF-8 at byte {error.start}"))
    return rules_of(contents, config, fields, problems)


def rule_files(paths: Iterable[Path]) -> list[Path]:
    """The files; of a directory its *.yaml and *.yml in the order of their names."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found.extend(sorted(one for one in path.iterdir() if one.suffix in (".yaml", ".yml")))
        else:
            found.append(path)
    return found


def _unreadable(path: Path, why: str) -> Problem:
    return Problem("LOAD_ERR_FILE_READ", f"cannot be read: {why}", Context.of_file(str(path), ""))


def rules_of(
    contents: Sequence[tuple[str, str]],
    config: SensorConfig,
    fields: Fields,
    problems: Iterable[Problem] = (),
) -> RuleSet:
    """As load_rules, from names and texts; `problems` were found before."""
    errors, warnings = list(problems), list[Problem]()
    compilation = Compilation()
    for loaded in load_each(contents, fields):
        errors.extend(one for one in loaded.errors if one not in errors)
        warnings.extend(loaded.read_warnings)
        compilation = loaded.compilation
    warnings.extend(compilation.warnings)
    if errors:
        raise RulesError(errors, warnings)
    return _sorted_out(compilation, config, warnings, _digest(contents))


@dataclass(frozen=True, slots=True)
class Loaded:
    """One file, and everything before it, compiled."""

    errors: list[Problem]
    read_warnings: list[Problem]
    compilation: Compilation


def load_each(contents: Sequence[tuple[str, str]], fields: Fields) -> Iterable[Loaded]:
    """After each file everything is compiled again, as Falco does: a file must stand on those before it."""
    said: list[Problem] = []
    collector = Collector(said.append)
    reader = Reader(collector, said.append)
    for name, text in contents:
        said.clear()
        reader.file(name, text)
        compilation = compile_all(collector, fields)
        errors = [one for one in said if one.is_error]
        warnings = [one for one in said if not one.is_error]
        yield Loaded([*errors, *compilation.errors], warnings, compilation)


def _digest(contents: Sequence[tuple[str, str]]) -> str:
    digest = hashlib.sha256()
    for _, text in contents:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _sorted_out(
    compilation: Compilation, config: SensorConfig, warnings: list[Problem], digest: str
) -> RuleSet:
    live: list[Rule] = []
    left_out: list[LeftOut] = []
    disabled: list[LeftOut] = []
    least = PRIORITIES.index(config.priority)
    env = False
    for rule in compilation.rules:
        name, why = rule.item.name, _switched_off(rule, least)
        if why is not None:
            disabled.append(LeftOut(name, why))
            continue
        lack = _lack(rule)
        if lack is not None:
            warnings.append(lack)
            left_out.append(LeftOut(name, lack.message))
            continue
        warnings.extend(_partly(rule))
        live.append(_live(rule))
        env = env or bool(rule.uses & _ENVIRONMENT)
    return RuleSet(tuple(live), tuple(left_out), tuple(disabled), tuple(warnings), digest, env)


def _switched_off(rule: CompiledRule, least: int) -> str | None:
    if not rule.item.enabled:
        return "enabled: false"
    if rule.item.priority > least:
        return f"priority {PRIORITIES[rule.item.priority]} is below {PRIORITIES[least]}"
    return None


def _lack(rule: CompiledRule) -> Problem | None:
    """Why the rule can never speak here."""
    if rule.lacking:
        names = ", ".join(sorted(rule.lacking))
        return Problem(
            "SENSOR_LACKS_FIELD", f"needs {names}: the sensor does not have it yet", rule.item.context
        )
    dead = needed(rule.condition)
    if dead:
        names = ", ".join(sorted(dead))
        said = f"needs {names}: the sensor does not ask the containers' runtime yet"
        return Problem("SENSOR_LACKS_FIELD", said, rule.item.context)
    if rule.types and not rule.types & SUPPORTED_EVENTS:
        names = _some(rule.types)
        said = f"needs the event {names}: the sensor does not have it yet"
        return Problem("SENSOR_LACKS_EVENT", said, rule.item.context)
    return None


def _partly(rule: CompiledRule) -> Iterable[Problem]:
    """Types of event that the rule names and that the sensor lacks, beside those that it has."""
    missing = rule.types - SUPPORTED_EVENTS
    if missing and len(rule.types) <= TOO_MANY:
        said = f"is live, but does not see {_some(missing)}: the sensor does not have that event yet"
        yield Problem("SENSOR_LACKS_EVENT", said, rule.item.context)


def _some(names: frozenset[str]) -> str:
    first = sorted(names)
    return ", ".join(first[:8]) + (f" and {len(first) - 8} more" if len(first) > 8 else "")


def _live(rule: CompiledRule) -> Rule:
    item = rule.item
    return Rule(
        item.name,
        item.desc,
        PRIORITIES[item.priority].capitalize(),
        item.source,
        tuple(sorted(item.tags)),
        rule.condition,
        rule.output,
        rule.types & SUPPORTED_EVENTS,
    )
