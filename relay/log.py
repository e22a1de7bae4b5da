"""The relay's log: for people on a terminal, JSON elsewhere; one line per event that matters."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import orjson
import structlog

from relay.log_limit import LibraryLimit, LogLimit
from relay.render import one_line, text_of

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def _visible(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Values may be an attacker's: no control character, no line end reaches the terminal."""
    for key, value in event.items():
        if isinstance(value, str) and key != "exception":
            event[key] = one_line(value)
        elif isinstance(value, bytes):
            event[key] = one_line(text_of(value.decode("utf-8", "replace")))
    return event


def configure(level: str = "info", stream: TextIO | None = None, limit: LogLimit | None = None) -> None:
    """Set up structlog, and send what libraries log the same way (uvicorn's warnings)."""
    out = stream or sys.stderr
    terminal = out.isatty()
    limit = limit or LogLimit()
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
        _visible,
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=terminal)
        if terminal
        else structlog.processors.JSONRenderer(serializer=_json)
    )
    structlog.configure(
        processors=[shared[0], limit, *shared[1:], renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer))
    handler.addFilter(LibraryLimit(limit))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _json(event: MutableMapping[str, Any], **options: Any) -> str:
    return orjson.dumps(event, default=str).decode()
