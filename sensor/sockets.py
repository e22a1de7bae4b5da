"""Whom an unconnected socket sent to last: `fd.name_changed` tells a new destination from a known one."""

from __future__ import annotations

from sensor.event import Event, Socket

SENDS = frozenset({"sendto", "sendmsg", "sendmmsg"})
NAME_CHANGED = "name_changed"
"""The key under which the answer stands in `event.params`."""

_LIMIT = 8192


class Destinations:
    """The last destination by process and descriptor; the longest unused are forgotten."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._last: dict[tuple[int, int, int], tuple[str, int] | None] = {}

    def observe(self, event: Event) -> None:
        """Note a send, and in the event whether it went elsewhere than the one before on that descriptor."""
        socket = event.detail
        if type(socket) is not Socket or event.type not in SENDS:
            return
        key = (event.task.pid, event.task.start_ns, socket.fd)
        known = key in self._last
        event.params[NAME_CHANGED] = not known or self._last.pop(key) != socket.remote
        self._last[key] = socket.remote
        if len(self._last) > self._limit:
            del self._last[next(iter(self._last))]
