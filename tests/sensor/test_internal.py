"""The sensor's own alerts have Falco's shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from sensor.config import SensorConfig
from sensor.internal import internal_alert
from tests.sensor.events import NOW


def alert(**settings: Any) -> bytes:
    config = SensorConfig(rules_files=[Path("x")], **settings)
    return internal_alert(config, "Falco internal: syscall event drop", NOW, "lost", {"n_drops": "5"}).body


def test_text() -> None:
    assert alert() == b"13:33:09.679463601: Debug lost"
    assert alert(time_format_iso_8601=True) == b"2026-11-23T13:33:09.679463601+0000: Debug lost"


def test_json() -> None:
    value = orjson.loads(alert(json_output=True))
    assert value.pop("hostname")
    assert value == {
        "output": "13:33:09.679463601: Debug lost",
        "output_fields": {"n_drops": "5"},
        "priority": "Debug",
        "rule": "Falco internal: syscall event drop",
        "source": "internal",
        "tags": [],
        "time": "2026-11-23T13:33:09.679463601Z",
    }


def test_json_with_other_properties() -> None:
    line = alert(
        json_output=True,
        json_include_output_property=False,
        json_include_message_property=True,
        json_include_output_fields_property=False,
        json_include_tags_property=False,
    )
    assert sorted(orjson.loads(line)) == ["hostname", "message", "priority", "rule", "source", "time"]
