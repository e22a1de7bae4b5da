"""Slack: what it takes is within its limits and cannot be abused; what it answers is understood."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay import outputs
from relay.alert import PRIORITIES
from relay.outputs.base import Delivered, Outcome, Parked, Rejected, Response, Retry, Throttled, TooLarge
from relay.outputs.slack import COLOURS, Slack
from tests.fakes import slack as fake
from tests.fakes.http import Destination
from tests.relay.outputs.samples import PUBLIC_URL, alert, batch, settings_of


def slack(**more: Any) -> Slack:
    output = outputs.create("oncall", settings_of("slack", "hooks.example", "https", **more), PUBLIC_URL)
    assert isinstance(output, Slack)
    return output


TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=400) | st.sampled_from(
    [
        "<!channel>",
        "<https://evil.example|ok>",
        "&amp;",
        "```",
        "`",
        "*_~",
        "@here",
        "x" * 9000,
        "<" * 4000,
        "\n" * 3000,
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    TEXT,
    TEXT,
    TEXT,
    st.dictionaries(
        TEXT, TEXT | st.none() | st.integers(-(2**63), 2**63 - 1) | st.lists(TEXT, max_size=3), max_size=60
    ),
    st.lists(TEXT, max_size=5),
    st.booleans(),
)
def test_any_alert_is_a_message_that_slack_takes(
    rule: str, output: str, host: str, fields: dict[str, Any], tags: list[str], shrink: bool
) -> None:
    """And nobody is mentioned, no link is made, but the one to our own page."""
    one = alert(rule=rule, output=output, hostname=host, output_fields=fields, tags=tags)
    message = slack().message(one, shrink=shrink)
    fake.check(message)
    assert [link for link in fake.links(message) if not link.startswith(PUBLIC_URL)] == []


def test_a_message_says_what_happened() -> None:
    message = slack(footer="prod-1").message(alert())
    assert message["text"].startswith("Warning: Read sensitive file untrusted")
    assert "node-1" in message["text"]
    (attachment,) = message["attachments"]
    shown = "\n".join(one["text"] for block in attachment["blocks"] for one in fake.texts(block))
    for part in (
        "file=/etc/shadow",
        "fd.name",
        "/etc/shadow",
        "proc.name",
        "cat",
        "syscall",
        "prod-1",
        "filesystem",
    ):
        assert part in shown
    assert fake.links(message) == [f"{PUBLIC_URL}/ui/alerts/{alert().id}|open in Outrider"]


def test_each_priority_has_its_colour() -> None:
    found = [slack().message(alert(priority=name))["attachments"][0]["color"] for name in PRIORITIES]
    assert tuple(found) == COLOURS
    assert len(set(found)) == 8


def test_fields_from_a_priority_on() -> None:
    output = slack(minimum_priority_fields="error")
    assert "fd.name" not in str(output.message(alert(priority="Warning")))
    assert "fd.name" in str(output.message(alert(priority="Error")))
    assert "fd.name" in str(output.message(alert(priority="Critical")))


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (200, b"ok", Delivered),
        (200, b"<html>log in to the network</html>", Retry),
        (400, b"invalid_payload", Rejected),
        (400, b"invalid_blocks", Rejected),
        (400, b"no_text", Rejected),
        (400, b"too_many_attachments", TooLarge),
        (400, b"msg_too_long", TooLarge),
        (400, b"user_not_found", Parked),
        (403, b"action_prohibited", Parked),
        (403, b"invalid_token", Parked),
        (404, b"channel_not_found", Parked),
        (404, b"no_service", Parked),
        (410, b"channel_is_archived", Parked),
        (429, b"rate_limited", Throttled),
        (500, b"", Retry),
        (503, b"", Retry),
    ],
)
def test_what_slack_answers(status: int, body: bytes, wanted: type[Outcome]) -> None:
    (outcome,) = slack().classify(Response(status, {}, body), batch())
    assert type(outcome) is wanted
    if not isinstance(outcome, Delivered | Throttled) and status != 200:
        assert str(status) in outcome.why
        assert body.decode() in outcome.why


async def test_the_strict_fake_takes_it_and_asks_for_its_pace() -> None:
    """One message a second with short bursts: the fourth at once is throttled, and is not a failure."""
    now = 0.0
    server = fake.Slack(lambda: now, burst=3)
    async with Destination(server).running() as destination:
        config = settings_of("slack", destination.netloc)
        config = config.model_copy(
            update={"webhook_url": type(config.webhook_url)(f"http://{destination.netloc}{fake.PATH}")}
        )
        output = outputs.create("oncall", config, PUBLIC_URL)
        await output.start()
        try:
            outcomes = [(await output.deliver(batch(alert(n))))[0] for n in range(4)]
            assert [type(outcome) for outcome in outcomes] == [Delivered, Delivered, Delivered, Throttled]
            now = 1.0
            assert isinstance((await output.deliver(batch(alert(3))))[0], Delivered)
            server.archived = True
            now = 2.0
            (outcome,) = await output.deliver(batch())
            assert outcome == Parked("HTTP 410 channel_is_archived")
        finally:
            await output.close()
    assert len(server.messages) == 4
    assert output.limits.pace == 1.0
    assert output.limits.burst <= 3


def test_two_outputs_on_one_webhook_share_its_pace_and_hide_it() -> None:
    one, other = slack(), slack()
    assert one.limits.pace_key == other.limits.pace_key
    assert "hook" not in str(one.limits.pace_key)
