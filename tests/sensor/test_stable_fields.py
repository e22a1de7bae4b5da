"""The stable rules ask for nothing that the sensor lacks, but what needs a runtime or a resolver."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from condition.fields import UnknownFieldError
from sensor.containers import Containers
from sensor.fields import SensorFields
from sensor.processes import NoProc
from sensor.users import Users

RULES = Path(__file__).parents[2] / "config" / "rules" / "falco_rules.yaml"
FIELD = re.compile(
    r"(?<![\w./\"'-])(?:evt|proc|fd|user|group|container|k8s|thread)\.[a-z0-9_]+(?:\.[a-z0-9_]+)*(?:\[\w+\])?"
)

LACKING = {"container.privileged", "fd.sip.name"}


def lacking(texts: list[str]) -> set[str]:
    fields = SensorFields(Users(NoProc()), Containers(), 0)
    missing = set()
    used = {name for text in texts for name in FIELD.findall(text)}
    assert len(used) > 10
    for name in used:
        base, _, arg = name.partition("[")
        try:
            fields.resolve(base, arg.rstrip("]") or None)
        except UnknownFieldError:
            missing.add(name)
    return missing


def test_conditions() -> None:
    items = yaml.safe_load(RULES.read_text())
    assert lacking([item["condition"] for item in items if "condition" in item]) == LACKING


def test_outputs() -> None:
    items = yaml.safe_load(RULES.read_text())
    texts = [item["output"].replace("%", " ").replace("=", " ") for item in items if "output" in item]
    assert len(texts) == 25
    assert lacking(texts) == set()
