"""Keys and values of rule files: what is missing, wrong, unknown or no longer wanted."""

from __future__ import annotations

import pytest

from sensor.rules import versions
from tests.sensor.rules.loading import errors, load, rule

PLUGINS = "- required_plugin_versions: [{name: %s, version: %s, alternatives: [{name: %s, version: %s}]}]"
FULL = rule(more="  tags: [a]\n  enabled: true")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text", "Rules content is not yaml"),
        ("a: b", "Rules content is not yaml array of objects"),
        ("- text", "Unexpected element type. Each element should be a yaml associative array."),
        ("- rule: x\n  condition: evt.type = open", "Item has no mapping for key 'output'"),
        ("- rule: x", "Item has no mapping for key 'enabled'"),
        ("- rule:", "Mapping for key 'rule' is empty"),
        ("- rule: ''", "Value must be non-empty"),
        ("- rule: [x]", "Value is not a scalar value"),
        ("- list: x", "Item has no mapping for key 'items'"),
        ("- list: x\n  items: y", "Value is not a sequence"),
        ("- list: x\n  items: [[y]]", "sequence value is not scalar"),
        ("- macro: x", "Item has no mapping for key 'condition'"),
        (FULL.replace("WARNING", "urgent"), "Invalid priority"),
        (FULL.replace("true", "maybe"), "Can't decode YAML scalar value"),
        (FULL.replace("[a]", "a"), "Value is not a sequence"),
        (rule(more="  capture_duration: -1"), "Can't decode YAML scalar value"),
        (rule(more="  exceptions: {a: b}"), "Rule exceptions must be a sequence"),
        ("- rule: x\n  enabled: false", "Rule has 'enabled' key but no rule by that name already exists"),
        (
            FULL + "- rule: test_rule\n  append: true",
            "Appended rule must have exceptions or condition property",
        ),
        (
            FULL + "- rule: test_rule\n  desc: x\n  override: {desc: prepend}",
            "Invalid override operation for key 'desc': 'prepend'. Allowed values are: append replace",
        ),
        (
            FULL + "- rule: test_rule\n  source: x\n  override: {source: replace}",
            "Key 'source' cannot be replaced",
        ),
        (FULL + "- rule: test_rule\n  override: desc", "Value of override must be a mapping"),
        (
            "- required_engine_version: 99",
            "Rules require engine version 0.99.0, but engine version is 0.63.0",
        ),
        ("- required_engine_version: [1]", "Value is not a scalar value"),
        ("- required_plugin_versions: x", "Value of required_plugin_versions must be a sequence"),
        ("- required_plugin_versions: [x]", "Plugin version must be a mapping"),
        ("- required_plugin_versions: [{name: x}]", "Item has no mapping for key 'version'"),
        (
            "- required_plugin_versions: [{name: x, version: new}]",
            "Invalid required version 'new' for plugin 'x'",
        ),
        (
            PLUGINS % ("json", "0.1.0", "ka", "1.0.0"),
            "Rules require plugin json 0.1.0 or ka 1.0.0, but the sensor has container ",
        ),
        (
            "- required_plugin_versions: [{name: container, version: 1.0.0}]",
            "Rules require plugin container 1.0.0",
        ),
        (
            PLUGINS % ("x", "0.1.0", "x", "0.2.0"),
            "Defined multiple alternative version requirements for plugin 'x'",
        ),
    ],
)
def test_errors(text: str, message: str) -> None:
    assert any(found.startswith(message) for found in errors(text)), errors(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "---\n---\n~\n",
        "- ~\n- null",
        "- required_engine_version: 26",
        "- required_engine_version: 0.57.0",
        "- required_plugin_versions: [{name: container, version: 0.4.0}]",
        PLUGINS % ("x", "9.0.0", "container", "0.2.0"),
        "- required_plugin_versions: []",
        rule(more="  exceptions:"),
        FULL + "---\n" + FULL,
    ],
)
def test_right(text: str) -> None:
    load(text)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("- thing: x", "LOAD_UNKNOWN_ITEM", "Unknown top level item"),
        (rule(more="  priorty: INFO"), "LOAD_UNKNOWN_KEY", "Unknown key 'priorty'. The key will be ignored."),
        (rule(more="  desc: twice"), "LOAD_UNKNOWN_KEY", "Key 'desc' is given twice. The first one counts."),
        (rule(more="  source: k8s_audit"), "LOAD_UNKNOWN_SOURCE", "Unknown source k8s_audit, skipping"),
        (FULL + "- rule: test_rule\n  enabled: no", "LOAD_DEPRECATED_ITEM", "The standalone 'enabled' key"),
        (rule().replace("%proc.cmdline", "%container.info x"), "LOAD_DEPRECATED_ITEM", "%container.info is"),
        (
            rule("evt.type = open and evt.dir = <"),
            "LOAD_DEPRECATED_ITEM",
            "usage of deprecated field 'evt.dir'",
        ),
        (
            rule("evt.type = open and proc.name = proc.pname"),
            "LOAD_COMPILE_CONDITION",
            "'proc.pname' may be a valid field misused as a const string value",
        ),
    ],
)
def test_warnings(text: str, code: str, message: str) -> None:
    assert [(one.code, one.message[: len(message)]) for one in load(text).warnings] == [(code, message)]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    bad = "- rule: one\n- list: two\n" + rule("no.such = 1", name="three") + rule("evt.type =", name="four")
    found = errors(bad, "- macro: five\n", "[")
    assert len(found) == 6


def test_an_unknown_source_hides_a_wrong_condition() -> None:
    assert load(rule("ka.verb = x", more="  source: k8s_audit")).live == ()


def test_replacing_keeps_the_rest() -> None:
    more = (
        "- rule: test_rule\n  output: new %proc.name\n  priority: ERROR\n  tags: [b]\n  desc: more\n"
        "  override: {output: append, priority: replace, tags: replace, desc: append}\n"
    )
    (found,) = load(FULL + more).live
    assert (found.priority, found.tags, found.desc) == ("Error", ("b",), "a rule more")
    assert [one.key for one in found.output.pieces if not isinstance(one, str)][:2] == [
        "proc.cmdline",
        "proc.name",
    ]


def test_tags_are_appended_as_a_set() -> None:
    more = "- rule: test_rule\n  tags: [a, c]\n  override: {tags: append}\n"
    assert load(FULL + more).live[0].tags == ("a", "c")


def test_scalars_stay_text() -> None:
    text = "- list: l\n  items: [0x10, on, 1e3, 2024-01-01, 010, ~]\n" + rule(
        "evt.type = open and proc.name in (l)"
    )
    (found,) = load(text).live
    assert "0x10" in str(found.condition)
    assert "2024-01-01" in str(found.condition)
    assert "'010'" in str(found.condition)


def test_versions() -> None:
    assert versions.compatible((0, 63, 0), (0, 57, 0))
    assert not versions.compatible((0, 63, 0), (0, 63, 1))
    assert not versions.compatible((1, 0, 0), (0, 9, 0))
    assert versions.parse("1.2.3-rc1") == (1, 2, 3)
    assert versions.parse("1.2") is None
