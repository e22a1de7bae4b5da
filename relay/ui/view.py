"""The templates, and the pieces of pages that the feed draws again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from relay.alert import PRIORITIES, Alert
from relay.journal.base import Fate
from relay.ui import show

if TYPE_CHECKING:
    from relay.app import Relay

HERE = Path(__file__).parent
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
HOUR_NS = 3600 * 10**9
COUNT_MOST = 1000
"""Counts of the last hour stop there: they are looked at every few seconds."""


class Static:
    """The few files, read once; their addresses change with their content."""

    def __init__(self) -> None:
        self.files = {
            path.name: (path.read_bytes(), TYPES[path.suffix])
            for path in (HERE / "static").iterdir()
            if path.suffix in TYPES
        }
        whole = b"".join(content for _, (content, _) in sorted(self.files.items()))
        self.version = hashlib.sha256(whole).hexdigest()[:12]

    def address(self, name: str) -> str:
        assert name in self.files, name
        return f"/ui/static/{name}?v={self.version}"


class View:
    """Text of alerts goes through show.py (cut, made visible) and is then escaped by the environment."""

    def __init__(self, relay: Relay, static: Static) -> None:
        self._relay = relay
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {"static": static.address, "priorities": PRIORITIES}
        pieces: Any = self._environment.get_template("pieces.html").module
        self._pieces = pieces

    def page(self, template: str, **context: Any) -> str:
        return self._environment.get_template(template).render(context)

    def row(self, alert: Alert, fates: Sequence[Fate]) -> str:
        return str(self._pieces.row(show.row(alert, fates)))

    def badges(self, alert: Alert, fates: Sequence[Fate]) -> str:
        return str(self._pieces.badges(show.row(alert, fates).badges))

    def fate_table(self, alert: Alert, fates: Sequence[Fate]) -> str:
        return str(self._pieces.fates([show.fate_line(fate) for fate in fates]))

    async def outputs(self) -> str:
        cards = show.cards(self._relay.statuses(), await self._relay.depths())
        return str(self._pieces.outputs(cards))

    async def summary(self) -> str:
        """What is wrong with the relay itself."""
        return str(self._pieces.summary(self._relay.ingest))

    async def counts(self) -> str:
        """Alerts of the last hour, by priority."""
        relay = self._relay
        assert relay.journal is not None
        counts = await relay.journal.counts(relay.clock.time_ns() - HOUR_NS, COUNT_MOST)
        return ",".join(f"{count}+" if count >= COUNT_MOST else str(count) for count in counts)
