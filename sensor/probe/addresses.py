"""Addresses of sockets, from the kernel's own and from what the caller passed."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from sensor.event import Socket
from sensor.probe.record import SOCK, CorruptError

AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6 = 0, 1, 2, 10
_V6_LEAST = 24  # the kernel takes a sockaddr_in6 without its scope
ESTABLISHED = 1
TCP = 6

Address: TypeAlias = tuple[str, int]


def _v6(packed: bytes, port: int) -> Address:
    address = IPv6Address(packed)
    return str(address.ipv4_mapped or address), port


def passed(content: bytes, family: int) -> tuple[Address | None, str | None]:
    """(address, path) of a sockaddr; `family` is the socket's, which decides what AF_UNSPEC means."""
    given = int.from_bytes(content[:2], "little")
    port = int.from_bytes(content[2:4], "big")
    if given == AF_UNIX:
        if family != AF_UNIX:  # refused, or not looked at
            return None, None
        path = content[2:]
        name = b"@" + path[1:] if path[:1] == b"\0" else path.split(b"\0", 1)[0]
        return None, name.rstrip(b"\0").decode("utf-8", "replace")
    if given == AF_INET or (given == AF_UNSPEC and family == AF_INET):
        return ((str(IPv4Address(content[4:8])), port) if len(content) >= 8 else None), None
    if given == AF_INET6 and len(content) >= _V6_LEAST:
        return _v6(content[8:24], port), None
    return None, None


def socket(fd: int, sock: bytes, address: bytes | None, *, connect: bool) -> tuple[Socket, bool]:
    """The socket, and whether it is connected. Raises CorruptError.

    What the caller passed counts before the socket's peer: it is there when the call failed or is under way,
    and a load balancer in the kernel changes the peer, not what was meant. But it is read when the call is
    over, and another thread may have written over it: a `connect` tells its peer, too, if that differs. On a
    TCP connection the kernel does not look at an address that is passed with what is sent, and nor do we.
    """
    if len(sock) != SOCK.size:
        raise CorruptError("a socket of another size")
    family, protocol, lport, rport, local_raw, remote_raw, state, _ = SOCK.unpack(sock)
    local: Address | None = None
    remote: Address | None = None
    if family == AF_INET:
        local = str(IPv4Address(local_raw[:4])), lport
        remote = str(IPv4Address(remote_raw[:4])), rport
    elif family == AF_INET6:
        local, remote = _v6(local_raw, lport), _v6(remote_raw, rport)
    if remote is not None and not remote[1] and remote[0] in ("0.0.0.0", "::"):  # noqa: S104  compared only
        remote = None
    path, peer = None, None
    ignored = protocol == TCP and remote is not None and not connect
    if address is not None and not ignored:
        meant, path = passed(address, family)
        if meant is not None and (remote is None or meant[0] not in ("0.0.0.0", "::")):  # noqa: S104
            if connect and remote is not None and remote[1] and remote != meant:
                peer = remote
            remote = meant
    return Socket(fd, family, protocol, local, remote, path, None, peer), state == ESTABLISHED


def tuple_text(one: Socket) -> str:
    """`client->server`, or a unix socket's path."""
    if one.path is not None:
        return one.path
    return f"{text(one.local)}->{text(one.remote)}"


def text(address: Address | None) -> str:
    """`address:port`, as Falco joins them."""
    return f"{address[0]}:{address[1]}" if address is not None else "0.0.0.0:0"
