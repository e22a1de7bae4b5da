"""Reading relay.yaml: everything that is wrong with it is said at once, with its line."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from relay import outputs
from relay.config.files import Identity, identity, named_in
from relay.config.model import OUTPUT_NAME, General, RelayConfig
from relay.config.settings import SECRET_FILE, OutputSettings
from relay.config.yaml_lines import ConfigError, Document, read
from relay.routing import Routing


def load(file: Path, environment: Mapping[str, str] | None = None) -> RelayConfig:
    """The checked configuration. Raises ConfigError with every problem."""
    # Noted before they are read: what is written meanwhile is a change.
    files = {file: identity(file)}
    try:
        return _load(file, os.environ if environment is None else environment, files)
    except ConfigError as error:
        error.files = files
        raise


def _load(file: Path, environment: Mapping[str, str], files: dict[Path, Identity]) -> RelayConfig:
    document = read(file, environment)
    files.update((path, identity(path)) for path in named_in(document.value))
    value = {} if document.value is None else document.value
    if not isinstance(value, dict):
        document.problem((), "expected keys and values, such as `listen: 127.0.0.1:2801`")
        raise ConfigError(document.problems)
    given = dict(value)
    listed = given.pop("outputs", None) or {}
    general = _validate(General, given, (), document, extra=("outputs",))
    found: dict[str, OutputSettings] = {}
    if not isinstance(listed, dict):
        document.problem(("outputs",), "expected a name and settings for each output")
        listed = {}
    custom = frozenset(general.custom_fields) if general else frozenset[str]()
    for name, settings in listed.items():
        checked = _output(name, settings, document, custom)
        if checked is not None:
            found[name] = checked
    _check_renames(found, listed, document)
    if document.problems:
        raise ConfigError(sorted(document.problems, key=lambda problem: problem.line))
    assert general is not None
    return RelayConfig(file, general, found, files)


def _check_renames(
    found: Mapping[str, OutputSettings], listed: Mapping[str, Any], document: Document
) -> None:
    taken: dict[str, str] = {}
    for name, settings in found.items():
        old = settings.renamed_from
        if old is None:
            continue
        path = ("outputs", name, "renamed_from")
        if old in listed:
            document.problem(path, f"{name}: renamed_from: {old} is still an output here")
        elif old in taken:
            document.problem(path, f"{name}: renamed_from: {old} has become {taken[old]} already")
        taken[old] = name


def _output(name: str, given: Any, document: Document, custom: frozenset[str]) -> OutputSettings | None:
    path = ("outputs", name)
    if not OUTPUT_NAME.fullmatch(name):
        document.problem(
            path, f"{name!r} cannot be an output's name: letters, digits, `.`, `_`, `-`, at most 64"
        )
    if not isinstance(given, dict):
        document.problem(path, f"{name}: expected settings, at least `type:`")
        return None
    kind = given.get("type")
    if kind not in outputs.TYPES:
        said = "has no `type:`" if kind is None else f"type {kind!r} is not known"
        document.problem(
            (*path, "type"),
            f"{name}: {said}{_nearest(str(kind), outputs.TYPES)}; there are {', '.join(outputs.TYPES)}",
        )
        return None
    settings: OutputSettings | None = _validate(
        outputs.load(kind).settings_type, given, path, document, prefix=f"{name}: "
    )
    if settings is None:
        return None
    for problem in Routing.of(settings).problems(custom):
        document.problem((*path, "match"), f"{name}: match: {problem}")
    try:
        from relay.outputs.http_output import client_options  # noqa: PLC0415 the client is dear to import

        client_options(settings)
    except ValueError as error:
        document.problem((*path, "tls"), f"{name}: {error}")
    return settings


def _validate(
    model: type[Any],
    given: dict[str, Any],
    path: tuple[str | int, ...],
    document: Document,
    *,
    prefix: str = "",
    extra: Iterable[str] = (),
) -> Any:
    """The model, or None after its problems were noted. Values never appear in a problem."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_context=False, include_input=False):
            where = (*path, *one["loc"])
            key = ".".join(str(part) for part in one["loc"])
            if one["type"] == "extra_forbidden":
                known = [*_keys(model, one["loc"][:-1]), *(extra if len(one["loc"]) == 1 else ())]
                text = f"{key} is not a setting{_nearest(str(one['loc'][-1]), known)}"
            elif one["type"] == "missing":
                text = f"{key} is missing"
            else:
                text = f"{key}: {one['msg'].removeprefix('Value error, ')}" if key else one["msg"]
            document.problem(where, prefix + text)
        return None


def _keys(model: type[BaseModel], inside: tuple[str | int, ...]) -> list[str]:
    """The names that may stand there, `x_file` for secrets too."""
    for part in inside:
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    names = list(model.model_fields)
    return names + [
        name + SECRET_FILE
        for name, field in model.model_fields.items()
        if "SecretStr" in str(field.annotation)
    ]


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
