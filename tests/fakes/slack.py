"""Slack's incoming webhooks, as strict as their documentation.

Sources: docs.slack.dev "Sending messages using incoming webhooks", its changelog of 2016-05-17 (statuses and
words), "Rate limits" (1 message a second a webhook, short bursts, Retry-After), "Reference: blocks" (section:
text 3000, fields 10 of 2000; header 150; context 10 elements; 50 blocks a message) and "Formatting text".
It shares no code with the output it checks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.fakes.http import Received, Reply

PATH = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
KNOWN = {
    "text", "blocks", "attachments", "mrkdwn", "link_names", "parse", "unfurl_links", "unfurl_media",
    "username", "icon_url", "icon_emoji", "channel", "metadata", "thread_ts", "response_type",
    "replace_original", "delete_original",
}  # fmt: skip
ATTACHMENT = {
    "color", "blocks", "fallback", "text", "pretext", "title", "title_link", "fields", "footer",
    "footer_icon", "ts", "mrkdwn_in", "author_name", "author_link", "author_icon", "image_url", "thumb_url",
}  # fmt: skip
BLOCKS_TOTAL = 13_000
# <@U…>, <#C…>, <!channel>, <!subteam^…>, <https://…|label>; a date is the one that notifies nobody.
SPECIAL = re.compile(r"<(?!!date\^)([@#!][^>]*|[a-z][a-z0-9+.-]*:[^>]*)>", re.IGNORECASE)
ENTITY = re.compile(r"&(?!amp;|lt;|gt;)")


class RefusedError(Exception):
    """status, the word in the body."""


class Slack:
    """Use as the `reply` of a Destination. `messages` are those it took."""

    def __init__(self, now: Callable[[], float] = lambda: 0.0, burst: int = 5) -> None:
        self.now = now
        self.messages: list[dict[str, Any]] = []
        self.archived = self.deleted = False
        self._burst = burst
        self._tokens = float(burst)
        self._at = now()

    def __call__(self, received: Received) -> Reply:
        try:
            self._paced()
            self._take(received)
        except RefusedError as error:
            status, word = error.args
            headers = {"Retry-After": "1"} if status == 429 else {}
            return Reply(status, headers | {"Content-Type": "text/html"}, word.encode())
        return Reply(200, {"Content-Type": "text/html"}, b"ok")

    def _paced(self) -> None:
        now = self.now()
        self._tokens = min(float(self._burst), self._tokens + now - self._at)
        self._at = now
        if self._tokens < 1:
            raise RefusedError(429, "rate_limited")
        self._tokens -= 1

    def _take(self, received: Received) -> None:
        if received.path != PATH or self.deleted:
            raise RefusedError(404, "no_service")
        if received.method != "POST":
            raise RefusedError(405, "method_not_allowed")
        if self.archived:
            raise RefusedError(410, "channel_is_archived")
        if received.headers.get("content-type", "").split(";")[0] != "application/json":
            raise RefusedError(400, "invalid_payload")
        try:
            message = json.loads(received.body.decode("utf-8"))
        except ValueError:
            raise RefusedError(400, "invalid_payload") from None
        if not isinstance(message, dict) or set(message) - KNOWN:
            raise RefusedError(400, "invalid_payload")
        check(message)
        self.messages.append(message)


def check(message: dict[str, Any]) -> None:
    """Raise RefusedError with the word that Slack would answer."""
    text = message.get("text", "")
    attachments = message.get("attachments", [])
    if not text and not attachments and not message.get("blocks"):
        raise RefusedError(400, "no_text")
    if not isinstance(text, str) or len(text) > 40_000:
        raise RefusedError(400, "msg_too_long")
    if len(attachments) > 100:
        raise RefusedError(400, "too_many_attachments")
    _entities(text, "invalid_payload")
    for attachment in attachments:
        if set(attachment) - ATTACHMENT or not re.fullmatch(
            r"#[0-9a-fA-F]{6}|good|warning|danger", attachment.get("color", "good")
        ):
            raise RefusedError(400, "invalid_attachments")
    blocks = [*message.get("blocks", []), *(b for one in attachments for b in one.get("blocks", []))]
    if len(blocks) > 50:
        raise RefusedError(400, "invalid_blocks")
    for block in blocks:
        _block(block)
    if sum(len(one["text"]) for block in blocks for one in texts(block)) > BLOCKS_TOTAL:
        raise RefusedError(400, "msg_blocks_too_long")


def texts(block: dict[str, Any]) -> list[dict[str, Any]]:
    """All text objects of a block."""
    own = [block["text"]] if "text" in block else []
    return [*own, *block.get("fields", []), *block.get("elements", [])]


def _block(block: Any) -> None:
    kind = block.get("type")
    allowed = {"section": {"text", "fields"}, "header": {"text"}, "context": {"elements"}, "divider": set()}
    if kind not in allowed or set(block) - allowed[kind] - {"type", "block_id"}:
        raise RefusedError(400, "invalid_blocks_format")
    if kind == "section":
        if not block.get("text") and not block.get("fields"):
            raise RefusedError(400, "invalid_blocks")
        if len(block.get("fields", [])) > 10:
            raise RefusedError(400, "invalid_blocks")
    if kind == "context" and not 1 <= len(block.get("elements", [])) <= 10:
        raise RefusedError(400, "invalid_blocks")
    if kind == "header" and block["text"]["type"] != "plain_text":
        raise RefusedError(400, "invalid_blocks")
    for one in texts(block):
        most = 150 if kind == "header" else 2000 if one in block.get("fields", []) else 3000
        _text(one, most)


def _text(text: Any, most: int) -> None:
    if set(text) - {"type", "text", "emoji", "verbatim"} or text.get("type") not in {"mrkdwn", "plain_text"}:
        raise RefusedError(400, "invalid_blocks")
    if not isinstance(text.get("text"), str) or not 1 <= len(text["text"]) <= most:
        raise RefusedError(400, "invalid_blocks")
    if text["type"] == "mrkdwn":
        _entities(text["text"], "invalid_blocks")


def _entities(text: str, word: str) -> None:
    # Slack itself is lenient with a bare `&`; a sender that escapes as it asks never writes one.
    if ENTITY.search(text):
        raise RefusedError(400, word)


def links(message: dict[str, Any]) -> list[str]:
    """Mentions and links that Slack would make of the message: what an attacker would like to write."""
    found = SPECIAL.findall(message.get("text", ""))
    for attachment in message.get("attachments", []):
        for block in attachment.get("blocks", []):
            for one in texts(block):
                found += SPECIAL.findall(one["text"])
    return found
