"""sensor.yaml, with Falco's names. Every problem is said at once, with file and line."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from relay.config.settings import Size
from relay.config.yaml_lines import ConfigError, Document, read

PRIORITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")
"""Most urgent first; `info` is accepted for informational, as in Falco."""


def _priority(value: Any) -> str:
    name = str(value).strip().lower()
    name = {"info": "informational"}.get(name, name)
    if name not in PRIORITIES:
        raise ValueError(f"is not a priority; expected one of {', '.join(PRIORITIES)}")
    return name


def _http_url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text and not text.startswith(("http://", "https://")):
        raise ValueError("is not a URL that starts with http:// or https://")
    return value


def _power_of_two_pages(value: int) -> int:
    if value < 1 << 16 or value & (value - 1):
        raise ValueError("must be a power of two of at least 64KiB, such as 8MiB")
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class StdoutOutputSettings(_Strict):
    """stdout_output"""

    enabled: bool = Field(default=True, description="one alert a line on standard output")


class HttpOutputSettings(_Strict):
    """http_output"""

    enabled: bool = Field(default=False, description="post each alert")
    url: Annotated[SecretStr, AfterValidator(_http_url)] = Field(
        default=SecretStr(""), description="where to"
    )
    user_agent: str = Field(default="outrider-sensor", description="the User-Agent header")
    insecure: bool = Field(default=False, description="accept any certificate: for a test only")
    ca_cert: Path | None = Field(default=None, description="PEM file, trusted in addition to the system's")
    mtls: bool = Field(default=False, description="show a certificate of our own")
    client_cert: Path | None = Field(default=None, description="PEM file with that certificate")
    client_key: Path | None = Field(default=None, description="PEM file with its key")
    keep_alive: bool = Field(default=True, description="one connection for all alerts")

    @model_validator(mode="after")
    def _complete(self) -> HttpOutputSettings:
        if self.enabled and not self.url.get_secret_value():
            raise ValueError("url is missing")
        if self.mtls and (self.client_cert is None or self.client_key is None):
            raise ValueError("mtls needs client_cert and client_key")
        if not self.mtls and (self.client_cert is not None or self.client_key is not None):
            raise ValueError("client_cert and client_key are used only with mtls: true")
        return self


class OutputsQueueSettings(_Strict):
    """outputs_queue"""

    capacity: Size = Field(
        default=8 * 1024 * 1024, ge=65536, description="bytes of alerts that wait, per output"
    )


class ScopeSettings(_Strict):
    """scope"""

    cgroup: Path | None = Field(default=None, description="watch only processes in this cgroup, and below it")
    pid: int | None = Field(default=None, gt=0, description="watch only this process and its descendants")

    @model_validator(mode="after")
    def _one(self) -> ScopeSettings:
        if self.cgroup is not None and self.pid is not None:
            raise ValueError("give cgroup or pid, not both")
        return self


class SensorConfig(_Strict):
    """All of sensor.yaml."""

    rules_files: list[Path] = Field(description="rule files, or directories of them; in this order")
    allow_inactive: bool = Field(default=False, description="start although some rules cannot be live")
    priority: Annotated[str, BeforeValidator(_priority)] = Field(
        default="debug", description="rules less urgent than this are not loaded"
    )
    rule_matching: Literal["first", "all"] = Field(default="first", description="alerts for one event")
    json_output: bool = Field(default=False, description="JSON instead of a line of text")
    json_include_output_property: bool = Field(default=True, description="`output`: the whole line")
    json_include_message_property: bool = Field(
        default=False, description="`message`: without time and priority"
    )
    json_include_output_fields_property: bool = Field(default=True, description="`output_fields`")
    json_include_tags_property: bool = Field(default=True, description="`tags`")
    time_format_iso_8601: bool = Field(
        default=False, description="full date instead of the time of day, in text"
    )
    stdout_output: StdoutOutputSettings = StdoutOutputSettings()
    http_output: HttpOutputSettings = HttpOutputSettings()
    outputs_queue: OutputsQueueSettings = OutputsQueueSettings()
    scope: ScopeSettings = ScopeSettings()
    buf_size: Annotated[Size, AfterValidator(_power_of_two_pages)] = Field(
        default=8 * 1024 * 1024, description="bytes of the ring between kernel and sensor"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the sensor's log"
    )


def load(file: Path, environment: Mapping[str, str] | None = None) -> SensorConfig:
    """The checked configuration; relative paths are relative to the file. Raises ConfigError."""
    document = read(file, os.environ if environment is None else environment)
    given = document.value
    if not isinstance(given, dict):
        document.problem((), "expected keys and values, such as `rules_files: [rules/falco_rules.yaml]`")
        raise ConfigError(document.problems)
    config: SensorConfig | None = None
    try:
        config = SensorConfig.model_validate(given)
    except ValidationError as error:
        _note(error, document)
    if config is not None:
        config = _absolute(config, file.parent)
        _check_files(config, document)
    if document.problems or config is None:
        raise ConfigError(sorted(document.problems, key=lambda problem: problem.line))
    return config


def _absolute(config: SensorConfig, base: Path) -> SensorConfig:
    http = config.http_output
    files = {name: getattr(http, name) for name in ("ca_cert", "client_cert", "client_key")}
    moved = {name: base / path for name, path in files.items() if path is not None}
    return config.model_copy(
        update={
            "rules_files": [base / path for path in config.rules_files],
            "http_output": http.model_copy(update=moved),
        }
    )


def _check_files(config: SensorConfig, document: Document) -> None:
    for at, path in enumerate(config.rules_files):
        if not path.exists():
            document.problem(("rules_files", at), f"rules_files: {path} does not exist")
    for name in ("ca_cert", "client_cert", "client_key"):
        path = getattr(config.http_output, name)
        if path is not None and not os.access(path, os.R_OK):
            document.problem(("http_output", name), f"http_output.{name}: {path} cannot be read")


def _note(error: ValidationError, document: Document) -> None:
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        key = ".".join(str(part) for part in one["loc"])
        if one["type"] == "extra_forbidden":
            text = f"{key} is not a setting{_nearest(one['loc'])}"
        elif one["type"] == "missing":
            text = f"{key} is missing"
        else:
            message = one["msg"].removeprefix("Value error, ")
            text = f"{key}: {message}" if key else message
        document.problem(tuple(one["loc"]), text)


def _nearest(loc: tuple[int | str, ...]) -> str:
    names: Iterable[str] = SensorConfig.model_fields
    if len(loc) > 1:
        inside = SensorConfig.model_fields[str(loc[0])].annotation
        names = inside.model_fields if isinstance(inside, type) and issubclass(inside, BaseModel) else ()
    close = difflib.get_close_matches(str(loc[-1]), list(names), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
