"""fd.*: the file or socket that the event is about. Events that touch none have none of these fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from condition.fields import Kind, Many
from sensor.event import Event, File, Socket
from sensor.field import Entry, Getter
from sensor.rendering import OPEN_DIRECTORY
from sensor.sockets import NAME_CHANGED

Address: TypeAlias = tuple[str, int] | None

_EINPROGRESS = -115
_PROTOCOLS = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmp", 255: "raw"}


def name(event: Event) -> str | None:
    """A path as passed, made absolute; for a socket `client->server`."""
    detail = event.detail
    if type(detail) is File:
        return detail.name
    if type(detail) is not Socket:
        return None
    if detail.path is not None:
        return detail.path
    first, second = client(detail), server(detail)
    if first is None and second is None:
        return None
    return f"{_joined(first)}->{_joined(second)}"


def _joined(address: Address) -> str:
    return f"{address[0]}:{address[1]}" if address is not None else "0.0.0.0:0"


def client(socket: Socket) -> Address:
    """The end that called; a socket whose role is not known is taken for a client's."""
    return socket.remote if socket.is_server else socket.local


def server(socket: Socket) -> Address:
    """The end that was called."""
    return socket.local if socket.is_server else socket.remote


def _directory(event: Event) -> str | None:
    detail = event.detail
    if type(detail) is not File:
        return None
    path = detail.name
    return path[: path.rfind("/")] or "/"


def _filename(event: Event) -> str | None:
    detail = event.detail
    return detail.name[detail.name.rfind("/") + 1 :] if type(detail) is File else None


def _nameraw(event: Event) -> str | None:
    detail = event.detail
    return detail.nameraw if type(detail) is File else None


def _num(event: Event) -> int | None:
    detail = event.detail
    return detail.fd if type(detail) is File or type(detail) is Socket else None


def _typechar(event: Event) -> str | None:
    detail = event.detail
    if type(detail) is File:
        if detail.fd < 0:  # Falco: a failed `open` has no type that is known, its relatives have
            return "o" if event.type == "open" else "f"
        return "d" if detail.flags & OPEN_DIRECTORY else "f"
    return _SOCKET_CHARS.get(_family(detail)) if type(detail) is Socket else None


def _type(event: Event) -> str | None:
    detail = event.detail
    if type(detail) is File:
        return "directory" if detail.flags & OPEN_DIRECTORY and detail.fd >= 0 else "file"
    return _SOCKET_TYPES.get(_family(detail)) if type(detail) is Socket else None


_SOCKET_CHARS = {1: "u", 2: "4", 10: "6", 16: "n"}
_SOCKET_TYPES = {1: "unix", 2: "ipv4", 10: "ipv6", 16: "netlink"}


def _family(socket: Socket) -> int:
    """A v6 socket that speaks v4 counts as v4."""
    address = socket.remote or socket.local
    if socket.family == 10 and address is not None and ":" not in address[0]:
        return 2
    return socket.family


def _sockfamily(event: Event) -> str | None:
    detail = event.detail
    if type(detail) is not Socket:
        return None
    return {1: "unix", 2: "ip", 10: "ip"}.get(detail.family)


def _l4proto(event: Event) -> str | None:
    detail = event.detail
    return _PROTOCOLS.get(detail.protocol) if type(detail) is Socket else None


def _is_server(event: Event) -> bool | None:
    detail = event.detail
    return bool(detail.is_server) if type(detail) is Socket else None


def _connected(event: Event) -> bool | None:
    detail = event.detail
    if type(detail) is not Socket:
        return None
    if event.type == "connect":
        return event.res is not None and (event.res >= 0 or event.res == _EINPROGRESS)
    return bool(event.params.get("connected", False))


def _name_changed(event: Event) -> bool | None:
    return bool(event.params.get(NAME_CHANGED, False)) if type(event.detail) is Socket else None


def _of_file(get: Callable[[File], Any]) -> Getter:
    def read(event: Event) -> Any:
        detail = event.detail
        return get(detail) if type(detail) is File else None

    return read


def _end(which: Callable[[Socket], Address], part: int) -> Getter:
    def get(event: Event) -> Any:
        detail = event.detail
        if type(detail) is not Socket:
            return None
        address = which(detail)
        return address[part] if address is not None else None

    return get


def _both(part: int) -> Getter:
    def get(event: Event) -> tuple[Any, ...] | None:
        detail = event.detail
        if type(detail) is not Socket or detail.local is None or detail.remote is None:
            return None
        return detail.local[part], detail.remote[part]

    return get


_ENDS: tuple[tuple[str, Callable[[Socket], Address]], ...] = (
    ("c", client),
    ("s", server),
    ("l", lambda socket: socket.local),
    ("r", lambda socket: socket.remote),
)

FIELDS: dict[str, Entry] = {
    "fd.num": Entry(Kind.NUMBER, _num),
    "fd.name": Entry(Kind.STRING, name),
    "fd.nameraw": Entry(Kind.STRING, _nameraw),
    "fd.directory": Entry(Kind.STRING, _directory),
    "fd.filename": Entry(Kind.STRING, _filename),
    "fd.type": Entry(Kind.STRING, _type),
    "fd.typechar": Entry(Kind.STRING, _typechar),
    "fd.dev": Entry(Kind.NUMBER, _of_file(lambda file: file.dev)),
    "fd.ino": Entry(Kind.NUMBER, _of_file(lambda file: file.ino)),
    "fd.sockfamily": Entry(Kind.STRING, _sockfamily),
    "fd.l4proto": Entry(Kind.STRING, _l4proto),
    "fd.is_server": Entry(Kind.BOOL, _is_server),
    "fd.connected": Entry(Kind.BOOL, _connected),
    "fd.name_changed": Entry(Kind.BOOL, _name_changed),
    "fd.ip": Entry(Kind.IP, _both(0), Many.PAIR),
    "fd.net": Entry(Kind.NET, _both(0), Many.PAIR),
    "fd.port": Entry(Kind.NUMBER, _both(1), Many.PAIR),
}
for _letter, _which in _ENDS:
    FIELDS[f"fd.{_letter}ip"] = Entry(Kind.IP, _end(_which, 0))
    FIELDS[f"fd.{_letter}net"] = Entry(Kind.NET, _end(_which, 0))
    FIELDS[f"fd.{_letter}port"] = Entry(Kind.NUMBER, _end(_which, 1))
