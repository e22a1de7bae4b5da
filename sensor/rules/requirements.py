"""required_engine_version and required_plugin_versions against what the sensor claims."""

from __future__ import annotations

from sensor.rules import versions
from sensor.rules.collector import wrong
from sensor.rules.decode import Item, invalid
from sensor.rules.source import Mapping, Sequence

_MAX_DIGITS = 9


def read_engine_version(item: Item) -> None:
    """A number N stands for 0.N.0. Raises ItemError where it is no version, or one that is too new."""
    text = item.text("required_engine_version")
    if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS:
        wanted: versions.Version | None = (0, int(text), 0)
    else:
        wanted = versions.parse(text)
    if wanted is None:
        said = (
            f"Unable to parse engine version '{text}' as a semver string. Expected \"x.y.z\" semver format."
        )
        raise invalid(said, item.context)
    have = versions.ENGINE_VERSION
    if not versions.compatible(have, wanted):
        ours = versions.text(have)
        said = f"Rules require engine version {versions.text(wanted)}, but engine version is {ours}"
        raise wrong(said, item.context)


def read_plugin_versions(item: Item) -> None:
    """Every entry must be met by the plugin or by one of its alternatives. Raises ItemError."""
    value = item.node.get("required_plugin_versions")
    if not isinstance(value, Sequence):
        raise invalid("Value of required_plugin_versions must be a sequence", item.context)
    for node in value.items:
        context = item.context.at("required plugin versions entry", "", node.position)
        if not isinstance(node, Mapping):
            raise invalid("Plugin version must be a mapping", context)
        entry = Item(node, context)
        wanted = [_requirement(entry)]
        if entry.has("alternatives"):
            said = "Value of plugin version alternatives must be a sequence of mappings"
            for one in entry.mappings("alternatives", said, context):
                place = context.at("required plugin versions alternative", "", one.position)
                wanted.append(_requirement(Item(one, place)))
        _meet(wanted, entry)


def _requirement(item: Item) -> tuple[str, versions.Version]:
    name, text = item.text("name"), item.text("version")
    version = versions.parse(text)
    if version is None:
        raise wrong(f"Invalid required version '{text}' for plugin '{name}'", item.context)
    return name, version


def _meet(wanted: list[tuple[str, versions.Version]], item: Item) -> None:
    names = [name for name, _ in wanted]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        said = f"Defined multiple alternative version requirements for plugin '{twice}'"
        raise wrong(said, item.context)
    have = versions.PLUGIN_VERSIONS
    if any(name in have and versions.compatible(have[name], version) for name, version in wanted):
        return
    asked = " or ".join(f"{name} {versions.text(version)}" for name, version in wanted)
    ours = ", ".join(f"{name} {versions.text(version)}" for name, version in have.items())
    raise wrong(f"Rules require plugin {asked}, but the sensor has {ours}", item.context)
