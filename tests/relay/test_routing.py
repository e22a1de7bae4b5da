"""Which alert goes where: match, minimum_priority, enabled; and routings that were written down long ago."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relay import routing
from relay.alert import PRIORITIES, Alert
from relay.cli import main
from relay.routing import Routing


def alert(priority: str = "Warning", hostname: str = "", tags: Any = (), **fields: Any) -> Alert:
    body = {"output": "said so", "rule": "Terminal shell", "output_fields": fields, "tags": list(tags)}
    return Alert(
        seq=1,
        id="a",
        time_ns=1,
        received_ns=1,
        priority=PRIORITIES.index(priority),
        rule="Terminal shell",
        source="syscall",
        hostname=hostname,
        raw=json.dumps(body).encode(),
    )


def verdict(rules: Routing, one: Alert) -> str | None:
    why_not = rules.why_not()
    return why_not(one) if why_not is not None else None


def test_without_any_routing_every_alert_is_taken() -> None:
    assert Routing().why_not() is None
    assert routing.judge({}, alert()) is None


@pytest.mark.parametrize(
    ("match", "least", "enabled", "expected"),
    [
        ("priority >= warning", None, True, None),
        ("priority >= error", None, True, "match does not hold: priority >= error"),
        (None, "warning", True, None),
        (None, "error", True, "below minimum_priority Error"),
        (None, "debug", True, None),
        ("priority >= warning", "warning", False, "the output is not enabled"),
        ("rule = other", "error", True, "below minimum_priority Error"),
    ],
)
def test_why_not(match: str | None, least: str | None, enabled: bool, expected: str | None) -> None:
    number = None if least is None else PRIORITIES.index(least.capitalize())
    rules = Routing(match, number, enabled)
    assert verdict(rules, alert()) == expected
    assert routing.judge(rules.as_text(), alert()) == expected


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        (Routing(), {}),
        (Routing("rule = a"), {"match": "rule = a"}),
        (Routing(minimum_priority=0), {"minimum_priority": "emergency"}),
        (Routing(minimum_priority=6), {"minimum_priority": "informational"}),
        (Routing(enabled=False), {"enabled": "false"}),
    ],
)
def test_as_text_and_back(rules: Routing, text: dict[str, str]) -> None:
    assert rules.as_text() == text
    assert Routing.from_text(text) == rules


@pytest.mark.parametrize(
    "match", ["rule = ", "never_known(", "rule <> 3", "", "tags contains a", "priority > x"]
)
def test_a_generation_that_cannot_be_read_any_more_takes_nothing_and_says_so(match: str) -> None:
    said = routing.judge({"match": match}, alert())
    assert said is not None
    assert said.startswith("this routing cannot be read any more: ")


def test_a_generation_may_ask_for_custom_fields_that_are_gone() -> None:
    assert routing.judge({"match": "cluster = prod-1"}, alert(cluster="prod-1")) is None
    assert routing.judge({"match": "cluster = prod-1"}, alert()) == "match does not hold: cluster = prod-1"


def test_names_of_a_later_program_are_left_out() -> None:
    assert Routing.from_text({"match": "rule = a", "moon": "full"}) == Routing("rule = a")


@pytest.mark.parametrize(
    ("match", "problem"),
    [
        ("rule = a", None),
        ("cluster = prod-1", None),
        ("clutser = a", "line 1, column 1: unknown field 'clutser': did you mean cluster?"),
        (
            "rule = a and\n  prioirty = b",
            "line 2, column 3: unknown field 'prioirty': did you mean priority?",
        ),
        (
            "xyz = b",
            "line 1, column 1: unknown field 'xyz': there are cluster, hostname, output, priority, rule",
        ),
        ("rule = a and open_read", "line 1, column 14: unknown bare word 'open_read'"),
        (
            "priority >= loud",
            "line 1, column 13: 'loud' is not a priority: one of emergency, alert, critical",
        ),
        ("priority >= 4", "line 1, column 13: '4' is not a priority"),
        (
            "tags = a",
            "line 1, column 1: '=' operator not supported for lists, as tags is one; supported: exists",
        ),
        ("rule[1] = a", "line 1, column 1: rule[1]: rule takes no argument"),
        ("proc.name regex '('", "line 1, column 17: bad regular expression: the group has no ')'"),
    ],
)
def test_problems_have_their_place(match: str, problem: str | None) -> None:
    found = Routing(match).problems(frozenset({"cluster"}))
    if problem is None:
        assert found == []
    else:
        assert [text[: len(problem)] for text in found] == [problem]


FIELDS: dict[str, Any] = {
    "proc.pid": 12,
    "proc.name": "bash",
    "proc.aname[2]": "sshd",
    "fd.sport": "8080",
    "evt.time": 1_800_000_000_000_000_000,
    "k8s.ns.name": "shop",
    "container.name": None,
    "container.id": "1e3",
    "proc.is_exe_upper_layer": True,
    "ka.images": ["nginx", "redis"],
    "a.dict": {"b": 1},
    "a.float": 1.5,
    "a.large": 10**300,
    "cluster": "prod-1",
}


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        ("priority = Warning", True),
        ("priority in (warning, error)", True),
        ("priority > warning", False),
        ("priority >= WARN", True),
        ("priority < error", True),
        ("priority != warning", False),
        ("not priority = warning", False),
        ("rule startswith Term and source = syscall and output = 'said so'", True),
        ("hostname exists", False),
        ("hostname != web-1", False),
        ("not hostname = web-1", True),
        ("tags intersects (b, c)", True),
        ("tags in (a, b, c)", True),
        ("tags in (a)", False),
        ("tags exists", True),
        ("proc.pid > 9", True),  # as numbers, not as text
        ("proc.pid = 12.0", True),
        ("proc.pid = 0x0c", True),
        ("proc.pid in (11, 12)", True),
        ("proc.pid contains 1", True),
        ("proc.pid startswith 2", False),
        ("fd.sport > 900", True),  # text that is a number
        ("fd.sport = 8080", True),
        ("fd.sport = 8080.0", False),  # it is text here
        ("evt.time >= 1800000000000000000", True),
        ("evt.time > 1800000000000000000", False),  # to the nanosecond
        ("proc.name = bash", True),
        ("proc.name > 5", True),  # no numbers on both sides: text
        ("proc.aname[2] = sshd", True),
        ("proc.aname[3] = sshd", False),
        ("proc.aname = sshd", False),
        ("container.name exists", False),
        ("container.name != a", False),
        ("not container.name = a", True),
        ("container.id = 1000", False),
        ("container.id = 1e3", True),
        ("proc.is_exe_upper_layer = true", True),
        ("proc.is_exe_upper_layer = 1", False),
        ("ka.images in (nginx, redis, x)", True),
        ("ka.images in (nginx)", False),
        ("ka.images intersects (nginx)", True),
        ("ka.images contains redis", True),
        ('a.dict = "{\\"b\\":1}"', True),
        ("a.float < 2", True),
        ("a.float = 1.50", True),
        ("a.large > 5", True),
        ("cluster = prod-1", True),
        ("tolower(rule) = 'terminal shell'", True),
        ("len(proc.name) = 4", True),
        ("len(tags) >= 2", True),
        ("proc.name = val(proc.name)", True),
        ("proc.pid > val(fd.sport)", False),
        ("rule contains anyof (shell, x) and proc.name glob 'b*' and proc.name pmatch (bash)", True),
    ],
)
def test_the_alert_dialect(match: str, holds: bool) -> None:
    rules = Routing(match)
    assert rules.problems(frozenset({"cluster"})) == []
    said = verdict(rules, alert(tags=("a", "b"), **FIELDS))
    assert said == (None if holds else f"match does not hold: {match}")


def test_an_alert_that_came_as_text() -> None:
    one = alert()
    text = Alert(
        seq=2,
        id="b",
        time_ns=1,
        received_ns=1,
        priority=4,
        rule="r",
        source="",
        hostname="h",
        raw=b"10:00:00.1: Warning all of it",
        content="text",
    )
    rules = Routing(
        "output contains 'all of it' and not proc.name exists and not source exists and hostname = h"
    )
    assert verdict(rules, text) is None
    assert verdict(rules, one) is not None


@pytest.mark.parametrize(
    ("match", "pos", "absent", "written", "offered"),
    [
        (
            'priority > info and k8s.ns.name != "dev"',
            21,
            "k8s.ns.name",
            'k8s.ns.name != "dev"',
            'not k8s.ns.name = "dev"',
        ),
        ("a.b != allof (a, b)", 1, "a.b", "a.b != allof (a, b)", "not a.b = anyof (a, b)"),
        ("tolower(a.b) != val(a.c)", 1, "a.b", "tolower(a.b) != val(a.c)", "not tolower(a.b) = val(a.c)"),
        ("(rule = a or not hostname != b)", 18, "hostname", "hostname != b", "not hostname = b"),
    ],
)
def test_cautions(match: str, pos: int, absent: str, written: str, offered: str) -> None:
    said = (
        f"`{written}` does not hold where {absent} is absent; `{offered}` does, and is mostly what is meant"
    )
    assert Routing(match).cautions() == [f"character {pos}: {said}"]


@pytest.mark.parametrize(
    "match",
    [
        None,
        "rule != a and priority != debug and output != x",
        "k8s.ns.name exists and (rule = a or k8s.ns.name != dev)",
        "not k8s.ns.name = dev",
    ],
)
def test_nothing_to_caution_about(match: str | None) -> None:
    assert Routing(match).cautions() == []


def test_what_a_caution_offers_does_what_it_says() -> None:
    absent, other = alert(), alert(**{"k8s.ns.name": "shop"})
    assert verdict(Routing("k8s.ns.name != dev"), absent) is not None
    assert verdict(Routing("not k8s.ns.name = dev"), absent) is None
    for offered in ("k8s.ns.name != dev", "not k8s.ns.name = dev"):
        assert verdict(Routing(offered), other) is None


def test_relay_check_says_it(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text(
        f"data_dir: {tmp_path}/data\noutputs:\n  hook:\n    type: webhook\n    url: https://example.com/\n"
        "    match: proc.name != a\n"
    )
    result = CliRunner().invoke(main, ["check", "-c", str(file)])
    assert result.exit_code == 0, result.output
    assert (
        "warning: match, character 1: `proc.name != a` does not hold where proc.name is absent"
        in result.output
    )
