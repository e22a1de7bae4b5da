"""What only a real socket shows: bodies in pieces, late, or never whole; and the next request after each."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.relay.process import free_port, ready, start

ALERT = json.dumps({"rule": "r", "priority": "Error", "output": "o", "output_fields": {}}).encode()


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    port = free_port()
    config = tmp_path / "relay.yaml"
    config.write_text(f"listen: 127.0.0.1:{port}\ndata_dir: data\n")
    process = start(config)
    try:
        await ready(f"http://127.0.0.1:{port}", process)
        yield port
        assert httpx.post(f"http://127.0.0.1:{port}", content=ALERT).status_code == 200  # it goes on
    finally:
        process.terminate()
        assert process.wait(30) == 0, (tmp_path / "log").read_text()


def connection(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def head(*more: str) -> bytes:
    lines = ["POST / HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def reply(peer: socket.socket) -> tuple[int, bytes]:
    """Status and body of one reply with a Content-Length."""
    said = b""
    while b"\r\n\r\n" not in said:
        said += peer.recv(65536) or pytest.fail(f"closed after {said!r}")
    top, _, body = said.partition(b"\r\n\r\n")
    length = int(top.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    while len(body) < length:
        body += peer.recv(65536) or pytest.fail(f"closed after {said!r}")
    return int(top.split(b" ", 2)[1]), body


def accepted(port: int) -> int:
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
    (line,) = [line for line in lines if line.startswith("falcosecurity") and 'status="accepted"' in line]
    return int(float(line.split()[-1]))


async def test_a_chunked_body(port: int) -> None:
    with connection(port) as peer:
        peer.sendall(head("Transfer-Encoding: chunked"))
        for at in range(0, len(ALERT), 7):
            piece = ALERT[at : at + 7]
            peer.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        peer.sendall(b"0\r\n\r\n")
        assert reply(peer)[0] == 200
    assert accepted(port) == 1


async def test_a_slow_body_holds_nobody_up(port: int) -> None:
    with connection(port) as slow:
        slow.sendall(head(f"Content-Length: {len(ALERT)}") + ALERT[:10])
        with connection(port) as other:
            for _ in range(3):
                other.sendall(head(f"Content-Length: {len(ALERT)}") + ALERT)
                assert reply(other)[0] == 200
        for at in range(10, len(ALERT)):
            slow.sendall(ALERT[at : at + 1])
        assert reply(slow)[0] == 200
    assert accepted(port) == 4


async def test_a_body_that_is_never_whole_is_not_taken(port: int) -> None:
    for _ in range(3):
        with connection(port) as peer:
            peer.sendall(head("Content-Length: 100000") + ALERT)
    with connection(port) as peer:
        peer.sendall(head(f"Content-Length: {len(ALERT)}") + ALERT)
        assert reply(peer)[0] == 200
    assert accepted(port) == 1


async def test_a_sender_that_asks_before_a_large_body(port: int) -> None:
    """As libcurl does from 1 MB on."""
    large = ALERT.replace(b'"o"', b'"' + b"o" * 2_000_000 + b'"')
    with connection(port) as peer:
        peer.sendall(head(f"Content-Length: {len(large)}", "Expect: 100-continue"))
        assert peer.recv(100).startswith(b"HTTP/1.1 100")
        peer.sendall(large)
        assert reply(peer)[0] == 200


async def test_many_requests_sent_at_once_on_one_connection(port: int) -> None:
    request = head(f"Content-Length: {len(ALERT)}") + ALERT
    with connection(port) as peer:
        peer.sendall(request * 3)
        said = b""
        while said.count(b"HTTP/1.1 200") < 3:
            said += peer.recv(65536) or pytest.fail(f"closed after {said!r}")
    assert accepted(port) == 3


async def test_a_huge_body_is_answered_before_its_end(port: int) -> None:
    with connection(port) as peer:
        peer.sendall(head("Content-Length: 1000000000"))
        for _ in range(300):
            peer.sendall(b"x" * 100_000)
        status, said = reply(peer)
        assert (status, b"larger than" in said) == (413, True)


async def test_a_second_relay_says_who_has_the_directory(port: int, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(f"listen: 127.0.0.1:{free_port()}\ndata_dir: data\n")
    process = start(other)
    assert process.wait(30) == 3
    holder = json.loads((tmp_path / "data" / "lock").read_text())["pid"]
    said = [line for line in (tmp_path / "log").read_text().splitlines() if "in use by" in line]
    assert len(said) == 1
    assert f"in use by process {holder} since" in said[0]
