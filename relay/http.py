"""Outbound HTTP. The only file that knows the client: pyreqwest, a binding of Rust's reqwest.

Faults come back as one of a small closed set, in words of our own: the client's messages hold the
URL, and the URL of a webhook is a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    BuilderError,
    DetailedPyreqwestError,
    PyreqwestError,
    RequestTimeoutError,
)
from pyreqwest.proxy import ProxyBuilder

from relay.outputs.base import Request, Response

REPLY_LIMIT = 64 * 1024
"""Bytes of a reply that are read; what follows is dropped, and the connection with it."""

CONNECT_TIMEOUT = 5.0
"""Seconds for name look-up, connecting and the TLS handshake together."""

IDLE_TIMEOUT = 30.0
"""Seconds after which an unused connection is closed: shorter than common load balancers' 60."""


class Fault(StrEnum):
    """Why there was no reply."""

    TIMEOUT = "no reply in time"
    REFUSED = "connection refused or unreachable"
    DNS = "host name not found"
    TLS = "TLS failed: certificate or handshake not accepted"
    PROXY = "the proxy wants a login"
    RESET = "connection closed before the reply was whole"
    GARBAGE = "the reply is not HTTP"
    INVALID = "the request could not be made: URL or header not valid"


class HttpFaultError(Exception):
    """No whole reply; `fault` says why. Its text never has the URL, a header or the body."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """What makes one client different from another. `repr` hides keys and the proxy's password."""

    ca_pem: bytes | None = None  # trusted in addition to the system's
    identity_pem: bytes | None = None  # client certificate and key
    verify: bool = True
    proxy: str | None = None  # None: what the environment says (HTTPS_PROXY, NO_PROXY)

    def __repr__(self) -> str:
        return f"ClientOptions(verify={self.verify})"


class HttpClient:
    """A pool of connections, shared by all outputs with the same options."""

    def __init__(self, options: ClientOptions) -> None:
        self._client = _build(options)

    async def send(self, request: Request, timeout: float) -> Response:  # noqa: ASYNC109
        """Send and read the reply, in at most `timeout` seconds; redirects are not followed.

        Raises HttpFaultError. A reply longer than REPLY_LIMIT is cut without an error.
        """
        try:
            prepared = (
                self._client.request(request.method, request.url)
                .headers(request.headers)
                .body_bytes(request.body)
                .timeout(timedelta(seconds=timeout))
                .streamed_read_buffer_limit(REPLY_LIMIT)
                .build_streamed()
            )
            async with prepared as reply:
                body = await reply.body_reader.read(REPLY_LIMIT)  # all, or up to the limit
                # The client has all names in lower case.
                return Response(reply.status, dict(reply.headers.items()), bytes(body or b""))
        except (PyreqwestError, ValueError) as error:
            fault = _fault(error)
        # Raised out here, so that no traceback shows the client's error, which has the URL.
        raise HttpFaultError(fault)

    async def close(self) -> None:
        """Close the pool; requests in flight end with a fault."""
        await self._client.close()


class ClientPool:
    """Hands out one HttpClient per set of options, and closes it after its last user."""

    def __init__(self) -> None:
        self._clients: dict[ClientOptions, tuple[HttpClient, int]] = {}

    def acquire(self, options: ClientOptions) -> HttpClient:
        """The client for these options; each acquire needs its release.

        Raises ValueError if a certificate, key or proxy in `options` cannot be used.
        """
        client, users = self._clients.get(options) or (HttpClient(options), 0)
        self._clients[options] = (client, users + 1)
        return client

    async def release(self, options: ClientOptions) -> None:
        """Give one use back."""
        client, users = self._clients[options]
        if users > 1:
            self._clients[options] = (client, users - 1)
            return
        del self._clients[options]
        await client.close()


CLIENTS = ClientPool()
"""The process's pool."""


def _build(options: ClientOptions) -> Client:
    builder = (
        ClientBuilder()
        .follow_redirects(False)
        .referer(False)
        .user_agent("Outrider")
        .connect_timeout(timedelta(seconds=CONNECT_TIMEOUT))
        .pool_idle_timeout(timedelta(seconds=IDLE_TIMEOUT))
        # A compressed reply could unpack to any size; nothing here needs one.
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
    )
    try:
        if options.ca_pem is not None:
            builder = builder.add_root_certificate_pem(options.ca_pem)
        if options.identity_pem is not None:
            builder = builder.identity_pem(options.identity_pem)
        if not options.verify:
            builder = builder.danger_accept_invalid_certs(True)
        if options.proxy is not None:
            builder = builder.proxy(ProxyBuilder.all(options.proxy))
        return builder.build()
    except (PyreqwestError, ValueError):
        problem = "tls or proxy settings cannot be used: expected PEM certificates and a proxy URL"
    raise ValueError(problem)


def _fault(error: Exception) -> Fault:
    if isinstance(error, RequestTimeoutError):
        return Fault.TIMEOUT
    if isinstance(error, BuilderError) or not isinstance(error, DetailedPyreqwestError):
        return Fault.INVALID
    causes = (error.details or {}).get("causes") or []
    # The first cause may name the URL, in which any word could stand.
    said = " ".join(cause["message"] for cause in causes if "for url" not in cause["message"])
    said = said.lower()
    for fault, words in _WORDS:
        if any(word in said for word in words):
            return fault
    return Fault.RESET


_WORDS = (
    (Fault.DNS, ("dns error",)),
    (Fault.PROXY, ("proxy authorization",)),
    (Fault.RESET, ("handshake eof", "reset", "closed", "broken pipe", "tunnel error: unsuccessful")),
    (Fault.TLS, ("certificate", "corrupt message", "fatal alert")),
    (Fault.REFUSED, ("refused", "unreachable", "tcp connect error")),
    (Fault.GARBAGE, ("parsed", "too large")),
)
"""What the client's messages hold, the first that fits. A server that goes away while TLS is agreed on may be
starting again: that is RESET, not TLS, which stops an output until a person looks.
"""
