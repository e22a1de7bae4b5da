"""Prometheus Alertmanager, API v2. Its identity of an alert is the set of labels.

So the labels are what stays the same for the same problem: rule, priority, source, tags, host and where it
happened. Never a time or a process id, a file or a connection (its port is another each time), a container's
id (another after each restart) or the text: each alert would be another problem. All of these are
annotations, and `labels_from` can say otherwise.

Labels have falcosidekick's names and values, so that existing routes go on working. What Alertmanager does
with a repetition (types.Alert.Merge): the same labels are one alert, with the earliest start, the latest end,
and the annotations of the one that came last; so does `render` within a request.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar
from urllib.parse import quote

import orjson
from pydantic import Field, SecretStr, field_validator

from relay.alert import Alert
from relay.config.settings import Duration, OutputSettings, SettingsType
from relay.outputs.base import Batch, Limits, Outcome, Rejected, Request, Response, TooLarge
from relay.outputs.http_output import HttpOutput, by_status, reply_text
from relay.outputs.urls import http_url
from relay.render import cut, one_line, rfc3339, text_of, visible

IDENTITY = (
    "k8s.ns.name",
    "k8s.pod.name",
    "container.name",
    "container.image.repository",
    "proc.name",
    "user.name",
    "ka.target.namespace",
    "ka.target.resource",
    "ka.target.name",
    "ka.user.name",
    "ka.verb",
)
"""Fields that name the place of a problem, not the moment of an event."""

SEVERITY = (
    "critical",
    "critical",
    "critical",
    "warning",
    "warning",
    "information",
    "information",
    "information",
)
"""By priority, falcosidekick's words."""
LABEL_LIMIT = 512  # characters; Alertmanager sets no limit, but an attacker may write them
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
        now_ns = self._now()
        merged: dict[tuple[tuple[str, str], ...], tuple[Alert, int]] = {}
        for alert in batch.alerts:
            key = tuple(sorted(self.labels(alert).items()))
            earlier = merged.pop(key, None)
            # A sender's clock may be ahead; a start after the end is refused.
            starts_ns = min(alert.time_ns, now_ns, earlier[1] if earlier else now_ns)
            merged[key] = (alert, starts_ns)
        posted = [
            self._posted(dict(key), alert, starts_ns, now_ns) for key, (alert, starts_ns) in merged.items()
        ]
        headers = {"Content-Type": "application/json"}
        return (Request("POST", self._url, headers, orjson.dumps(posted), range(len(batch.alerts))),)

    def labels(self, alert: Alert) -> dict[str, str]:
        """What makes it this problem."""
        labels = {
            "alertname": _label(alert.rule),
            "rule": _label(alert.rule),
            "priority": alert.priority_name,
            "severity": SEVERITY[alert.priority],
            "source": "falco",
            "eventsource": _label(alert.source),
            "hostname": _label(alert.hostname),
            "tags": _label(",".join(sorted(alert.tags))),
        }
        for field in self.settings.labels_from:
            value = alert.output_fields.get(field)
            if value is not None and not isinstance(value, dict | list):
                labels.setdefault(label_name(field), _label(text_of(value)))
        # An empty label is the same as none.
        return {name: value for name, value in (labels | self.settings.extra_labels).items() if value}

    def _posted(self, labels: dict[str, str], alert: Alert, starts_ns: int, now_ns: int) -> dict[str, Any]:
        # Counted from now, also if it comes late: an alert that ends in the past would be shown to nobody.
        ends_ns = now_ns + int(self.settings.expires_after * 1e9)
        posted = {
            "labels": labels,
            "annotations": dict(self._annotations(alert)) | self.settings.extra_annotations,
            "startsAt": rfc3339(starts_ns),
            "endsAt": rfc3339(ends_ns),
        }
        if self.public_url:
            posted["generatorURL"] = f"{self.public_url}/ui/alerts/{quote(alert.id, safe='')}"
        return posted

    def _annotations(self, alert: Alert) -> Iterator[tuple[str, str]]:
        yield "summary", _text(alert.rule, LABEL_LIMIT)
        yield "description", _text(alert.output, ANNOTATION_LIMIT)
        yield "info", _text(alert.output, ANNOTATION_LIMIT)
        yield "uuid", _text(alert.id, LABEL_LIMIT)
        yield "time", rfc3339(alert.time_ns)
        names = {"summary", "description", "info", "uuid", "time"}
        for field, value in islice(alert.output_fields.items(), ANNOTATIONS_MOST):
            name = label_name(field)
            if value is not None and name not in names:
                names.add(name)
                yield name, _text(text_of(value), LABEL_LIMIT)

    def classify(self, response: Response, batch: Batch) -> Sequence[Outcome]:
        outcome = by_status(response, url_is_target=True)
        if response.status == 400 and len(batch.alerts) > 1:
            # Alertmanager takes the good ones and names the bad in free text: send in parts to find out.
            outcome = TooLarge("HTTP 400 for one of the batch", reply_text(response))
        elif isinstance(outcome, Rejected):
            outcome = Rejected(f"HTTP {response.status}: not valid for Alertmanager", outcome.reply)
        return [outcome] * len(batch.alerts)


def label_name(field: str) -> str:
    """`proc.aname[2]` is `proc_aname_2`; a leading digit gets an underscore."""
    name = _NOT_IN_NAME.sub("_", field).strip("_")[:128] or "field"
    return f"_{name}" if name[0].isdigit() else name


def _label(text: str) -> str:
    return cut(one_line(text), LABEL_LIMIT)


def _text(text: str, limit: int) -> str:
    return cut(visible(text), limit)
