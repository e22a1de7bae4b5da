"""UUIDv7 (RFC 9562): sorted by time, so that new rows land together."""

from __future__ import annotations

import os
from uuid import UUID


def uuid7(time_ns: int) -> str:
    """A new one for this moment: 48 bits of milliseconds, the rest random."""
    random = int.from_bytes(os.urandom(10), "big")
    value = (time_ns // 1_000_000 & (1 << 48) - 1) << 80 | random
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def uuid7_ms(text: str) -> int | None:
    """The milliseconds since the epoch in a UUIDv7; None if it is not one."""
    try:
        value = UUID(text)
    except ValueError:
        return None
    return value.int >> 80 if value.version == 7 else None
