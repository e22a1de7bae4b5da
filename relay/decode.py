"""From a request's bytes to alerts ready for the journal.

The fast path reads a well-formed alert of Falco with one strict decode. Everything odd that can still be
understood is filled in and marked `normalised`; only what is not JSON, not an object, or nested beyond reason
is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from relay.alert import json_type, priority_number, tolerant_loads
from relay.journal.base import NewAlert
from relay.render import one_line

DEFAULT_PRIORITY = 6  # Informational
DEFAULT_RULE = "no rule"
DEFAULT_SOURCE = "unknown"
NAME_MOST = 1024
"""Characters of rule, source and hostname that lists and searches keep; the body is kept whole."""
DEPTH_MOST = 128
_UUID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)?",
    re.ASCII | re.IGNORECASE,
)
# Falco without json_output: "16:31:56.746609046: Warning Sensitive file opened …"
_LINE = re.compile(
    r"\s*(?P<time>\d\d:\d\d:\d\d\.\d{1,9}|\d{4}-\d\d-\d\dT\S+?)\s*:\s+(?P<priority>[A-Za-z]+)\s+(?P<text>.*)",
    re.DOTALL,
)


class RefusedError(ValueError):
    """The body is not an alert. str() says why and where."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who posted it, and when it came."""

    received_from: str
    received_ns: int
    custom_fields: Mapping[str, str]


def decode_json(body: bytes, sender: Sender) -> NewAlert:
    """One alert from one JSON object. Raises RefusedError."""
    odd: list[str] = []
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        value = _tolerant(body, error)
        odd.append("json")
    if type(value) is not dict:
        raise RefusedError(f"expected a JSON object, got {json_type(value)}")
    if body.count(b"[") + body.count(b"{") > DEPTH_MOST and _depth(value) > DEPTH_MOST:
        raise RefusedError(f"nested more than {DEPTH_MOST} levels deep")
    time_ns = _time(value, sender, odd)
    fields = value.get("output_fields")
    if type(fields) is not dict:
        odd.append("output_fields")
    if sender.custom_fields:
        body = _with_custom_fields(value, sender.custom_fields, body)
    tags = value.get("tags")
    if tags is not None and type(tags) is not list:
        odd.append("tags")
    if type(value.get("output")) is not str:
        odd.append("output")
    return NewAlert(
        body,
        "json",
        _uuid(value, odd),
        time_ns,
        sender.received_ns,
        _priority(value, odd),
        _name(value, "rule", DEFAULT_RULE, odd),
        _name(value, "source", DEFAULT_SOURCE, odd),
        _name(value, "hostname", "", odd),
        tuple(odd),
        sender.received_from,
        has_time="time" in value and "time" not in odd,
    )


def decode_line(body: bytes, sender: Sender) -> NewAlert:
    """One alert from a line of text, as Falco sends without json_output. Raises RefusedError when empty."""
    text = body.decode("utf-8", "replace").strip()
    if not text:
        raise RefusedError("the body is empty")
    match = _LINE.match(text)
    priority = priority_number(match["priority"]) if match else None
    odd = ["text"] if priority is not None else ["text", "priority"]
    moment = parse_time(match["time"]) if match else None
    return NewAlert(
        body,
        "text",
        None,
        moment if moment is not None else sender.received_ns,
        sender.received_ns,
        DEFAULT_PRIORITY if priority is None else priority,
        DEFAULT_RULE,
        "syscall" if priority is not None else DEFAULT_SOURCE,
        "",
        tuple(odd),
        sender.received_from,
        has_time=match is not None,
    )


def _tolerant(body: bytes, error: orjson.JSONDecodeError) -> Any:
    if not body.strip():
        raise RefusedError("the body is empty")
    try:
        return tolerant_loads(body)
    except ValueError as second:
        said = str(second) if "nested" in str(second) else one_line(f"{error.msg} at byte {error.pos}")
        raise RefusedError(f"not JSON: {said}") from None


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        inner: list[Any] = []
        for one in level:
            if type(one) is dict:
                inner.extend(one.values())
            elif type(one) is list:
                inner.extend(one)
        level = [one for one in inner if type(one) is dict or type(one) is list]
    return deepest


def _with_custom_fields(value: dict[str, Any], custom: Mapping[str, str], body: bytes) -> bytes:
    fields = value.get("output_fields")
    missing = {key: text for key, text in custom.items() if type(fields) is not dict or key not in fields}
    if not missing:
        return body
    value["output_fields"] = (fields if type(fields) is dict else {}) | missing
    try:
        return orjson.dumps(value)
    except TypeError:
        return body  # has a number that strict JSON cannot write: what was received matters more


def _name(value: dict[str, Any], key: str, default: str, odd: list[str]) -> str:
    text = value.get(key)
    if type(text) is str and text and len(text) <= NAME_MOST and text.isprintable():
        return text
    if text is None and key == "hostname":
        return default
    odd.append(key)
    if text is None or text == "":
        return default
    shown = text if isinstance(text, str) else orjson.dumps(text, default=str).decode()
    return one_line(shown[:NAME_MOST])


def _priority(value: dict[str, Any], odd: list[str]) -> int:
    number = priority_number(value.get("priority"))
    if number is None:
        odd.append("priority")
        return DEFAULT_PRIORITY
    return number


def _uuid(value: dict[str, Any], odd: list[str]) -> str | None:
    uuid = value.get("uuid")
    if uuid is None:
        return None
    if type(uuid) is str and _UUID.fullmatch(uuid):
        return uuid
    odd.append("uuid")
    return None


def _time(value: dict[str, Any], sender: Sender, odd: list[str]) -> int:
    moment = parse_time(value.get("time"))
    if moment is None:
        odd.append("time")
        return sender.received_ns
    return moment


@lru_cache(maxsize=64)
def _second(year: str, month: str, day: str, hour: str, minute: str, second: str, zone: str) -> int | None:
    text = f"{year}-{month}-{day}T{hour}:{minute}:{second}"
    try:
        moment = datetime.fromisoformat(text + ("+00:00" if zone in {"", "Z", "z"} else zone))
    except ValueError:
        return None
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


def parse_time(text: object) -> int | None:
    """Nanoseconds since the epoch from RFC 3339, UTC if it names no zone; None if it is no time.

    Years from 1970 to 2200: a number that 64 bits hold.
    """
    if type(text) is not str or len(text) > 64:
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    seconds = _second(year, month, day, hour, minute, second, zone or "")
    if seconds is None or not 0 <= seconds < 7_258_118_400:
        return None
    return seconds * 10**9 + int((fraction or "0").ljust(9, "0"))
