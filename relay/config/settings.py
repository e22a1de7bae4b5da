"""The settings that every output has, and the types people write them in: durations, sizes, secrets."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from relay.alert import PRIORITIES, priority_number

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", 1):
    _SIZES[_letter] = _SIZES[f"{_letter}ib"] = 1024**_power
    _SIZES[f"{_letter}b"] = 1000**_power
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")


def duration(value: Any) -> Any:
    """Seconds from `500ms`, `90s`, `1h30m`, `30d`; a bare number is refused, its unit could be any."""
    if isinstance(value, float | int) and not isinstance(value, bool) and value == 0:
        return 0.0
    text = str(value).strip().lower()
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text).strip():
        raise ValueError(f"{value!r} is not a duration; write it like 500ms, 90s, 1h30m or 30d")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def size(value: Any) -> Any:
    """Bytes from `512KiB`, `10GiB`, `1MB`, or a plain number of bytes."""
    match = _SIZE.fullmatch(str(value).strip().lower())
    if match is None or match[2] not in _SIZES:
        raise ValueError(f"{value!r} is not a size; write it like 512KiB, 10GiB or 1000000")
    return int(float(match[1]) * _SIZES[match[2]])


def start_seconds(text: str) -> float:
    """How far back `start_from` reaches: 0 for now, infinity for beginning. Raises ValueError."""
    if text in {"now", "beginning"}:
        return 0.0 if text == "now" else math.inf
    try:
        return float(duration(text))
    except ValueError:
        raise ValueError(f"{text!r} is not a start; write now, beginning, or a duration like 24h") from None


def _start(value: Any) -> Any:
    start_seconds(str(value))
    return str(value)


def _priority(value: Any) -> Any:
    number = priority_number(value)
    if number is None:
        raise ValueError(f"{value!r} is not a priority; expected one of {', '.join(PRIORITIES)}")
    return number


Duration = Annotated[float, BeforeValidator(duration)]
"""Seconds."""
Size = Annotated[int, BeforeValidator(size)]
"""Bytes."""
Start = Annotated[str, BeforeValidator(_start)]
"""What start_seconds understands."""
Priority = Annotated[int, BeforeValidator(_priority)]
"""The index in PRIORITIES."""

SECRET_FILE = "_file"  # noqa: S105 the ending of a key's name
"""A secret `x` may be given as `x_file`: the path of a file that holds it."""


class Strict(BaseModel):
    """No unknown key, and what is wrong never shows the value it was given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=False)

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, data: Any) -> Any:
        """`webhook_url_file: /run/secrets/slack` is `webhook_url` with the file's text."""
        if not isinstance(data, dict):
            return data
        given = dict(data)
        for key in list(given):
            name = str(key).removesuffix(SECRET_FILE)
            field = cls.model_fields.get(name)
            if name == key or field is None or not _is_secret(field.annotation):
                continue
            if name in given:
                raise ValueError(f"{name} and {key} are both given; keep one")
            given[name] = read_secret(Path(str(given.pop(key))), str(key))
        return given


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or SecretStr in getattr(annotation, "__args__", ())


def read_secret(path: Path, key: str) -> str:
    """The file's text without surrounding white space. Raises ValueError that names key and path."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"{key}: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{key}: {path} is not UTF-8 text") from None
    if not text:
        raise ValueError(f"{key}: {path} is empty")
    return text


class Tls(Strict):
    """How the destination's certificate is checked, and the relay's own."""

    ca_file: Path | None = Field(default=None, description="PEM file, trusted in addition to the system's")
    cert_file: Path | None = Field(
        default=None, description="PEM file with the client certificate and its key"
    )
    verify: bool = Field(default=True, description="false accepts any certificate: for a test only")


class OutputSettings(Strict):
    """Keys that every output has. Each output's settings extend this."""

    type: str = Field(description="which kind of destination")
    enabled: bool = Field(True, description="false stops routing; what is owed already is still delivered")
    match: str | None = Field(None, description="a condition over the alert; only what it holds for is sent")
    minimum_priority: Priority | None = Field(None, description="short form of `match: priority >= …`")
    start_from: Start = Field(
        "now", description="where a new output begins in the journal: now, beginning, or so long ago (24h)"
    )
    renamed_from: str | None = Field(
        None, description="the output's name before: what is owed and known under it is this output's"
    )
    pace: float | None = Field(None, gt=0, description="requests a second; default: the destination's own")
    concurrency: int | None = Field(None, ge=1, le=256, description="requests under way at the same time")
    batch: int | None = Field(None, ge=1, le=10_000, description="most alerts in one request")
    timeout: Duration | None = Field(None, gt=0, le=600, description="for one request, whole")
    retry_for: Duration = Field(
        86400.0, gt=0, description="time spent trying before an alert becomes a dead letter"
    )
    proxy: SecretStr | None = Field(None, description="URL of an HTTP proxy; default: HTTPS_PROXY, NO_PROXY")
    tls: Tls = Field(Tls(), description="certificate authorities and client certificate")


SettingsType: TypeAlias = type[OutputSettings]
