"""Prometheus Alertmanager, API v2. Its identity of an alert is the set of labels.

So the labels are what stays the same for the same problem: rule, priority, source, host and where it
happened; never a time, a process id or free text, which would make each alert another one. All the rest are
annotations.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import orjson
from pydantic import Field, SecretStr, field_validator

from relay.alert import Alert
from relay.config.settings import Duration, OutputSettings, SettingsType
from relay.outputs.base import Batch, Limits, Outcome, Rejected, Request, Response, TooLarge
from relay.outputs.http_output import HttpOutput, by_status
from relay.outputs.urls import http_url
from relay.render import cut, rfc3339, text_of, visible

IDENTITY = (
    "k8s.ns.name",
    "k8s.pod.name",
    "container.id",
    "container.name",
    "container.image.repository",
    "proc.name",
    "user.name",
    "fd.name",
    "ka.target.namespace",
    "ka.target.resource",
    "ka.target.name",
    "ka.user.name",
    "ka.verb",
)
"""Fields that name the place of a problem, not the moment of an event."""

SEVERITY = ("critical", "critical", "critical", "warning", "warning", "info", "info", "info")
LABEL_LIMIT = 512  # characters; Alertmanager itself sets no limit, its users do
ANNOTATION_LIMIT = 4096
ANNOTATIONS_MOST = 60
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_]+")


class AlertmanagerSettings(OutputSettings):
    """Prometheus Alertmanager."""

    url: SecretStr = Field(description="address of Alertmanager, without /api/v2/alerts; may hold a login")
    labels_from: tuple[str, ...] = Field(
        IDENTITY, description="fields that become labels: the alert's identity, beside rule, priority, host"
    )
    extra_labels: dict[str, str] = Field(default_factory=dict, description="labels on every alert")
    extra_annotations: dict[str, str] = Field(default_factory=dict, description="annotations on every alert")
    expires_after: Duration = Field(
        3600.0, gt=0, description="without a repetition for so long the alert is over"
    )

    _check_url = field_validator("url")(http_url)

    @field_validator("extra_labels", "extra_annotations")
    @classmethod
    def _check_names(cls, given: dict[str, str]) -> dict[str, str]:
        for name in given:
            if not _LABEL_NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be a label's name: letters, digits and _, no digit first")
        return given


class Alertmanager(HttpOutput[AlertmanagerSettings]):
    """Many alerts in one request; those with the same labels are one, the latest counts."""

    type: ClassVar[str] = "alertmanager"
    settings_type: ClassVar[SettingsType] = AlertmanagerSettings
    defaults: ClassVar[Limits] = Limits(alerts=100, bytes=1_000_000, concurrency=1, timeout=10.0)

    def __init__(
        self,
        name: str,
        settings: AlertmanagerSettings,
        public_url: str | None = None,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__(name, settings, public_url)
        self._now = now
        self._url = settings.url.get_secret_value().rstrip("/") + "/api/v2/alerts"

    def render(self, batch: Batch) -> Sequence[Request]:
        latest: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
        for alert in batch.alerts:
            labels = self.labels(alert)
            key = tuple(sorted(labels.items()))
            earlier = latest.pop(key, None)
            latest[key] = self._posted(alert, labels, earlier)
        body = orjson.dumps(list(latest.values()))
        headers = {"Content-Type": "application/json"}
        return (Request("POST", self._url, headers, body, range(len(batch.alerts))),)

    def labels(self, alert: Alert) -> dict[str, str]:
        """What makes it this alert. Values are bounded, as an attacker may write them."""
        labels = {
            "alertname": _value(alert.rule, LABEL_LIMIT),
            "rule": _value(alert.rule, LABEL_LIMIT),
            "priority": alert.priority_name,
            "severity": SEVERITY[alert.priority],
            "source": "falco",
            "eventsource": _value(alert.source, LABEL_LIMIT),
            "hostname": _value(alert.hostname, LABEL_LIMIT),
        }
        for field in self.settings.labels_from:
            value = alert.output_fields.get(field)
            if value is not None and not isinstance(value, dict | list):
                labels.setdefault(label_name(field), _value(text_of(value), LABEL_LIMIT))
        # An empty label is the same as none.
        return {name: value for name, value in (labels | self.settings.extra_labels).items() if value}

    def _posted(
        self, alert: Alert, labels: Mapping[str, str], earlier: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        # From now on if it comes late: an alert that ends in the past would be shown to nobody.
        ends_ns = max(alert.time_ns, self._now()) + int(self.settings.expires_after * 1e9)
        posted = {
            "labels": labels,
            "annotations": dict(self._annotations(alert)) | self.settings.extra_annotations,
            "startsAt": earlier["startsAt"] if earlier else rfc3339(alert.time_ns),
            "endsAt": rfc3339(ends_ns),
        }
        if self.public_url:
            posted["generatorURL"] = f"{self.public_url}/ui/alerts/{quote(alert.id, safe='')}"
        return posted

    def _annotations(self, alert: Alert) -> Iterator[tuple[str, str]]:
        yield "summary", _value(alert.rule, ANNOTATION_LIMIT)
        yield "description", _value(alert.output, ANNOTATION_LIMIT)
        yield "info", _value(alert.output, ANNOTATION_LIMIT)
        yield "uuid", _value(alert.id, LABEL_LIMIT)
        if alert.tags:
            yield "tags", _value(",".join(sorted(alert.tags)), LABEL_LIMIT)
        names = {"summary", "description", "info", "uuid", "tags"}
        for field, value in list(alert.output_fields.items())[:ANNOTATIONS_MOST]:
            name = label_name(field)
            if value is not None and name not in names:
                names.add(name)
                yield name, _value(text_of(value), LABEL_LIMIT)

    def classify(self, response: Response, batch: Batch) -> Sequence[Outcome]:
        outcome = by_status(response, url_is_target=True)
        if response.status == 400 and len(batch.alerts) > 1:
            # Alertmanager takes the good ones and names the bad in free text: send in parts to find out.
            outcome = TooLarge("HTTP 400 for one of the batch")
        elif isinstance(outcome, Rejected):
            outcome = Rejected(f"HTTP {response.status}: not valid for Alertmanager", outcome.reply)
        return [outcome] * len(batch.alerts)


def label_name(field: str) -> str:
    """`proc.aname[2]` is `proc_aname_2`; a leading digit gets an underscore."""
    name = _NOT_IN_NAME.sub("_", field).strip("_")[:128] or "field"
    return f"_{name}" if name[0].isdigit() else name


def _value(text: str, limit: int) -> str:
    return cut(visible(text), limit)
