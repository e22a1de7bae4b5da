"""What an alert is: Falco's JSON object, its priorities, and the fields that everyone reads."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from relay.render import rfc3339

PRIORITIES = (
    "Emergency",
    "Alert",
    "Critical",
    "Error",
    "Warning",
    "Notice",
    "Informational",
    "Debug",
)
"""Falco's names, most urgent first; an alert's `priority` is the index."""

PRIORITY_NUMBERS = {name.lower(): number for number, name in enumerate(PRIORITIES)} | {
    "info": 6,
    "warn": 4,
    "err": 3,
    "crit": 2,
    "emerg": 0,
}
"""Each name in lower case, and the short forms that Falco takes too."""


def priority_number(name: object) -> int | None:
    """The index of a priority's name in any case, Falco's short forms too; None if it is not one."""
    return PRIORITY_NUMBERS.get(name.strip().lower()) if isinstance(name, str) else None


class Alert:
    """One journalled alert. All text in it is attacker-controlled.

    `output`, `output_fields` and `tags` are decoded from `raw` when they are first asked for: an output that
    passes the received bytes on never pays for it.
    """

    __slots__ = (
        "_decoded",
        "content",
        "hostname",
        "id",
        "normalised",
        "priority",
        "raw",
        "received_from",
        "received_ns",
        "rule",
        "seq",
        "source",
        "time_ns",
    )

    def __init__(
        self,
        *,
        seq: int,
        id: str,  # noqa: A002 the field's standard name
        time_ns: int,
        received_ns: int,
        priority: int,
        rule: str,
        source: str,
        hostname: str,
        raw: bytes,
        content: str = "json",
        received_from: str = "",
        normalised: Sequence[str] = (),
    ) -> None:
        self.seq = seq  # its place in the journal
        self.id = id  # the sender's uuid, or a UUIDv7
        self.time_ns = time_ns  # since the epoch, UTC
        self.received_ns = received_ns
        self.priority = priority  # index into PRIORITIES
        self.rule = rule
        self.source = source
        self.hostname = hostname
        self.raw = raw  # the received bytes, unchanged
        self.content = content  # "json" | "text"
        self.received_from = received_from
        self.normalised = normalised
        self._decoded: tuple[str, Mapping[str, Any], Sequence[str]] | None = None

    def __repr__(self) -> str:
        return f"Alert(seq={self.seq}, id={self.id!r}, priority={self.priority}, rule={self.rule!r})"

    @property
    def priority_name(self) -> str:
        return PRIORITIES[self.priority]

    @property
    def output(self) -> str:
        """Falco's formatted text; the whole line when it was sent as text."""
        return self._fields()[0]

    @property
    def output_fields(self) -> Mapping[str, Any]:
        return self._fields()[1]

    @property
    def tags(self) -> Sequence[str]:
        return self._fields()[2]

    def as_dict(self) -> dict[str, Any]:
        """The alert in Falco's shape, whatever it was received as, with its `uuid`."""
        shape = {} if self.content != "json" else to_object(self.raw)
        return shape | {
            "uuid": self.id,
            "hostname": self.hostname,
            "output": self.output,
            "output_fields": dict(self.output_fields),
            "priority": self.priority_name,
            "rule": self.rule,
            "source": self.source,
            "tags": list(self.tags),
            "time": rfc3339(self.time_ns),
        }

    def as_json(self) -> bytes:
        """`as_dict` as UTF-8 JSON, whatever strange values the sender used."""
        value = self.as_dict()
        try:
            return orjson.dumps(value)
        except (TypeError, ValueError, RecursionError):
            return json.dumps(value, allow_nan=True, default=str).encode("utf-8", "backslashreplace")

    def _fields(self) -> tuple[str, Mapping[str, Any], Sequence[str]]:
        if self._decoded is None:
            self._decoded = decode_fields(self.raw, self.content)
        return self._decoded


_SURROGATE = re.compile("[\ud800-\udfff]")


def to_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; what a strict decoder refuses goes through a tolerant one.

    Lone surrogates become U+FFFD, bad UTF-8 too; NaN, Infinity and huge integers stay Python's. Raises
    ValueError (with the position) if it is not JSON or not an object, RecursionError never.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = tolerant_loads(body)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {json_type(value)}")
    return value


def tolerant_loads(body: bytes) -> Any:
    """Decode JSON as tolerantly as Python can. Raises ValueError with the position."""
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    try:
        value = json.loads(text, parse_int=_integer, strict=False)
        return _without_surrogates(value) if "\\u" in text else value
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _integer(digits: str) -> int | float | str:
    # Python refuses to convert more than 4300 digits; nobody needs them as a number.
    return int(digits) if len(digits) <= 300 else digits


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def json_type(value: object) -> str:
    """What JSON calls the value's type, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    names = {str: "a string", int: "a number", float: "a number", list: "an array", dict: "an object"}
    return names.get(type(value), "something else")


def decode_fields(body: bytes, content: str) -> tuple[str, Mapping[str, Any], Sequence[str]]:
    """`output`, `output_fields` and `tags` of a body that was accepted. Never fails."""
    if content != "json":
        return body.decode("utf-8", "replace"), {}, ()
    try:
        value = to_object(body)
    except ValueError:  # accepted by an older program, say
        return body.decode("utf-8", "replace"), {}, ()
    output = value.get("output")
    fields = value.get("output_fields")
    tags = value.get("tags")
    return (
        output if isinstance(output, str) else "",
        fields if isinstance(fields, dict) else {},
        tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
    )
