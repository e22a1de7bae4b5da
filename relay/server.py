"""Running the application: uvicorn with the settings that the benchmarks were made with."""

from __future__ import annotations

import asyncio
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from relay import log as logs
from relay.app import Relay, create_app
from relay.config import RelayConfig
from relay.connection import Connection
from relay.journal import DataDirError, SchemaError

START_ERROR = 3
HTTP: dict[str, Any] = {
    "loop": "uvloop",
    "http": Connection,
    "ws": "none",
    "access_log": False,
    "log_config": None,
    "server_header": False,
    "date_header": False,
    "proxy_headers": False,
    "timeout_keep_alive": 75,
    "timeout_graceful_shutdown": 5,
}
"""uvicorn's settings; the bare application of the benchmarks has the same."""
log = structlog.get_logger()


class Server(uvicorn.Server):
    """uvicorn, but a signal that ended it well is exit code 0 and not raised again."""

    def __init__(self, config: uvicorn.Config, relay: Relay) -> None:
        super().__init__(config)
        self._relay = relay

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Not as a lifespan: uvicorn would show the traceback of what keeps the relay from starting."""
        with self.capture_signals():
            # Until the end: without a handler it would end the process.
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._relay.reloader.ask)
            await self._relay.start()
            try:
                await super().serve(sockets)
            finally:
                await self._relay.stop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("stopping: what is under way is finished, the rest stays in the journal")
        self._relay.closing()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(config: RelayConfig, log_level: str) -> int:
    """Serve until a signal ends it. Returns the exit code."""
    logs.configure(log_level)
    app = create_app(config)
    settings = uvicorn.Config(
        app, host=config.listen.host, port=config.listen.port, lifespan="off", backlog=2048, **HTTP
    )
    try:
        server = Server(settings, app.relay)
        server.run()
    except (DataDirError, SchemaError, sqlite3.DatabaseError, OSError) as error:
        log.error("cannot start", why=str(error))
        return START_ERROR
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else START_ERROR
    except KeyboardInterrupt:
        return 0
    if server.started:
        log.info("stopped", accepted=app.relay.ingest.accepted)
    return 0 if server.started else START_ERROR
