"""One POST an alert, as Falco's http_output, but nothing is forgotten on a failure: it is sent again.

A sent-again alert is recognised by its uuid, which is put into the JSON at its first sending. While the other
side is away, alerts wait in the channel's bounded queue.
"""

from __future__ import annotations

import random
import ssl
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

import httpx
import structlog

from sensor.config import HttpOutputSettings
from sensor.outputs.channel import Alert

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 15.0
TIMEOUT_S = 10.0
_REFUSED = frozenset({400, 413, 415, 422})
"""What the other side will never take, however often."""
_PIECES = 8
"""Of a reply's body that are read; each comes in one read from the network."""

log = structlog.get_logger("sensor")


class HttpOutput:
    """Posts to one URL. `pause` waits for some seconds or until the sensor stops; injected in tests."""

    name = "http"

    def __init__(
        self,
        settings: HttpOutputSettings,
        *,
        transport: httpx.BaseTransport | None = None,
        pause: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=int(settings.keep_alive))
        self._url = settings.url.get_secret_value()
        self._client = httpx.Client(
            verify=tls_context(settings),
            headers={"User-Agent": settings.user_agent},
            timeout=TIMEOUT_S,
            limits=limits,
            transport=transport,
        )
        self._pause = pause
        self._away = False

    def send(self, alert: Alert, stopping: threading.Event) -> bool:
        """Post until it is taken, refused for good, or the sensor ends."""
        body, kind = alert.body, "text/plain"
        if alert.is_json:
            # Last among the keys: they stand in alphabetical order.
            body, kind = body[:-1] + f',"uuid":"{uuid.uuid4()}"}}'.encode(), "application/json"
        wait = FIRST_PAUSE_S
        while True:
            problem = self._post(body, kind)
            if problem is None:
                self._back()
                return True
            if problem.startswith("refused"):
                log.error("alert refused", output=self.name, rule=alert.rule, reason=problem)
                return False
            if not self._away:
                log.warning("alerts wait: cannot be delivered", output=self.name, reason=problem)
                self._away = True
            if stopping.is_set():
                return False
            # Full jitter: many sensors that lost one relay do not come back in step.
            self._pause(stopping, random.uniform(0, wait))  # noqa: S311
            wait = min(wait * 2, LONGEST_PAUSE_S)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _post(self, body: bytes, kind: str) -> str | None:
        """Why it was not taken; None if it was. Never the URL, which may hold a secret."""
        try:
            headers = {"Content-Type": kind}
            with self._client.stream("POST", self._url, content=body, headers=headers) as reply:
                _read_little(reply)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"no reply: {type(error).__name__}"
        if reply.is_success:
            return None
        return f"{'refused' if reply.status_code in _REFUSED else 'answered'}: {reply.status_code}"

    def _back(self) -> None:
        if self._away:
            log.info("alerts are delivered again", output=self.name)
            self._away = False


def _read_little(reply: httpx.Response) -> None:
    """So that the connection can be used again; not what is endless. The status alone counts."""
    with suppress(httpx.HTTPError):
        for _ in islice(reply.iter_raw(), _PIECES):
            pass


def tls_context(settings: HttpOutputSettings) -> ssl.SSLContext:
    """Raises ValueError when a certificate or key cannot be used; the text names the file."""
    context = ssl.create_default_context()
    if settings.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.ca_cert is not None:
        try:
            context.load_verify_locations(cafile=settings.ca_cert)
        except OSError as error:
            raise ValueError(f"ca_cert: {settings.ca_cert}: {error.strerror or error}") from None
    if settings.mtls:
        assert settings.client_cert is not None
        try:
            context.load_cert_chain(settings.client_cert, settings.client_key)
        except OSError as error:
            raise ValueError(f"client_cert: {settings.client_cert}: {error.strerror or error}") from None
    return context
