"""Which container a process is in, told from its cgroup's path.

The paths are how the runtimes name cgroups, with both drivers (cgroupfs and systemd) on both versions. Every
pattern is held to whole path segments, and the last match counts: of nested containers that is the innermost.
What has an id but is no container to these runtimes (conmon's own scope, containerd's bare `/namespace/id`,
which any two-level cgroup looks like) is the host.
"""

from __future__ import annotations

import re

HOST = "host"
"""Falco's container.id outside of containers."""

_ID = r"(?P<id>[0-9a-f]{64})"
_POD = r"pod[0-9a-f]{8}(?:[-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12}"
_END = r"(?=/|$)"

MATCHERS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (runtime, re.compile(pattern + _END, re.MULTILINE))
    for runtime, pattern in (
        ("docker", rf"/docker/{_ID}"),
        ("docker", rf"/docker-{_ID}\.scope"),
        ("docker", rf"[/:][^/:\n]*:docker:{_ID}"),
        ("podman", rf"/libpod-{_ID}(?:\.scope)?"),
        ("podman", rf"/libpod-payload-{_ID}"),
        ("podman", rf"[/:][^/:\n]*:libpod:{_ID}"),
        ("containerd", rf"/cri-containerd-{_ID}\.scope"),
        ("containerd", rf"[/:][^/:\n]*:cri-containerd:{_ID}"),
        ("containerd", rf"/nerdctl-{_ID}\.scope"),
        ("cri-o", rf"/crio-{_ID}(?:\.scope)?"),
        ("kubernetes", rf"/{_POD}/{_ID}"),
        ("kubernetes", rf"/kubepods[^/\n]*-{_POD}\.slice/{_ID}"),
    )
)
"""(runtime, pattern): cgroupfs names a directory by the id, systemd a scope; `slice:runtime:id` is what
containerd and Docker make of a systemd-style parent under the cgroupfs driver."""

_CACHED = 4096


def container_in(cgroup: str) -> tuple[str, str] | None:
    """(runtime, full id) of the innermost container in a cgroup path, or in several, one a line."""
    best: tuple[int, str, str] | None = None
    for runtime, pattern in MATCHERS:
        for found in pattern.finditer(cgroup):
            # In several hierarchies the same container stands several times: depth in its own line counts.
            depth = found.end() - (cgroup.rfind("\n", 0, found.start()) + 1)
            if best is None or depth > best[0]:
                best = (depth, runtime, found["id"])
    return (best[1], best[2]) if best is not None else None


class Containers:
    """`container.id` by cgroup, remembered for a bounded number of cgroups."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def id_of(self, cgroup: str) -> str:
        """Twelve hexadecimal digits, or "host"."""
        known = self._ids.get(cgroup)
        if known is None:
            found = container_in(cgroup)
            known = found[1][:12] if found is not None else HOST
            if len(self._ids) >= _CACHED:
                self._ids.clear()
            self._ids[cgroup] = known
        return known
