"""Sockets, over loopback only."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from tests.sensor.probe.watched import seen, sockets

pytestmark = pytest.mark.bpf


def test_connect_v4_v6_and_mapped() -> None:
    events = seen("""
        four = socket.create_server(("127.0.0.1", 0))
        six = socket.create_server(("::1", 0), family=socket.AF_INET6)
        one = socket.socket(); one.connect(four.getsockname())
        two = socket.socket(socket.AF_INET6); two.connect(six.getsockname()[:2])
        three = socket.socket(socket.AF_INET6); three.connect(("::ffff:127.0.0.1", four.getsockname()[1]))
        """)
    (_, one), (_, two), (event, three) = sockets(events, "connect")
    assert (one.family, one.protocol) == (socket.AF_INET, socket.IPPROTO_TCP)
    assert one.local is not None
    assert one.remote is not None
    assert one.local[0] == one.remote[0] == "127.0.0.1"
    assert one.local[1] not in (0, one.remote[1])
    assert two.remote is not None
    assert two.remote[0] == "::1"
    assert three.remote == one.remote  # a v4 address, whatever the socket
    assert three.local is not None
    assert three.local[0] == "127.0.0.1"
    assert event.params["tuple"] == f"127.0.0.1:{three.local[1]}->127.0.0.1:{one.remote[1]}"
    assert (event.params["fd"], event.res) == (three.fd, 0)


def test_connect_that_fails_names_whom_the_caller_meant() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    events = seen(f"""
        one = socket.socket()
        try: one.connect(("127.0.0.1", {port}))
        except OSError: pass
        libc.connect(99, bytes(16), 16)
        """)
    refused, bad = [one for one in events if one.type == "connect"]
    assert refused.res == -errno.ECONNREFUSED
    ((_, meant),) = sockets([refused], "connect")
    assert meant.remote == ("127.0.0.1", port)
    assert (bad.res, bad.detail, bad.params["fd"]) == (-errno.EBADF, None, 99)


def test_connect_under_way() -> None:
    # Nobody accepts: with a full queue the kernel drops the SYN, and the call is under way.
    events = seen("""
        server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen(0)
        kept = []
        for _ in range(4):
            one = socket.socket(); one.setblocking(False); kept.append(one)
            try: one.connect(server.getsockname())
            except BlockingIOError: pass
        print(server.getsockname()[1])
        """)
    event, meant = sockets(events, "connect")[-1]
    assert event.res == -errno.EINPROGRESS
    assert meant.remote is not None
    assert meant.remote[0] == "127.0.0.1"
    assert meant.local is not None
    assert meant.local[1] != 0  # chosen by then


def test_unix_sockets(tmp_path: Path) -> None:
    path = tmp_path / "s"
    events = seen(f"""
        one = socket.socket(socket.AF_UNIX); one.bind({str(path)!r}); one.listen()
        two = socket.socket(socket.AF_UNIX); two.connect({str(path)!r})
        three = socket.socket(socket.AF_UNIX)
        try: three.connect("\\0nobody")
        except OSError: pass
        """)
    (_, named), (event, hidden) = sockets(events, "connect")
    assert (named.family, named.path, named.remote) == (socket.AF_UNIX, str(path), None)
    assert (hidden.path, event.res) == ("@nobody", -errno.ECONNREFUSED)


def test_datagrams_go_where_they_are_sent() -> None:
    events = seen("""
        inbox = socket.socket(type=socket.SOCK_DGRAM); inbox.bind(("127.0.0.1", 0)); at = inbox.getsockname()
        one = socket.socket(type=socket.SOCK_DGRAM)
        one.sendto(b"xyz", at)
        one.sendmsg([b"x"], [], 0, at)
        one.connect(at); one.send(b"abcd")
        """)
    (first, one), (second, two) = sockets(events, "sendto")
    ((_, message),) = sockets(events, "sendmsg")
    assert one.remote == message.remote == two.remote is not None
    assert (first.params["size"], first.params["connected"]) == (3, False)
    assert (second.params["size"], second.params["connected"]) == (4, True)
    assert one.protocol == socket.IPPROTO_UDP


def test_a_decoy_with_what_is_sent_on_a_connection_is_not_taken_for_the_peer() -> None:
    events = seen("""
        server = socket.create_server(("127.0.0.1", 0))
        one = socket.create_connection(server.getsockname())
        decoy = b"\\x02\\x00\\x00\\x35\\x7f\\x01\\x02\\x03" + bytes(8)
        libc.sendto(one.fileno(), b"abc", 3, 0, decoy, 16)
        """)
    ((sent, socket_),) = sockets(events, "sendto")
    ((_, connected),) = sockets(events, "connect")
    assert (sent.res, socket_.remote, connected.peer) == (3, connected.remote, None)


def test_dup_onto_standard_input_is_of_the_socket() -> None:
    events = seen("""
        server = socket.create_server(("127.0.0.1", 0))
        one = socket.create_connection(server.getsockname())
        os.dup2(one.fileno(), 0)
        os.dup2(1, 40)
        """)
    duplicates = [event for event in events if event.type in ("dup2", "dup3")]
    ((event, onto),) = [(one, one.detail) for one in duplicates if one.detail is not None]
    assert event.res == 0
    assert (event.params["newfd"], event.params["connected"]) == (0, True)
    assert getattr(onto, "remote", None) == sockets(events, "connect")[-1][1].remote
    assert len(duplicates) == 2  # the other is of a pipe


def test_packet_sockets_have_their_domain() -> None:
    events = seen("""
        try: socket.socket(17, socket.SOCK_RAW, 0)
        except OSError: pass
        """)
    event = next(one for one in events if one.type == "socket")
    assert event.params["domain"] == socket.AF_PACKET
