"""Alerts as Falco writes them (formats.cpp): a line of text, or JSON with the keys in alphabetical order."""

from __future__ import annotations

import re
import socket
from typing import Any

from sensor.config import SensorConfig
from sensor.event import Event
from sensor.outputs.channel import Alert
from sensor.pipeline import json_line
from sensor.rules.ruleset import Rule
from sensor.times import iso_8601, time_of_day

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SHORT = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def render(config: SensorConfig, rule: Rule, event: Event, extra: dict[str, Any]) -> Alert:
    """The alert of a rule for an event; `extra` joins its output fields."""
    message, fields = rule.output.render(event)
    iso = config.time_format_iso_8601
    stamp = iso_8601(event.time_ns) if iso else time_of_day(event.time_ns)
    line = f"{stamp}: {rule.priority} {message}"
    if not config.json_output:
        return Alert(rule.name, one_line(line).encode("utf-8", "replace"), is_json=False)
    value: dict[str, Any] = {
        "hostname": socket.gethostname(),
        "priority": rule.priority,
        "rule": rule.name,
        "source": rule.source,
        "time": iso_8601(event.time_ns, "Z"),
    }
    if config.json_include_output_property:
        value["output"] = line
    if config.json_include_message_property:
        value["message"] = message
    if config.json_include_output_fields_property:
        fields["evt.time.iso8601" if iso else "evt.time"] = event.time_ns
        value["output_fields"] = fields | extra
    if config.json_include_tags_property:
        value["tags"] = rule.tags
    return Alert(rule.name, json_line(value), is_json=True)


def one_line(text: str) -> str:
    """Control characters escaped as in JSON: what a process is called must not begin a new line."""
    return _CONTROL.sub(lambda found: _SHORT.get(found[0]) or f"\\u{ord(found[0]):04x}", text)
