"""What outputs over plain HTTP share: they render requests and read replies, both without a network."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import ClassVar, Generic, TypeVar

from relay.config.settings import OutputSettings, SettingsType
from relay.http import CLIENTS, ClientOptions, Fault, HttpClient, HttpFaultError
from relay.outputs.base import (
    Batch,
    Delivered,
    Limits,
    Outcome,
    Parked,
    Rejected,
    Request,
    Response,
    Retry,
    Throttled,
    TooLarge,
)

S = TypeVar("S", bound=OutputSettings)
REPLY_KEPT = 4096
THROTTLED_DEFAULT = 30.0
THROTTLED_MOST = 3600.0
_REASONS = {
    401: "not authorised",
    403: "forbidden",
    404: "not found",
    407: "proxy wants a login",
    410: "gone",
}


class HttpOutput(ABC, Generic[S]):
    """An Output whose batches are HTTP requests. Subclasses render, and classify what is special."""

    type: ClassVar[str]
    settings_type: ClassVar[SettingsType]
    defaults: ClassVar[Limits]

    def __init__(self, name: str, settings: S, public_url: str | None = None) -> None:
        self.name = name
        self.settings: S = settings
        self.public_url = public_url.rstrip("/") if public_url else None
        self.limits = limits_of(self.defaults, settings)
        self._options: ClientOptions | None = None
        self._client: HttpClient | None = None

    async def start(self) -> None:
        """Take a client from the pool. Raises ValueError when a certificate or key cannot be used."""
        self._options = client_options(self.settings)
        self._client = CLIENTS.acquire(self._options)

    async def close(self) -> None:
        if self._options is not None and self._client is not None:
            self._client = None
            await CLIENTS.release(self._options)

    @abstractmethod
    def render(self, batch: Batch) -> Sequence[Request]:
        """The requests that together carry the batch, in its order."""

    def classify(self, response: Response, batch: Batch) -> Sequence[Outcome]:
        """One outcome for each alert that the request carried; `batch` has only these."""
        outcome = by_status(response, url_is_target=True)
        if isinstance(outcome, Rejected) and len(batch.alerts) > 1:
            # One alert may have spoiled it for its neighbours: sent in parts, the bad one is found.
            outcome = TooLarge(f"{outcome.why} for one of the batch", outcome.reply)
        return [outcome] * len(batch.alerts)

    async def deliver(self, batch: Batch) -> Sequence[Outcome]:
        """Send the requests one after another, all within `timeout`; nothing more after a fault.

        Several alerts whose rendering is larger than the limit are not sent: the worker splits them. A single
        one is, as only the destination knows.
        """
        try:
            requests = self.render(batch)
        except Exception as error:
            return [Rejected(f"could not be rendered: {type(error).__name__}")] * len(batch.alerts)
        outcomes: list[Outcome] = []
        until = time.monotonic() + self.limits.timeout
        for request in requests:
            part = batch
            if len(requests) > 1:
                part = replace(batch, alerts=batch.alerts[request.alerts.start : request.alerts.stop])
            if outcomes and isinstance(outcomes[-1], Retry | Throttled | Parked):
                outcomes += [outcomes[-1]] * len(part.alerts)
                continue
            if len(part.alerts) > 1 and len(request.body) > self.limits.bytes:
                outcomes += [TooLarge(f"{len(request.body)} bytes when rendered")] * len(part.alerts)
                continue
            outcomes += await self._send(request, part, until - time.monotonic())
        return outcomes

    async def _send(self, request: Request, part: Batch, seconds: float) -> Sequence[Outcome]:
        assert self._client is not None, "start() comes first"
        if seconds <= 0:
            return [by_fault(Fault.TIMEOUT)] * len(part.alerts)
        try:
            response = await self._client.send(request, seconds)
        except HttpFaultError as error:
            return [by_fault(error.fault)] * len(part.alerts)
        return self.classify(response, part)


def limits_of(defaults: Limits, settings: OutputSettings) -> Limits:
    """The destination's own limits where the user says nothing."""
    return replace(
        defaults,
        pace=settings.pace if settings.pace is not None else defaults.pace,
        concurrency=settings.concurrency or defaults.concurrency,
        alerts=min(settings.batch or defaults.alerts, defaults.alerts),
        timeout=settings.timeout or defaults.timeout,
    )


def client_options(settings: OutputSettings) -> ClientOptions:
    """Read the certificates. Raises ValueError that names the file."""
    files: list[bytes | None] = []
    for path in (settings.tls.ca_file, settings.tls.cert_file):
        try:
            files.append(path.read_bytes() if path else None)
        except OSError as error:
            raise ValueError(f"tls: {path} cannot be read: {error.strerror}") from None
    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    return ClientOptions(files[0], files[1], settings.tls.verify, proxy)


def by_fault(fault: Fault) -> Outcome:
    """No reply at all."""
    # INVALID is the configuration's fault: nothing of an alert stands in an address or a header.
    if fault in {Fault.TLS, Fault.PROXY, Fault.INVALID}:
        return Parked(fault.value)
    return Retry(fault.value)


def by_status(response: Response, *, url_is_target: bool) -> Outcome:
    """The common table. `url_is_target`: a 404 says that the address is wrong, not the alert."""
    status = response.status
    if 200 <= status < 300:
        return Delivered()
    said = f"HTTP {status}"
    if status == 429:
        return Throttled(retry_after(response) or THROTTLED_DEFAULT, said)
    if status in {408, 425} or (status >= 500 and status != 501):
        wait = retry_after(response)
        return Throttled(wait, said) if wait and status == 503 else Retry(said)
    if status == 413:
        return TooLarge(said, reply_text(response))
    if status in {401, 403, 407} or (url_is_target and status in {404, 405, 410}):
        return Parked(f"{said} {_REASONS.get(status, '')}".strip())
    if 300 <= status < 400:
        return Parked(f"{said}: redirects are not followed; put the new address into the configuration")
    return Rejected(said, reply_text(response))


def reply_text(response: Response) -> str:
    """What the destination said, at most 4 KiB of it."""
    return response.body[:REPLY_KEPT].decode("utf-8", "replace")


def retry_after(response: Response, now: float | None = None) -> float | None:
    """Seconds from Retry-After, as a number or as a date; None without one; at most an hour."""
    text = response.headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - (time.time() if now is None else now)
        except (ValueError, TypeError, OverflowError):
            return None
    if not seconds >= 0:  # a date that is over, or NaN
        seconds = 0.0
    return min(max(seconds, 1.0), THROTTLED_MOST)
