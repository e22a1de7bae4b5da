"""An incoming connection: uvicorn's, with bounds that it does not have, and without switching protocols.

Whoever can connect can send, before any login or token is looked at.
"""

from __future__ import annotations

import asyncio

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MOST = 64 * 1024
"""Bytes of a request's first line and headers, or of what follows its body; up to one read more."""
REQUEST_SECONDS = 60.0
"""For a request to be whole, from its first byte; for a new connection's first byte, too."""

UPGRADES_MOST = 16
"""Requests in one read that ask for another protocol: each is copied with all that follows."""


class Connection(HttpToolsProtocol):
    """Counts what the parser holds back: it puts names and values together without any limit."""

    _held = 0  # bytes since the last that were handed on
    _whole = False  # the request has been read to its end
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._late = self.loop.call_later(REQUEST_SECONDS, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._held += len(data)
        self._whole = False
        self._unset_keepalive_if_required()
        if not self._read(data):
            self._refuse("Invalid HTTP request received.")
        elif self._held > HEAD_MOST:
            self._refuse("The request's headers are too large.")
        elif self._whole:
            self._in_time()
        elif self._late is None:
            self._late = self.loop.call_later(REQUEST_SECONDS, self._too_late)

    def _read(self, data: bytes) -> bool:
        """False if it is no HTTP."""
        for _ in range(UPGRADES_MOST):
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_upgrade() + data[upgrade.args[0] :]
            except httptools.HttpParserError:
                return False
            else:
                return True
        return False

    def on_headers_complete(self) -> None:
        self._held = 0
        if not self.parser.should_upgrade():
            super().on_headers_complete()
        elif self.parser.get_method() == b"CONNECT":
            raise ValueError("no proxy")

    def on_body(self, body: bytes) -> None:
        self._held = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            self._whole = True
            super().on_message_complete()

    def _without_upgrade(self) -> bytes:
        """The request's head as if it had not asked for another protocol, as RFC 9110 §7.8 allows.

        Clients that would like HTTP/2 ask so (`Upgrade: h2c`); the parser drops the body of such a request.
        """
        version = self.parser.get_http_version().encode()
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        return b"\r\n".join([*lines, b"", b""])

    def _refuse(self, why: str) -> None:
        self.logger.warning(why)
        self.send_400_response(why)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        if self.pipeline:  # we do not read on: the requests before it are still being answered
            self._late = self.loop.call_later(REQUEST_SECONDS, self._too_late)
        elif not self.transport.is_closing():
            self.transport.close()
