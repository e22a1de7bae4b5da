"""Which names may stand in a request's Host header: a web page elsewhere must not reach a relay on loopback
under a name of its own (DNS rebinding)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from relay.config import General

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(?P<port>\d{1,5}))?")


def split_host(text: str) -> tuple[str, int | None] | None:
    """Name (in lower case, without brackets) and port of `name[:port]`; None if it is not one."""
    match = _HOST.fullmatch(text.lower())
    if match is None:
        return None
    return match["name"].strip("[]").rstrip("."), int(match["port"]) if match["port"] else None


class Hosts:
    """The names of the configuration. One given with a port is good with that port only, others with any:
    a published port or a tunnel has its own."""

    def __init__(self, general: General) -> None:
        self._any_port = {"localhost", "127.0.0.1", "::1", general.listen.host.lower()}
        self._with_port: set[tuple[str, int]] = set()
        names: Iterable[str] = general.allowed_hosts
        if general.public_url:
            names = (*names, urlsplit(general.public_url).hostname or "")
        for name in names:
            host, port = split_host(name if name.count(":") < 2 else f"[{name.strip('[]')}]") or ("", None)
            if port is None:
                self._any_port.add(host)
            else:
                self._with_port.add((host, port))
        self._any_port -= {"", "0.0.0.0", "::"}  # noqa: S104 not names

    def good(self, header: str, arrived_at: str | None) -> bool:
        """`arrived_at`: the address of this machine that the connection was made to."""
        found = split_host(header)
        if found is None:
            return False
        name, port = found
        if name in self._any_port or (name, port or 80) in self._with_port or (name, port) in self._with_port:
            return True
        return arrived_at is not None and _is_address(arrived_at) and name == arrived_at.lower()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
