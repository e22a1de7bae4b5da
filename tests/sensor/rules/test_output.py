"""Output texts and the alerts made of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.event import Event, Socket
from sensor.processes import NoProc, ProcessTable
from sensor.rules import render
from sensor.rules.output import OutputError, compile_output
from sensor.rules.vocabulary import Vocabulary
from tests.sensor.events import NOW, event, exec_, task
from tests.sensor.rules.loading import FIELDS, config, errors, load, rule

VOCABULARY = Vocabulary(FIELDS)


def seen(one: Event) -> Event:
    ProcessTable(NoProc()).observe(one)
    return one


EXEC = seen(event("execve", detail=exec_("cat", "a b"), task=task(comm="cat")))
CONNECT = seen(
    event("connect", res=0, detail=Socket(3, 2, 6, ("10.0.0.5", 4000), ("1.2.3.4", 443), None, False))
)


def text(output: str, one: Event = EXEC) -> str:
    return compile_output(output, VOCABULARY).render(one)[0]


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("plain", "plain"),
        ("%proc.name", "cat"),
        ("a=%proc.name,b=%proc.tty;", "a=cat,b=34816;"),
        ("%proc.name%proc.name", "catcat"),
        ("*%proc.name %fd.name", "cat <NA>"),
        ("%proc.aname[2]", "sshd"),
        ("%proc.aname[99]", "<NA>"),
        ("%proc.name[2]", "cat[2]"),  # it takes no argument: the bracket is text
        ("%proc.namex", "catx"),
        ("%proc.name.", "cat."),
        ("%proc.name.%proc.pid", "cat.100"),
        ("%evt.time.", "18:26:29.679463601.".replace("18:26", "13:33").replace(":29", ":09")),
        ("%8proc.name|", "cat     |"),
        ("%2proc.name|", "ca|"),
        ("%toupper(proc.name)!", "CAT!"),
        ("%toupper(proc.aname[2])", "SSHD"),
        ("%len(proc.name)", "3"),
        ('%concat(proc.name, ") %x")', "cat) %x"),
        ("100%% %proc.name", "100% cat"),
        ("%thread.ismain", "true"),
        ("%user.loginuid", "-1"),
        ("%evt.arg.flags", "0"),
        ("%evt.arg[flags]", "0"),
        ("%proc.cmdline", "cat a b"),
        ("%evt.datetime.s", "2026-11-23 13:33:09"),
        ("%evt.time.s", "13:33:09"),
        ("%evt.time.iso8601", "2026-11-23T13:33:09.679463601+0000"),
        ("%evt.rawtime.ns", "679463601"),
        ("%container.mount.dest[/etc]", "<NA>"),
        ("üñ %proc.name", "üñ cat"),
    ],
)
def test_text(output: str, shown: str) -> None:
    assert text(output) == shown


def test_several_values() -> None:
    assert text("%fd.ip %fd.port", CONNECT) == "(10.0.0.5,1.2.3.4) (4000,443)"
    assert text("%proc.aname", CONNECT) == "(bash,sshd,systemd)"
    assert compile_output("%fd.ip", VOCABULARY).render(CONNECT)[1] == {"fd.ip": ["10.0.0.5", "1.2.3.4"]}


def test_fields_keep_their_types() -> None:
    output = (
        "%user.uid %user.loginuid %thread.ismain %proc.name %fd.name %proc.aname[1] %evt.time %evt.datetime"
    )
    assert compile_output(output, VOCABULARY).render(EXEC)[1] == {
        "user.uid": 0,
        "user.loginuid": -1,
        "thread.ismain": True,
        "proc.name": "cat",
        "fd.name": None,
        "proc.aname[1]": "bash",
        "evt.time": NOW,
        "evt.datetime": NOW,
    }


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("%no.such", "invalid formatting token no.such"),
        ("%", "formatting cannot end with a %"),
        ("x %12", "formatting cannot end with a number"),
        ("% proc.name", "invalid formatting token  proc.name"),
        ("%proc", "invalid formatting token proc"),
        ("%evt.arg", "nonexistent field evt.arg: it needs an argument"),
        ("%toupper(proc.name", "invalid formatting token toupper(proc.name"),
        ("%toupper(no.such)", "nonexistent field no.such"),
        ("%toupper(proc.pid)", "toupper takes a string"),
        ("*", "empty formatting token"),
        ("%99999999999999999proc.name", "a width of more than"),
        ("%proc.name" * 1001, "more than 1000 fields"),
    ],
)
def test_errors(output: str, message: str) -> None:
    with pytest.raises(OutputError) as caught:
        compile_output(output, VOCABULARY)
    assert message in str(caught.value)


def test_an_error_fails_the_file_or_skips_the_rule() -> None:
    bad = rule().replace("%proc.cmdline", "%no.such")
    assert "invalid formatting token no.such" in errors(bad)[0]
    skipped = load(bad + "  skip-if-unknown-filter: true\n")
    assert (skipped.live, [one.code for one in skipped.warnings]) == ((), ["LOAD_UNKNOWN_FILTER"])


@given(st.text())
def test_any_text_compiles_or_is_refused(output: str) -> None:
    try:
        compiled = compile_output(output, VOCABULARY)
    except OutputError:
        return
    assert isinstance(compiled.render(EXEC)[0], str)


def alert(one: Event = EXEC, extra: dict[str, Any] | None = None, **changes: Any) -> Any:
    settings = config(**{"json_output": True} | changes)
    made = render(settings, load(rule(more="  tags: [b, a, b]")).live[0], one, extra or {})
    return json.loads(made.body) if made.is_json else made.body.decode()


TAIL = (
    " container_id=host container_name=host container_image_repository= container_image_tag= "
    "k8s_pod_name=<NA> k8s_ns_name=<NA>"
)


def test_json() -> None:
    found = alert(extra={"outrider.x": "y"})
    assert list(found) == [
        "hostname",
        "output",
        "output_fields",
        "priority",
        "rule",
        "source",
        "tags",
        "time",
    ]
    assert found["output"] == "13:33:09.679463601: Warning command=cat a b" + TAIL
    assert found["time"] == "2026-11-23T13:33:09.679463601Z"
    assert (found["priority"], found["rule"], found["source"]) == ("Warning", "test_rule", "syscall")
    assert found["tags"] == ["a", "b"]
    assert found["output_fields"]["evt.time"] == NOW
    assert found["output_fields"]["outrider.x"] == "y"


def test_properties_can_be_left_out_and_put_in() -> None:
    found = alert(
        json_include_output_property=False,
        json_include_output_fields_property=False,
        json_include_tags_property=False,
        json_include_message_property=True,
        time_format_iso_8601=True,
    )
    assert list(found) == ["hostname", "message", "priority", "rule", "source", "time"]
    assert found["message"] == "command=cat a b" + TAIL


def test_text_line() -> None:
    assert alert(json_output=False) == "13:33:09.679463601: Warning command=cat a b" + TAIL
    iso = alert(json_output=False, time_format_iso_8601=True)
    assert iso.startswith("2026-11-23T13:33:09.679463601+0000: Warning command=")


HOSTILE = 'a\n13:00:00.0: Emergency forged\x1b[31m\x00\u2028"\\\ud800'


def test_a_name_never_begins_a_new_line() -> None:
    one = seen(event("execve", detail=exec_("cat", HOSTILE)))
    line = alert(one, json_output=False)
    assert "\n" not in line
    assert "\x1b" not in line
    assert "a\\n13:00:00.0: Emergency forged\\u001b[31m\\u0000\\u2028" in line


def test_hostile_text_is_json() -> None:
    one = seen(event("execve", detail=exec_("cat", HOSTILE)))
    found = alert(one)
    assert found["output_fields"]["proc.cmdline"] == "cat " + HOSTILE.replace("\ud800", "?")


@given(st.text(), st.text())
def test_any_name_gives_one_line_of_json(name: str, argument: str) -> None:
    one = seen(event("execve", detail=exec_("cat", argument), task=task(comm=name)))
    made = render(config(json_output=True), load(rule()).live[0], one, {})
    assert b"\n" not in made.body
    assert json.loads(made.body)["rule"] == "test_rule"
