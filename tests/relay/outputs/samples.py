"""Outputs of every registered type, made from their settings' own description, and alerts to send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from relay import outputs
from relay.alert import Alert, priority_number
from relay.outputs.base import Batch, Output

SECRET = "s3cr3t-t0ken"
PUBLIC_URL = "https://alerts.example.com"
NOW_NS = 1_795_440_789_679_463_601


def settings_of(type_name: str, netloc: str, scheme: str = "http", **more: Any) -> Any:
    """The least that the type wants: each required setting is an address with a token in it."""
    model = outputs.load(type_name).settings_type
    values: dict[str, Any] = {"type": type_name}
    for name, field in model.model_fields.items():
        if field.is_required() and name != "type":
            assert name.endswith("url"), f"samples.py does not know what to give {type_name} as {name}"
            values[name] = f"{scheme}://{netloc}/hook/{SECRET}"
    return model.model_validate(values | more)


@asynccontextmanager
async def started(type_name: str, netloc: str, scheme: str = "http", **more: Any) -> AsyncIterator[Output]:
    output = outputs.create("sample", settings_of(type_name, netloc, scheme, **more), PUBLIC_URL)
    await output.start()
    try:
        yield output
    finally:
        await output.close()


def alert(seq: int = 1, **changes: Any) -> Alert:
    """Falco's shape; `changes` are of the JSON."""
    value: dict[str, Any] = {
        "uuid": f"00000000-0000-7000-8000-{seq:012d}",
        "hostname": "node-1",
        "priority": "Warning",
        "rule": "Read sensitive file untrusted",
        "source": "syscall",
        "output": "12:00:00: Warning Sensitive file opened | file=/etc/shadow",
        "output_fields": {"fd.name": "/etc/shadow", "proc.name": "cat", "proc.pid": 4711 + seq},
        "tags": ["host", "filesystem"],
        "time": "2026-11-23T13:33:09.679463601Z",
    } | changes
    return Alert(
        seq=seq,
        id=value["uuid"],
        time_ns=NOW_NS,
        received_ns=NOW_NS,
        priority=priority_number(value["priority"]) or 0,
        rule=value["rule"],
        source=value["source"],
        hostname=value["hostname"],
        raw=orjson.dumps(value),
    )


def batch(*alerts: Alert, **more: Any) -> Batch:
    return Batch(alerts or (alert(),), "delivery-1", **more)
