"""What the sensor claims to be towards rule files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

Version: TypeAlias = tuple[int, int, int]

ENGINE_VERSION: Version = (0, 63, 0)
"""Falco's engine whose rule language this is (falco_engine_version.h, Falco 0.44)."""

PLUGIN_VERSIONS: Mapping[str, Version] = {"container": (0, 7, 0)}
"""Falco's plugins whose fields the sensor provides itself."""

SOURCES = frozenset({"syscall"})
"""Where events come from; rules of other sources are skipped with a warning."""

_SEMVER = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[-+].*)?", re.ASCII)


def parse(text: str) -> Version | None:
    """`x.y.z`; None if it is not that."""
    found = _SEMVER.fullmatch(text.strip())
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def text(version: Version) -> str:
    return ".".join(map(str, version))


def compatible(have: Version, wanted: Version) -> bool:
    """Semantic versioning as Falco applies it: the same major number, and not older."""
    return have[0] == wanted[0] and have >= wanted


_SUGGESTED = (
    *("container.id", "container.name", "container.image.repository", "container.image.tag"),
    *("k8s.pod.name", "k8s.ns.name"),
)
SUGGESTED_OUTPUT = " ".join(f"{name.replace('.', '_')}=%{name}" for name in _SUGGESTED)
"""What Falco's container plugin adds to the output of every rule (append_output.suggested_output)."""
