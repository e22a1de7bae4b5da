"""The way of an event to its alert, with rules and channels made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from sensor.event import Event, File, Lost, Socket
from sensor.outputs.channel import Alert
from sensor.pipeline import KERNEL_PATH, KERNEL_PEER, LOSS_EVERY_NS, LOSS_RULE, Pipeline, json_line
from sensor.processes import NoProc, ProcessTable
from tests.sensor.events import NOW, event, exec_, file, task


class Shadow:
    """A rule over fd.name, written in Python."""

    def match(self, event: Event) -> Sequence[str]:
        detail = event.detail
        if isinstance(detail, File) and detail.name == "/raise":
            raise RuntimeError("a rule that cannot judge this")
        names = {"/etc/shadow": ["shadow"], "/tmp/dull": ["dull"]}
        return names.get(detail.name, []) if isinstance(detail, File) else []


class Plain:
    def alert(self, rule: str, event: Event, extra: dict[str, Any]) -> Alert:
        assert isinstance(event.detail, File)
        image = event.process.image
        fields = {"fd.name": event.detail.name, "proc.exe": image.exe if image else None, **extra}
        return Alert(rule, orjson.dumps(fields), is_json=True)

    def internal(self, rule: str, time_ns: int, text: str, fields: dict[str, str]) -> Alert:
        return Alert(rule, orjson.dumps(fields), is_json=True)


class Kept:
    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def put(self, alert: Alert) -> None:
        self.alerts.append(alert)

    def fields(self) -> list[dict[str, Any]]:
        return [orjson.loads(alert.body) for alert in self.alerts]


def pipeline() -> tuple[Pipeline[str], Kept]:
    kept = Kept()
    return Pipeline(ProcessTable(NoProc()), Shadow(), Plain(), [kept]), kept


def test_an_alert_has_what_the_process_runs() -> None:
    made, kept = pipeline()
    made.feed([event("execve", detail=exec_("cat")), event(), event(detail=file("/etc/passwd"))])
    assert kept.fields() == [{"fd.name": "/etc/shadow", "proc.exe": "cat"}]
    assert (made.counters.events, made.counters.alerts) == (3, 1)


def test_a_link_to_the_file_is_seen() -> None:
    made, kept = pipeline()
    made.feed([event(detail=file("/tmp/x", kernel_path="/etc/shadow"))])
    assert kept.fields() == [{"fd.name": "/etc/shadow", "proc.exe": None, KERNEL_PATH: "/etc/shadow"}]


def test_a_name_that_matches_as_written_stays() -> None:
    made, kept = pipeline()
    made.feed([event(detail=file("/etc/shadow", kernel_path="/other"))])
    assert kept.fields() == [{"fd.name": "/etc/shadow", "proc.exe": None, KERNEL_PATH: "/other"}]


def test_a_rule_for_the_link_does_not_hide_the_one_for_the_file() -> None:
    made, kept = pipeline()
    made.feed([event(detail=file("/tmp/dull", kernel_path="/etc/shadow"))])
    assert [
        (one.rule, fields["fd.name"]) for one, fields in zip(kept.alerts, kept.fields(), strict=True)
    ] == [
        ("dull", "/tmp/dull"),
        ("shadow", "/etc/shadow"),
    ]


def test_an_address_that_was_written_over_does_not_hide_the_peer() -> None:
    class Metadata:
        def match(self, event: Event) -> Sequence[str]:
            assert isinstance(event.detail, Socket)
            return ["metadata"] if event.detail.remote == ("169.254.169.254", 80) else []

    class Remote(Plain):
        def alert(self, rule: str, event: Event, extra: dict[str, Any]) -> Alert:
            return Alert(rule, orjson.dumps(extra), is_json=True)

    kept = Kept()
    made: Pipeline[str] = Pipeline(ProcessTable(NoProc()), Metadata(), Remote(), [kept])
    peer, decoy = ("169.254.169.254", 80), ("127.0.0.1", 80)
    made.feed([event("connect", detail=Socket(3, 2, 6, ("10.0.0.1", 9), decoy, None, None, peer))])
    made.feed([event("connect", detail=Socket(3, 2, 6, ("10.0.0.1", 9), decoy, None, None))])
    assert kept.fields() == [{KERNEL_PEER: "169.254.169.254:80"}]


def test_one_event_that_cannot_be_judged_costs_only_itself() -> None:
    made, kept = pipeline()
    made.feed([event(detail=file("/raise")), event()])
    assert made.counters.failed == 1
    assert len(kept.alerts) == 1


def test_losses_are_alerts_but_not_a_flood_of_them() -> None:
    made, kept = pipeline()
    made.feed([Lost(NOW, 5)])
    made.feed([Lost(NOW + 1, 2), event("clone", child=task(7))])
    made.feed([Lost(NOW + 2, 3)])
    assert [alert.rule for alert in kept.alerts] == [LOSS_RULE]
    made.feed([Lost(NOW + LOSS_EVERY_NS, 4)])
    assert [one["n_drops"] for one in kept.fields()] == ["5", "9"]
    made.feed([Lost(NOW + LOSS_EVERY_NS + 1, 1)])
    made.finish()
    assert [one["n_drops"] for one in kept.fields()] == ["5", "9", "1"]
    assert made.counters.lost == 15


def test_the_last_losses_of_a_flood_are_said_though_nothing_is_lost_any_more() -> None:
    made, kept = pipeline()
    made.feed([Lost(NOW, 5)])
    made.feed([Lost(NOW + 1, 7)])
    made.feed([event("clone", child=task(7), time_ns=NOW + LOSS_EVERY_NS - 1)])
    assert [one["n_drops"] for one in kept.fields()] == ["5"]
    made.feed([event("clone", child=task(8), time_ns=NOW + LOSS_EVERY_NS)])
    assert [one["n_drops"] for one in kept.fields()] == ["5", "7"]


def test_json_survives_whatever_it_holds() -> None:
    line = json_line({"b": 1 << 70, "a": "\ud800", "c": ["\udfff", 1]})
    assert orjson.loads(line) == {"a": "?", "b": str(1 << 70), "c": ["?", 1]}
    assert line.index(b'"a"') < line.index(b'"b"')
