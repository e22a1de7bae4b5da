"""Alerts of the sensor's own, in the shape of Falco's internal ones: source `internal`, priority Debug."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import Any

from sensor.config import SensorConfig
from sensor.outputs.channel import Alert
from sensor.pipeline import json_line

PRIORITY = "Debug"


def internal_alert(config: SensorConfig, rule: str, time_ns: int, text: str, fields: dict[str, str]) -> Alert:
    """`text` is the message; JSON or a line of text with the properties that the configuration wants."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    if config.time_format_iso_8601:
        stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}+0000"
    else:
        stamp = f"{moment:%H:%M:%S}.{rest:09d}"
    line = f"{stamp}: {PRIORITY} {text}"
    if not config.json_output:
        return Alert(rule, line.encode("utf-8", "replace"), is_json=False)
    value: dict[str, Any] = {
        "hostname": socket.gethostname(),
        "priority": PRIORITY,
        "rule": rule,
        "source": "internal",
        "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z",
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
