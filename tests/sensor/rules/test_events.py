"""The types of event that a condition can be true for: never too few."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from condition import compile_condition, parse
from condition.ast import And, Compare, Exists, Field, Node, Not, Or, Value, ValueList
from sensor.event import Event
from sensor.rules.event_names import EVENT_NAMES
from sensor.rules.events import event_types
from sensor.table import SUPPORTED_EVENTS
from tests.sensor.events import event, file, task
from tests.sensor.rules.loading import FIELDS, errors, load, rule

TYPES = sorted(SUPPORTED_EVENTS)
TYPE = Field("evt.type")

type_names = st.sampled_from([*TYPES, "close", "read"])
values = type_names.map(Value)
value_lists = st.lists(values, max_size=4).map(lambda found: ValueList(tuple(found)))
leaves: st.SearchStrategy[Node] = st.one_of(
    st.builds(Compare, st.just(TYPE), st.sampled_from(["=", "==", "!=", "contains", "startswith"]), values),
    st.builds(Compare, st.just(TYPE), st.sampled_from(["in", "intersects"]), value_lists),
    st.builds(Compare, st.just(TYPE), st.just("="), value_lists, st.sampled_from(["oneof", "allof"])),
    st.just(Exists(TYPE)),
    st.just(Exists(Field("fd.name"))),
    st.builds(Compare, st.just(Field("evt.num")), st.sampled_from(["=", "!=", ">="]), st.just(Value("0"))),
    st.builds(
        Compare,
        st.just(Field("proc.name")),
        st.sampled_from(["=", "!="]),
        st.sampled_from([Value("cat"), Value("sh")]),
    ),
)
nodes = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=4).map(lambda found: And(tuple(found))),
        st.lists(inner, min_size=2, max_size=4).map(lambda found: Or(tuple(found))),
    ),
    max_leaves=12,
)
events = st.builds(
    lambda type_, comm, num, detail: event(type_, num=num, task=task(comm=comm), detail=detail),
    st.sampled_from(TYPES),
    st.sampled_from(["cat", "sh", "bash"]),
    st.integers(1, 3),
    st.sampled_from([None, file()]),
)


@given(nodes, events)
def test_sound(node: Node, one: Event) -> None:
    if compile_condition(node, FIELDS)(one):
        assert one.type in event_types(node)


@pytest.mark.parametrize(
    ("condition", "types"),
    [
        ("evt.type = open", {"open"}),
        ("evt.type in (open, openat) and proc.name = cat", {"open", "openat"}),
        ("evt.type = open or evt.type = close", {"open", "close"}),
        ("evt.type = open and evt.type = close", set()),
        ("evt.type in (open, close) and not evt.type = close", {"open"}),
        ("evt.type in (open, close) and evt.type != close", {"open"}),
        ("not (evt.type != open or proc.name = cat)", {"open"}),
        ("evt.num = 0", set()),
        ("evt.type = open and not evt.num = 0", {"open"}),
        ("evt.type = open and not evt.type exists", set()),
        ("proc.name = cat", EVENT_NAMES),
        ("not proc.name = cat", EVENT_NAMES),
        ("not evt.type = open", EVENT_NAMES - {"open"}),
        ("evt.type = open or proc.name = cat", EVENT_NAMES),
    ],
)
def test_exact(condition: str, types: set[str]) -> None:
    assert event_types(parse(condition)) == types


def test_what_the_sensor_has_is_known() -> None:
    assert SUPPORTED_EVENTS <= EVENT_NAMES


def test_an_unknown_type_is_an_error() -> None:
    assert errors(rule("evt.type = opne")) == ["unknown event type opne"]
    skipped = load(rule("evt.type = opne", more="  skip-if-unknown-filter: true"))
    assert (skipped.live, [one.code for one in skipped.warnings]) == ((), ["LOAD_UNKNOWN_FILTER"])


def test_a_rule_for_events_that_the_sensor_lacks() -> None:
    found = load(rule("evt.type = mmap"))
    assert [(one.name, one.why) for one in found.left_out] == [
        ("test_rule", "needs the event mmap: the sensor does not have it yet")
    ]
    assert [one.code for one in found.warnings] == ["SENSOR_LACKS_EVENT"]


def test_a_rule_for_some_events_that_the_sensor_lacks_is_live() -> None:
    found = load(rule("evt.type in (open, mmap)"))
    assert found.live[0].events == {"open"}
    assert [one.message for one in found.warnings] == [
        "is live, but does not see mmap: the sensor does not have that event yet"
    ]


def test_a_rule_without_a_type_sees_all_and_is_warned_of() -> None:
    found = load(rule("proc.name = cat"))
    assert found.live[0].events == SUPPORTED_EVENTS == found.events
    assert [one.code for one in found.warnings] == ["LOAD_NO_EVTTYPE"]
    assert load(rule("proc.name = cat", more="  warn_evttypes: false")).warnings == ()
