"""Alerts as ingest hands them over."""

from __future__ import annotations

import json

from relay.journal.base import NewAlert

NOW = 1_767_225_600_000_000_000


def new_alert(
    n: int,
    *,
    priority: int = 4,
    uuid: str | None = None,
    rule: str = "Read sensitive file untrusted",
    received_ns: int | None = None,
    size: int = 0,
) -> NewAlert:
    """The same arguments give the same alert."""
    body = json.dumps(
        {"n": n, "rule": rule, "uuid": uuid, "output": "x" * size, "time": "2026-01-01T00:00:00Z"}
    )
    return NewAlert(
        body=body.encode(),
        content="json",
        uuid=uuid,
        time_ns=NOW + n,
        received_ns=NOW + n if received_ns is None else received_ns,
        priority=priority,
        rule=rule,
        source="syscall",
        hostname="h1",
        normalised=(),
        received_from="127.0.0.1",
    )
