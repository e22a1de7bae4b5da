"""Slack, by an incoming webhook: one message an alert, coloured by priority.

Limits and errors: Slack's "Sending messages using incoming webhooks" and its changelog of 2016-05-17,
"Rate limits" and "Reference: blocks".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import quote

import orjson
from pydantic import Field, SecretStr, field_validator

from relay.alert import Alert
from relay.config.settings import OutputSettings, Priority, SettingsType
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
    TooLarge,
)
from relay.outputs.http_output import HttpOutput, by_status, reply_text
from relay.outputs.urls import http_url
from relay.render import cut, one_line, rfc3339, slack_code, slack_escape, slack_plain, text_of

COLOURS = (
    "#7b1fa2",  # Emergency
    "#b71c1c",  # Alert
    "#d32f2f",  # Critical
    "#e65100",  # Error
    "#f9a825",  # Warning
    "#1976d2",  # Notice
    "#546e7a",  # Informational
    "#90a4ae",  # Debug
)
SECTION_LIMIT = 3000  # characters of a section's text
FIELDS_PER_SECTION = 10
HEADLINE_LIMIT = 300  # of 4000 advised for `text`: it is the notification, and one line
FIELD_SHOWN = 300  # characters of a field's value, of 2000 that Slack takes: a message stays readable
FIELDS_MOST = 30
FIELDS_TOTAL = 7000
"""Characters of all fields: beyond about 13,000 in all blocks Slack answers msg_blocks_too_long."""
SHRUNK_OUTPUT = 1000
SHRUNK_FIELDS = 6

_PARKED = {
    "action_prohibited",
    "channel_is_archived",
    "channel_not_found",
    "invalid_token",
    "no_active_hooks",
    "no_service",
    "no_service_id",
    "no_team",
    "posting_to_general_channel_denied",
    "team_disabled",
    "user_not_found",
}
_TOO_LARGE = {"msg_too_long", "msg_blocks_too_long", "too_many_attachments"}
_REJECTED = {"invalid_attachments", "invalid_blocks", "invalid_blocks_format", "invalid_payload", "no_text"}
"""What Slack answers in the body, in words of its own; the status alone does not tell them apart."""


class SlackSettings(OutputSettings):
    """Slack, incoming webhook."""

    webhook_url: SecretStr = Field(description="https://hooks.slack.com/services/…, from the app's page")
    minimum_priority_fields: Priority | None = Field(
        None, description="from this priority on the alert's fields are shown too; default: always"
    )
    footer: str = Field("", max_length=300, description="a line under each message, such as the cluster")

    _check_url = field_validator("webhook_url")(http_url)


class Slack(HttpOutput[SlackSettings]):
    """One message an alert. Slack has no idempotency key: a reply that is lost may show it twice."""

    type: ClassVar[str] = "slack"
    settings_type: ClassVar[SettingsType] = SlackSettings
    # One a second a webhook, "short bursts" allowed.
    defaults: ClassVar[Limits] = Limits(alerts=1, bytes=100_000, pace=1.0, burst=3, timeout=10.0)

    def __init__(self, name: str, settings: SlackSettings, public_url: str | None = None) -> None:
        super().__init__(name, settings, public_url)
        self._url = settings.webhook_url.get_secret_value()
        # Two outputs on one webhook share its pace. The address is a secret, its hash is not.
        name = hashlib.blake2b(self._url.encode(), digest_size=16).hexdigest()
        self.limits = replace(self.limits, pace_key=f"slack:{name}")

    def render(self, batch: Batch) -> Sequence[Request]:
        (alert,) = batch.alerts
        body = orjson.dumps(self.message(alert, shrink=batch.shrink))
        return (Request("POST", self._url, {"Content-Type": "application/json"}, body, range(1)),)

    def message(self, alert: Alert, *, shrink: bool = False) -> dict[str, Any]:
        """The payload; every text in it is within Slack's limits.

        `text` is the line above the coloured part, and all that a notification shows.
        """
        where = f" on {alert.hostname}" if alert.hostname else ""
        output_limit = SHRUNK_OUTPUT if shrink else SECTION_LIMIT - 6
        blocks: list[dict[str, Any]] = [
            _section(f"```{cut(alert.output or alert.rule or ' ', output_limit, slack_code)}```"),
            *self._fields(alert, shrink=shrink),
            {"type": "context", "elements": [{"type": "mrkdwn", "text": self._context(alert)}]},
        ]
        return {
            "text": cut(f"{alert.priority_name}: {alert.rule}{where}", HEADLINE_LIMIT, slack_plain),
            "attachments": [{"color": COLOURS[alert.priority], "blocks": blocks}],
            "mrkdwn": False,
            "link_names": False,
            "unfurl_links": False,
            "unfurl_media": False,
        }

    def _fields(self, alert: Alert, *, shrink: bool) -> list[dict[str, Any]]:
        from_priority = self.settings.minimum_priority_fields
        if from_priority is not None and alert.priority > from_priority:
            return []
        items = [(key, value) for key, value in alert.output_fields.items() if value not in (None, "")]
        shown: list[dict[str, Any]] = []
        total = 0
        for key, value in items[: SHRUNK_FIELDS if shrink else FIELDS_MOST]:
            one = _field(key, value)
            total += len(one["text"])
            if total > FIELDS_TOTAL:
                break
            shown.append(one)
        if len(items) > len(shown):
            shown.append({"type": "mrkdwn", "text": f"_{len(items) - len(shown)} more fields_"})
        return [
            {"type": "section", "fields": shown[at : at + FIELDS_PER_SECTION]}
            for at in range(0, len(shown), FIELDS_PER_SECTION)
        ]

    def _context(self, alert: Alert) -> str:
        seconds = alert.time_ns // 10**9
        when = f"<!date^{seconds}^{{date_short_pretty}} {{time_secs}}|{rfc3339(alert.time_ns)}>"
        if not 0 < seconds < 10**11:
            when = rfc3339(alert.time_ns)
        parts = [when]
        for label, text in (("host", alert.hostname), ("source", alert.source)):
            if text:
                parts.append(f"{label} `{cut(one_line(text), 200, slack_code)}`")
        if alert.tags:
            parts.append(cut(one_line(", ".join(alert.tags)), 300, slack_escape))
        if self.public_url:
            link = slack_escape(f"{self.public_url}/ui/alerts/{quote(alert.id, safe='')}")
            parts.append(f"<{link.replace('|', '%7C')}|open in Outrider>")
        if self.settings.footer:
            parts.append(cut(one_line(self.settings.footer), 300, slack_escape))
        return "  |  ".join(parts)

    def classify(self, response: Response, batch: Batch) -> Sequence[Outcome]:
        said = reply_text(response).strip()
        word = said.split("\n", 1)[0][:80]
        reason = f"HTTP {response.status} {word}"
        if response.status == 200:
            # A proxy or a captive portal answers 200 too; Slack says `ok`.
            outcome: Outcome = Delivered() if said == "ok" else Retry("HTTP 200 without Slack's `ok`")
        elif word in _PARKED:
            outcome = Parked(reason)
        elif word in _TOO_LARGE:
            outcome = TooLarge(reason, said)
        elif word in _REJECTED:
            outcome = Rejected(reason, said)
        else:
            outcome = by_status(response, url_is_target=True)
        return [outcome] * len(batch.alerts)


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _field(key: str, value: Any) -> dict[str, Any]:
    label = cut(one_line(key), 100, slack_code)
    shown = cut(one_line(text_of(value)), FIELD_SHOWN, slack_code)
    return {"type": "mrkdwn", "text": f"*`{label}`*\n`{shown or ' '}`"}
