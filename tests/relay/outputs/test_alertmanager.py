"""Alertmanager: the same problem keeps its labels; the real server lists what was sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay import outputs
from relay.outputs.alertmanager import Alertmanager, label_name
from relay.outputs.base import Delivered, Rejected, Response, TooLarge
from tests.relay.outputs.samples import NOW_NS, PUBLIC_URL, alert, batch, settings_of
from tests.relay.outputs.test_contract import HOSTILE
from tests.servers.alertmanager import Alertmanager as Server
from tests.servers.alertmanager import alertmanager


def output(url: str = "", **more: Any) -> Alertmanager:
    settings_ = settings_of("alertmanager", "am.example", **more)
    if url:
        settings_ = settings_.model_copy(update={"url": type(settings_.url)(url)})
    made = outputs.create("pager", settings_, PUBLIC_URL)
    assert isinstance(made, Alertmanager)
    return made


def posted(*alerts: Any, **more: Any) -> list[dict[str, Any]]:
    (request,) = output(**more).render(batch(*alerts))
    found: list[dict[str, Any]] = orjson.loads(request.body)
    return found


def test_the_same_problem_keeps_its_labels() -> None:
    """Another process, file, moment and text of the same doing is the same problem; another host is not."""
    first = alert(1)
    again = alert(
        2,
        output="13:00:00: Warning something else | file=/etc/sudoers",
        output_fields={"fd.name": "/etc/sudoers", "proc.name": "cat", "proc.pid": 99, "evt.time": 1},
        time="2026-11-23T14:33:09Z",
    )
    labels = output().labels(first)
    assert labels == output().labels(again)
    assert labels["alertname"] == "Read sensitive file untrusted"
    assert labels["priority"] == "Warning"
    assert labels["hostname"] == "node-1"
    assert labels["proc_name"] == "cat"
    assert labels != output().labels(alert(3, hostname="node-2"))
    assert labels != output().labels(alert(3, rule="Another"))


def test_details_are_annotations_and_a_link() -> None:
    (one,) = posted(alert())
    assert one["annotations"]["description"].endswith("file=/etc/shadow")
    assert one["annotations"]["fd_name"] == "/etc/shadow"
    assert one["generatorURL"] == f"{PUBLIC_URL}/ui/alerts/{alert().id}"
    assert one["startsAt"] < one["endsAt"]


def test_one_problem_twice_in_a_batch_is_one_alert_the_latest() -> None:
    (one,) = posted(alert(1), alert(2, output="the latest"))
    assert one["annotations"]["description"] == "the latest"
    assert len(posted(alert(1), alert(2, rule="other"))) == 2


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_field_has_a_name_that_is_a_label(text: str) -> None:
    assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", label_name(text))


def test_a_bad_one_of_many_is_looked_for() -> None:
    refused = Response(400, {}, b"start time must be before end time")
    several = batch(alert(1), alert(2))
    assert all(isinstance(one, TooLarge) for one in output().classify(refused, several))
    (outcome,) = output().classify(refused, batch())
    assert isinstance(outcome, Rejected)
    assert outcome.reply == "start time must be before end time"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with alertmanager(tmp_path_factory.mktemp("am")) as running:
        yield running


async def send(server: Server, *alerts: Any) -> list[Any]:
    made = output(server.url)
    await made.start()
    try:
        return list(await made.deliver(batch(*alerts)))
    finally:
        await made.close()


def listed(server: Server, rule: str) -> list[dict[str, Any]]:
    return [one for one in server.alerts() if one["labels"]["alertname"] == rule]


@pytest.mark.server
async def test_the_real_one_lists_it_once(server: Server) -> None:
    assert await send(server, alert(1, rule="once")) == [Delivered()]
    (before,) = listed(server, "once")
    assert await send(server, alert(2, rule="once", output="again")) == [Delivered()]
    (after,) = listed(server, "once")
    assert before["fingerprint"] == after["fingerprint"]
    assert after["annotations"]["description"] == "again"
    assert after["status"]["state"] == "active"
    assert after["generatorURL"] == f"{PUBLIC_URL}/ui/alerts/{alert(2).id}"
    assert before["startsAt"].startswith("2026-11-23T13:33:09")
    assert NOW_NS // 10**9 == 1795440789


@pytest.mark.server
async def test_the_real_one_takes_many(server: Server) -> None:
    several = [alert(n, rule="many", hostname=f"node-{n}") for n in range(100)]
    assert await send(server, *several) == [Delivered()] * 100
    assert len(listed(server, "many")) == 100


@pytest.mark.server
@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "empty"])
async def test_the_real_one_takes_hostile_text(server: Server, name: str) -> None:
    text = HOSTILE[name]
    one = alert(rule=f"hostile {name}", output=text, hostname=text, tags=[text], output_fields={text: text})
    assert await send(server, one) == [Delivered()]
    assert len(listed(server, f"hostile {name}")) == 1


def test_the_package_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SERVERS", "required")
    with (
        pytest.raises(pytest.fail.Exception, match="apt-get install prometheus-alertmanager"),
        alertmanager(tmp_path),
    ):
        pass
    monkeypatch.delenv("SERVERS")
    with pytest.raises(pytest.skip.Exception, match="prometheus-alertmanager"), alertmanager(tmp_path):
        pass
