"""Which rules are live, and which of them an event fulfils."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from condition.fields import FieldInfo, Kind
from sensor.event import Event
from sensor.processes import NoProc, ProcessTable
from sensor.rules import Engine, RulesError, load_rules
from sensor.rules.ruleset import RuleSet
from tests.sensor.events import event, exec_, file, task
from tests.sensor.rules.loading import FIELDS, STABLE, config, load, rule


def engine(rules: RuleSet, matching: Any = "first") -> Engine:
    return Engine(rules, FIELDS, matching)


def seen(one: Event) -> Event:
    ProcessTable(NoProc()).observe(one)
    return one


def names(engine: Engine, one: Event) -> list[str]:
    return [rule.name for rule in engine.match(seen(one))]


OPENS = (
    rule("evt.type = openat and fd.name = /etc/shadow", name="a")
    + rule("evt.type in (open, openat) and fd.name startswith /etc", name="b")
    + rule("evt.type = execve", name="c")
    + rule("evt.type in (openat, execve)", name="d")
)


def test_first_and_all() -> None:
    rules = load(OPENS)
    assert names(engine(rules), event("openat")) == ["a"]
    assert names(engine(rules, "all"), event("openat")) == ["a", "b", "d"]
    assert names(engine(rules, "all"), event("openat", detail=file("/x"))) == ["d"]
    assert names(engine(rules, "all"), event("open", detail=file("/etc/x"))) == ["b"]
    assert names(engine(rules, "all"), event("execve", detail=exec_())) == ["c", "d"]
    assert names(engine(rules, "all"), event("connect")) == []


class Failing:
    """The sensor's fields, one of which fails for some events."""

    def resolve(self, name: str, arg: str | None) -> FieldInfo:
        if name != "proc.name":
            return FIELDS.resolve(name, arg)

        def get(one: Event) -> str:
            if one.task.comm == "bad":
                raise RuntimeError("no name")
            return one.task.comm

        return FieldInfo(name, Kind.STRING, get)


@pytest.mark.parametrize("matching", ["first", "all"])
def test_a_failing_rule_breaks_no_other(matching: Any) -> None:
    texts = rule("evt.type = openat and proc.name = x", name="a") + rule("evt.type = openat", name="b")
    rules = load(texts + rule("evt.type = openat and proc.name != y", name="c"))
    found = Engine(rules, Failing(), matching)
    with capture_logs() as logs:
        matched = found.match(event("openat", task=task(comm="bad")))
    assert [one.name for one in matched] == ["b"]
    assert found.failures == (1 if matching == "first" else 2)
    assert logs[0]["event"] == "rule failed"
    assert logs[0]["rule"] == "a"
    assert found.match(event("openat", task=task(comm="x")))[0].name == "a"


def test_failures_are_not_logged_without_end() -> None:
    found = Engine(load(rule("evt.type = openat and proc.name = x")), Failing())
    with capture_logs() as logs:
        for _ in range(100):
            assert not found.match(event("openat", task=task(comm="bad")))
    assert found.failures == 100
    assert len(logs) == 7


def test_priority_threshold() -> None:
    rules = load(rule(name="a") + rule(name="b").replace("WARNING", "INFO"), priority="notice")
    assert [one.name for one in rules.live] == ["a"]
    assert [(one.name, one.why) for one in rules.disabled] == [
        ("b", "priority informational is below notice")
    ]
    assert not rules.left_out


def test_a_disabled_rule_must_still_be_right() -> None:
    off = load(rule(more="  enabled: false"))
    assert ([one.name for one in off.disabled], off.live) == (["test_rule"], ())
    with pytest.raises(RulesError, match=r"nonexistent field no\.such"):
        load(rule("no.such = x", more="  enabled: false"))


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("evt.type = execve and fd.sip.name = x", "needs fd.sip.name: the sensor does not have it yet"),
        ("evt.type = execve and not container.mount.dest[/etc] exists", "needs container.mount.dest[/etc]"),
        (
            "evt.type = execve and k8s.ns.name = x",
            "needs k8s.ns.name: the sensor does not ask the containers'",
        ),
        ("evt.type = execve and tolower(proc.sid.exe) = x", "needs proc.sid.exe"),
        ("evt.type = execve and proc.name = val(proc.vpgid.name)", "needs proc.vpgid.name"),
    ],
)
def test_left_out_with_its_reason(condition: str, why: str) -> None:
    rules = load(rule(condition, name="lame") + rule(name="sound"))
    assert [one.name for one in rules.live] == ["sound"]
    (left,) = rules.left_out
    assert left.name == "lame"
    assert left.why.startswith(why)
    assert [(one.code, one.context.line) for one in rules.warnings] == [("SENSOR_LACKS_FIELD", 1)]


def test_an_allow_list_by_image_is_live() -> None:
    assert load(rule("evt.type = execve and not container.image.repository in (a, b)")).live


def test_what_only_the_output_lacks_disables_nothing() -> None:
    rules = load(rule().replace("%proc.cmdline", "%fd.sip.name x=%proc.vpgid.name"))
    assert (
        rules.live[0]
        .output.render(seen(event("execve", detail=exec_())))[0]
        .startswith("command=<NA> x=<NA> container_id=")
    )
    assert not rules.warnings


def test_stable_rules() -> None:
    rules = load_rules(config(), FIELDS)
    assert len(rules.live) == 23
    assert {one.name: one.why.split(":")[0] for one in rules.left_out} == {
        "Contact K8S API Server From Container": "needs fd.sip.name",
        "Debugfs Launched in Privileged Container": "needs container.privileged",
    }
    assert len(rules.warnings) == 2
    assert not rules.needs_env
    assert {"open", "openat", "execve", "ptrace", "symlinkat", "dup2"} <= rules.events
    assert not {"close", "read", "clone", "procexit"} & rules.events


def test_needs_env() -> None:
    assert load(rule("evt.type = execve and proc.env contains x")).needs_env
    assert load(rule().replace("%proc.cmdline", "%proc.env[HOME]")).needs_env
    assert not load(rule()).needs_env
    # A rule that is off asks for nothing.
    assert not load(rule("evt.type = execve and proc.env contains x", more="  enabled: false")).needs_env


def test_the_hash_is_of_the_files() -> None:
    assert load(rule()).hash == load(rule()).hash
    assert load(rule()).hash != load(rule(name="other")).hash
    assert load("- list: a\n  items: []", "").hash != load("", "- list: a\n  items: []").hash


def test_directories_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "20.yml").write_text(rule("evt.type = open", name="a"))
    (tmp_path / "10.yaml").write_text(rule("evt.type = open", name="b"))
    (tmp_path / "30.txt").write_text("no rules")
    rules = load_rules(config(rules_files=[tmp_path, STABLE]), FIELDS)
    assert [one.name for one in rules.live[:2]] == ["b", "a"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"- rule: \xff")
    with pytest.raises(RulesError) as caught:
        load_rules(config(rules_files=[tmp_path / "a.yaml", tmp_path / "b.yaml"]), FIELDS)
    assert [one.code for one in caught.value.problems] == ["LOAD_ERR_FILE_READ"] * 2
    assert "not UTF-8 at byte 8" in str(caught.value)
    assert "No such file or directory" in str(caught.value)


SHADOW: dict[str, Callable[[], Event]] = {
    "Read sensitive file untrusted": lambda: event("openat"),
    "Read sensitive file trusted after startup": lambda: event("openat", task=task(comm="nginx")),
    "Fileless execution via memfd_create": lambda: event("execve", detail=exec_("5", from_memfd=True)),
    "PTRACE anti-debug attempt": lambda: event("ptrace", params={"request": 0}),
    "Create Symlink Over Sensitive Files": lambda: event(
        "symlink", params={"target": "/etc/shadow", "linkpath": "/tmp/x"}
    ),
    "Clear Log Activities": lambda: event("openat", detail=file("/var/log/syslog", flags=0x102)),
}


@pytest.mark.parametrize("name", SHADOW)
def test_stable_rule_fires(name: str) -> None:
    assert names(engine(load_rules(config(), FIELDS)), SHADOW[name]()) == [name]


def test_a_server_that_just_started_is_judged_as_any_program() -> None:
    one = event("openat", task=task(comm="nginx"), time_ns=2_000_000_000)
    assert names(engine(load_rules(config(), FIELDS)), one) == ["Read sensitive file untrusted"]


@pytest.mark.parametrize(
    "one",
    [
        event("openat", detail=file("/etc/shadow-")),
        event("openat", detail=file(flags=2)),
        event("openat", detail=file(fd=-1), res=-2),
        event("ptrace", params={"request": 7}),
        event("execve", detail=exec_("ls")),
        event("symlink", params={"target": "/etc/hosts", "linkpath": "/tmp/x"}),
        event("openat", detail=file("/var/log/syslog", flags=0x2)),
    ],
    ids=lambda one: f"{one.type}-{one.detail}-{one.params}"[:60],
)
def test_stable_rules_are_silent(one: Event) -> None:
    assert names(engine(load_rules(config(), FIELDS)), one) == []
