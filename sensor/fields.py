"""The fields that the sensor has, as the condition language asks for them.

Containers: the id comes from the cgroup. What only the runtime knows (image, name, Kubernetes metadata) is
absent in a container, as in a Falco without the runtime's socket, and has Falco's values on the host. So an
allow-list by image never holds in a container: the rule speaks. A rule that could speak *only* if such a
value were there is not live; see sensor.metadata.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from condition.fields import FieldInfo, Kind, Many, UnknownFieldError
from sensor import event_fields, fd_fields, process_fields
from sensor.containers import HOST, Containers
from sensor.event import Event
from sensor.field import Entry, Getter
from sensor.users import User, Users

UNKNOWN = "<NA>"
"""The name of a user or group that has none, as Falco gives it: a value, not an absent field."""

RUNTIME_FIELDS = frozenset(
    {
        "container.image.repository",
        "container.image.tag",
        "container.name",
        "container.start_ts",
        "k8s.ns.name",
        "k8s.pod.name",
    }
)
"""Known on the host, absent in every container until the runtimes are asked."""


class SensorFields:
    """Implements condition.fields.Fields over sensor.event.Event.

    `boot_epoch_ns` is when the machine that made the events started.
    """

    def __init__(self, users: Users, containers: Containers, boot_epoch_ns: int) -> None:
        self._users = users
        self._containers = containers
        self._entries: dict[str, Entry] = {
            **event_fields.FIELDS,
            **fd_fields.FIELDS,
            **process_fields.FIELDS,
            **process_fields.timed_fields(boot_epoch_ns),
            **self._container_fields(boot_epoch_ns),
            **self._user_fields(),
            "evt.hostname": Entry(Kind.STRING, _constant(socket.gethostname())),
        }

    def names(self) -> Iterable[str]:
        """Every field, sorted, without arguments."""
        return sorted(self._entries)

    def describe(self) -> list[tuple[str, str, str]]:
        """(name, kind, note) of every field, sorted."""
        rows = []
        for name in self.names():
            entry = self._entries[name]
            notes = ["takes an argument"] if entry.make is not None else []
            if name in RUNTIME_FIELDS:
                notes.append("known on the host, absent in containers")
            rows.append((name, entry.kind.value, "; ".join(notes)))
        return rows

    def resolve(self, name: str, arg: str | None) -> FieldInfo:
        """The field and its getter. Raises UnknownFieldError for one that the sensor does not have."""
        entry = self._entries.get(name)
        if entry is None and arg is None and name.startswith(("evt.arg.", "evt.rawarg.")):
            family, _, arg = name.partition("arg.")
            entry = self._entries[family + "arg"]
        if entry is None:
            raise UnknownFieldError(f"{name}: the sensor does not have this field")
        if entry.make is not None:
            get, many = entry.make(arg)
            return FieldInfo(name, entry.kind, get, many or Many.ONE)
        if arg is not None:
            raise UnknownFieldError(f"{name}[{arg}]: {name} takes no argument")
        assert entry.get is not None
        return FieldInfo(name, entry.kind, entry.get, entry.many)

    def _container_fields(self, boot_epoch_ns: int) -> dict[str, Entry]:
        id_of = self._containers.id_of

        def start(event: Event) -> int | None:
            # When the pid namespace's init started. A container's init is not told from its other processes.
            above = event.task.ancestors
            if id_of(event.task.cgroup) != HOST or not above or above[-1].pid != 1:
                return None
            return boot_epoch_ns + above[-1].start_ns

        def on_host(value: str) -> Getter:
            return lambda event: value if id_of(event.task.cgroup) == HOST else None

        return {
            "container.id": Entry(Kind.STRING, lambda event: id_of(event.task.cgroup)),
            "container.start_ts": Entry(Kind.NUMBER, start),
            "container.name": Entry(Kind.STRING, on_host(HOST)),
            "container.image.repository": Entry(Kind.STRING, on_host("")),
            "container.image.tag": Entry(Kind.STRING, on_host("")),
            "k8s.ns.name": Entry(Kind.STRING, _constant(None)),
            "k8s.pod.name": Entry(Kind.STRING, _constant(None)),
        }

    def _user_fields(self) -> dict[str, Entry]:
        def user(event: Event, uid: int) -> User | None:
            return self._users.user(uid, event.task.pid, event.task.mnt_ns)

        def name(event: Event, uid: int) -> str:
            found = user(event, uid) if uid >= 0 else None
            return found.name if found is not None else UNKNOWN

        def homedir(event: Event) -> str:
            found = user(event, event.task.uid)
            return found.homedir if found is not None else UNKNOWN

        def shell(event: Event) -> str:
            found = user(event, event.task.uid)
            return found.shell if found is not None else UNKNOWN

        def group(event: Event) -> str:
            task = event.task
            return self._users.group(task.gid, task.pid, task.mnt_ns) or UNKNOWN

        return {
            "user.uid": Entry(Kind.NUMBER, lambda event: event.task.uid),
            "user.name": Entry(Kind.STRING, lambda event: name(event, event.task.uid)),
            "user.homedir": Entry(Kind.STRING, homedir),
            "user.shell": Entry(Kind.STRING, shell),
            "user.loginuid": Entry(Kind.NUMBER, lambda event: event.task.loginuid),
            "user.loginname": Entry(Kind.STRING, lambda event: name(event, event.task.loginuid)),
            "group.gid": Entry(Kind.NUMBER, lambda event: event.task.gid),
            "group.name": Entry(Kind.STRING, group),
        }


def _constant(value: str | None) -> Getter:
    return lambda event: value
