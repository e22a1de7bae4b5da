"""Any HTTP endpoint that takes the alert's JSON: one POST an alert, or several in one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import orjson
from pydantic import Field, SecretStr, field_validator

from relay.alert import Alert
from relay.config.settings import OutputSettings, SettingsType
from relay.outputs.base import Batch, Limits, Request
from relay.outputs.http_output import HttpOutput
from relay.outputs.urls import http_url
from relay.render import cut, text_of

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
SHRUNK_OUTPUT = 4096  # characters
SHRUNK_VALUE = 512
SHRUNK_FIELDS = 50
_OURS = {"content-type", "content-length", "host", "idempotency-key", "transfer-encoding", "connection"}


class WebhookSettings(OutputSettings):
    """A generic webhook."""

    url: SecretStr = Field(
        description="address that takes the alerts; it may hold a token, so it is a secret"
    )
    method: Literal["POST", "PUT"] = Field("POST", description="HTTP method")
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="more headers, such as Authorization"
    )
    format: Literal["json", "ndjson", "array"] = Field(
        "json",
        description="json: one alert a request, as received; ndjson, array: up to `batch` alerts in one",
    )

    _check_url = field_validator("url")(http_url)

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"{name!r} is not a header's name")
            if name.lower() in _OURS:
                raise ValueError(f"{name} is set by the relay")
            if re.search(r"[^\t\x20-\x7e\x80-\xff]", value.get_secret_value()):
                raise ValueError(f"the value of {name} has a control character or a line end")
        return headers


class Webhook(HttpOutput[WebhookSettings]):
    """Sends the bytes that were received. `Idempotency-Key` is the same over all attempts."""

    type: ClassVar[str] = "webhook"
    settings_type: ClassVar[SettingsType] = WebhookSettings
    defaults: ClassVar[Limits] = Limits(alerts=500, bytes=1_000_000, concurrency=32, timeout=10.0)

    def __init__(self, name: str, settings: WebhookSettings, public_url: str | None = None) -> None:
        if settings.format == "json":
            settings = settings.model_copy(update={"batch": 1})
        elif settings.batch is None:
            settings = settings.model_copy(update={"batch": 100})
        super().__init__(name, settings, public_url)
        kind = "application/x-ndjson" if settings.format == "ndjson" else "application/json"
        own = {key: value.get_secret_value() for key, value in settings.headers.items()}
        self._headers = {"Content-Type": kind, **own}
        self._url = settings.url.get_secret_value()

    def render(self, batch: Batch) -> Sequence[Request]:
        bodies = [_shrunk(alert) if batch.shrink else _body(alert) for alert in batch.alerts]
        if self.settings.format == "json":
            body = bodies[0]
        elif self.settings.format == "ndjson":
            # A received body may span lines; the format allows one line an alert.
            body = b"\n".join(one if b"\n" not in one else _one_line(one) for one in bodies) + b"\n"
        else:
            body = b"[" + b",".join(bodies) + b"]"
        headers = {**self._headers, "Idempotency-Key": batch.delivery_id}
        return (Request(self.settings.method, self._url, headers, body, range(len(bodies))),)


def _body(alert: Alert) -> bytes:
    """The received bytes, with the alert's `uuid` put in front if they have none.

    Only if they are one whole alert in strict JSON; else the alert as the relay reads it.
    """
    raw = alert.raw
    if alert.content != "json" or alert.normalised:
        return alert.as_json()
    if b'"uuid"' not in raw:
        return b'{"uuid":"' + alert.id.encode() + b'",' + raw.lstrip()[1:]
    return raw if alert.id.encode() in raw else alert.as_json()


def _shrunk(alert: Alert) -> bytes:
    """For a destination that says 413: long texts are cut, and `truncated` says so."""
    shape = alert.as_dict()
    fields = list(alert.output_fields.items())[:SHRUNK_FIELDS]
    shown = {cut(key, 128): _short(value) for key, value in fields}
    known = {name: cut(shape[name], SHRUNK_VALUE) for name in ("hostname", "priority", "rule", "source")}
    tags = [cut(tag, 128) for tag in alert.tags[:SHRUNK_FIELDS]]
    short = known | {
        "uuid": alert.id,
        "time": shape["time"],
        "output": cut(alert.output, SHRUNK_OUTPUT),
        "output_fields": shown,
        "tags": tags,
        "truncated": True,
    }
    return orjson.dumps(short)


def _short(value: Any) -> Any:
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**53):
        return value
    return cut(text_of(value), SHRUNK_VALUE)


def _one_line(body: bytes) -> bytes:
    try:
        return orjson.dumps(orjson.loads(body))
    except (orjson.JSONDecodeError, TypeError):
        # Between tokens a line end is only white space, and inside a string JSON has none.
        return body.replace(b"\r", b" ").replace(b"\n", b" ")
