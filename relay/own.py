"""Alerts of the relay's own: they take the way of every other."""

from __future__ import annotations

import orjson
import structlog

from relay.decode import Sender, decode_json
from relay.journal import Journal
from relay.journal.base import JournalFullError
from relay.render import rfc3339

SOURCE = "outrider"
log = structlog.get_logger()


def own_alert(time_ns: int, rule: str, priority: str, text: str, *tags: str, **fields: str) -> bytes:
    """The JSON of an alert."""
    return orjson.dumps(
        {
            "output": text,
            "output_fields": fields,
            "priority": priority,
            "rule": rule,
            "source": SOURCE,
            "tags": list(tags),
            "time": rfc3339(time_ns),
        }
    )


async def tell(journal: Journal, time_ns: int, body: bytes) -> None:
    """Journal it. A disk that is full is said elsewhere."""
    try:
        await journal.append([decode_json(body, Sender("the relay itself", time_ns, {}))])
    except JournalFullError as error:
        log.error("an alert of the relay's own could not be kept", why=str(error))
