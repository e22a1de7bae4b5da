"""Alerts of the sensor's own, in the shape of Falco's internal ones: source `internal`, priority Debug."""

from __future__ import annotations

import socket
from typing import Any

from sensor.config import SensorConfig
from sensor.outputs.channel import Alert
from sensor.pipeline import json_line
from sensor.times import iso_8601, time_of_day

PRIORITY = "Debug"


def internal_alert(config: SensorConfig, rule: str, time_ns: int, text: str, fields: dict[str, str]) -> Alert:
    """`text` is the message; JSON or a line of text with the properties that the configuration wants."""
    stamp = iso_8601(time_ns) if config.time_format_iso_8601 else time_of_day(time_ns)
    line = f"{stamp}: {PRIORITY} {text}"
    if not config.json_output:
        return Alert(rule, line.encode("utf-8", "replace"), is_json=False)
    value: dict[str, Any] = {
        "hostname": socket.gethostname(),
        "priority": PRIORITY,
        "rule": rule,
        "source": "internal",
        "time": iso_8601(time_ns, "Z"),
    }
    if config.json_include_output_property:
        value["output"] = line
    if config.json_include_message_property:
        value["message"] = text
    if config.json_include_output_fields_property:
        value["output_fields"] = fields
    if config.json_include_tags_property:
        value["tags"] = []
    return Alert(rule, json_line(value), is_json=True)
