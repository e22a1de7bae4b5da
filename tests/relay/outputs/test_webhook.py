"""The webhook sends what was received, with a name for each alert, in the format that was asked for."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from relay import outputs
from relay.alert import Alert
from relay.outputs.base import Request
from relay.outputs.webhook import Webhook
from tests.relay.outputs.samples import NOW_NS, SECRET, alert, batch, settings_of


def webhook(**more: Any) -> Webhook:
    made = outputs.create("hook", settings_of("webhook", "example.com", "https", **more))
    assert isinstance(made, Webhook)
    return made


def raw(body: bytes, content: str = "json", name: str = "id-1", normalised: tuple[str, ...] = ()) -> Alert:
    """An alert as the journal gives it back, from these received bytes."""
    return Alert(
        seq=1,
        id=name,
        time_ns=NOW_NS,
        received_ns=NOW_NS,
        priority=4,
        rule="r",
        source="s",
        hostname="h",
        raw=body,
        content=content,
        normalised=normalised,
    )


def rendered(*alerts: Alert, shrink: bool = False, **more: Any) -> Request:
    (request,) = webhook(**more).render(batch(*alerts, shrink=shrink))
    return request


def test_the_received_bytes_are_sent_as_they_came() -> None:
    one = alert()
    request = rendered(one)
    assert request.body == one.raw
    assert request.method == "POST"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Idempotency-Key"] == "delivery-1"


def test_an_alert_without_a_uuid_gets_the_one_that_the_relay_gave_it() -> None:
    request = rendered(raw(b' {"rule": "r",\n "odd": 1.0}'))
    assert orjson.loads(request.body) == {"uuid": "id-1", "rule": "r", "odd": 1.0}
    assert b"1.0" in request.body, "numbers stay as they were written"


def test_a_uuid_that_is_not_the_alerts_name_is_replaced() -> None:
    """The word may stand anywhere in an attacker's text, and the sender's may not have been usable."""
    for body in (
        b'{"uuid": "bad id!", "rule": "r"}',
        b'{"rule": "\\"uuid\\""}',
        b'{"output": "uuid", "uuid": null}',
    ):
        assert orjson.loads(rendered(raw(body)).body)["uuid"] == "id-1"


def test_a_line_of_text_and_an_odd_alert_are_sent_in_falcos_shape() -> None:
    sent = orjson.loads(rendered(raw(b"12:00:00.0: Warning something", "text", normalised=("text",))).body)
    assert sent["output"] == "12:00:00.0: Warning something"
    assert set(sent) >= {"uuid", "rule", "priority", "source", "time", "output_fields", "tags", "hostname"}
    sent = orjson.loads(rendered(raw(b'{"rule": 7}', normalised=("rule", "output"))).body)
    assert (sent["rule"], sent["priority"]) == ("r", "Warning")


def test_many_in_one_request() -> None:
    several = [alert(1), raw(b'{"rule":\n"over two lines"}'), raw(b"text", "text", normalised=("text",))]
    lines = rendered(*several, format="ndjson")
    assert lines.headers["Content-Type"] == "application/x-ndjson"
    assert lines.body.endswith(b"\n")
    one, two, three = [orjson.loads(line) for line in lines.body.splitlines()]
    assert one == orjson.loads(several[0].raw)
    assert two["rule"] == "over two lines"
    assert three["output"] == "text"
    assert orjson.loads(rendered(*several, format="array").body) == [one, two, three]
    assert webhook().limits.alerts == 1
    assert webhook(format="array").limits.alerts == 100
    assert webhook(format="ndjson", batch=7).limits.alerts == 7


def test_what_was_too_large_is_shortened_and_says_so() -> None:
    fields = {f"f{n}": "x" * 5000 for n in range(200)} | {"n": 7, "big": 2**60, "none": None}
    sent = orjson.loads(rendered(alert(output="y" * 100_000, output_fields=fields), shrink=True).body)
    assert sent["truncated"] is True
    assert sent["rule"] == "Read sensitive file untrusted"
    assert sent["uuid"] == alert().id
    assert "cut:" in sent["output"]
    assert len(orjson.dumps(sent)) < 60_000


def test_headers_are_sent_and_hidden() -> None:
    request = rendered(alert(), headers={"Authorization": f"Bearer {SECRET}"}, method="PUT")
    assert request.headers["Authorization"] == f"Bearer {SECRET}"
    assert request.method == "PUT"
    assert SECRET not in repr(webhook(headers={"Authorization": SECRET}).settings)


@pytest.mark.parametrize(
    "headers",
    [{"Host": "x"}, {"Content-Length": "1"}, {"a b": "x"}, {"X": "a\r\nY: b"}, {"X": "a\x00"}, {"X": "漢"}],
)
def test_headers_that_cannot_be(headers: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        webhook(headers=headers)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["uuid", "x", "y"]), JSON, max_size=3), st.booleans())
def test_any_object_is_sent_whole(odd: dict[str, Any], indented: bool) -> None:
    """Whatever the sender's layout: valid JSON, the relay's uuid, and everything else untouched."""
    try:
        body = orjson.dumps({"rule": "r"} | odd, option=orjson.OPT_INDENT_2 if indented else None)
    except orjson.JSONEncodeError:
        return
    for form in ("json", "ndjson", "array"):
        sent = orjson.loads(rendered(raw(body), format=form).body)
        sent = sent[0] if form == "array" else sent
        assert sent["uuid"] == "id-1"
        assert {name: sent[name] for name in odd if name != "uuid"} == {
            name: value for name, value in odd.items() if name != "uuid"
        }
