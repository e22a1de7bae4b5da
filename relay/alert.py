"""What an alert is: Falco's JSON object, its priorities, and the fields that everyone reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Alert:
    """One journalled alert, decoded for reading. All text in it is attacker-controlled."""

    seq: int  # its place in the journal
    id: str  # the sender's uuid, or a UUIDv7
    time_ns: int  # ns since the epoch, UTC
    received_ns: int
    priority: int  # index into PRIORITIES
    rule: str
    source: str
    hostname: str
    output: str  # Falco's formatted text
    output_fields: Mapping[str, Any]
    tags: Sequence[str]
    raw: bytes  # the received bytes, unchanged
    received_from: str = ""
    normalised: Sequence[str] = field(default_factory=tuple)

    @property
    def priority_name(self) -> str:
        return PRIORITIES[self.priority]
