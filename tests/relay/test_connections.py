"""What only a real socket shows: bodies in pieces, late, or never whole; and the next request after each."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from unittest.mock import Mock

import httpx
import pytest
import uvicorn
from uvicorn.server import ServerState

from relay.connection import REQUEST_SECONDS, Connection
from relay.server import HTTP
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


@pytest.mark.parametrize(
    "start_of",
    [
        b"POST /",
        head()[:-2] + b"X: ",
        head("Transfer-Encoding: chunked") + b"0\r\nX: ",
        head("Transfer-Encoding: chunked") + b"1;",
    ],
    ids=["path", "header", "trailer", "chunk"],
)
async def test_what_the_parser_holds_back_is_bounded(port: int, start_of: bytes) -> None:
    with connection(port) as peer:
        peer.sendall(start_of)
        with pytest.raises(OSError, match=r"Connection reset|Broken pipe"):
            peer.sendall(b"x" * 64_000_000)


async def test_many_headers_are_bounded(port: int) -> None:
    with connection(port) as peer:
        peer.sendall(head()[:-2])
        with pytest.raises(OSError, match=r"Connection reset|Broken pipe"):
            peer.sendall((b"X: " + b"x" * 4000 + b"\r\n") * 16_000)


async def test_a_sender_that_would_like_http_2(port: int) -> None:
    """As curl --http2 and Java's client do; the parser alone drops the body."""
    wish = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"]
    request = head(f"Content-Length: {len(ALERT)}", *wish) + ALERT
    with connection(port) as peer:
        for cut in (len(request), len(request) - 10, 30):
            peer.sendall(request[:cut])
            peer.sendall(request[cut:])
            assert reply(peer)[0] == 200
        peer.sendall(request * 3)
        said = b""
        while said.count(b"HTTP/1.1 200") < 3:
            said += peer.recv(65536) or pytest.fail(f"closed after {said!r}")
    assert accepted(port) == 6


class Loop:
    """Only what a connection asks of it for its time limits."""

    def __init__(self) -> None:
        self.timers: list[Mock] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> Mock:
        timer = Mock(seconds=seconds, call=call)
        timer.cancel.side_effect = lambda: self.timers.remove(timer)
        self.timers.append(timer)
        return timer

    def create_task(self, task: Coroutine[None, None, None]) -> Mock:
        task.close()
        return Mock()


@pytest.mark.parametrize(
    ("pieces", "late"),
    [
        ([], True),
        ([b"P"], True),
        ([head("Content-Length: 5"), b"x"], True),
        ([head("Transfer-Encoding: chunked"), b"1\r\nx\r\n", b"0\r\n"], True),
        ([head("Content-Length: 5"), b"x", b"xxxx"], False),
        ([head("Content-Length: 5") + b"xxxxx"], False),
        ([head("Content-Length: 5") + b"xxxxx", b"\r\n"], True),
    ],
)
def test_a_request_has_to_be_whole_in_time(pieces: list[bytes], late: bool) -> None:
    loop, transport = Loop(), Mock()
    transport.is_closing.return_value = False
    config = uvicorn.Config(Mock(), **HTTP)
    made = Connection(config, ServerState(), {}, loop)  # type: ignore[arg-type]
    made.connection_made(transport)
    for piece in pieces:
        made.data_received(piece)
    assert len(loop.timers) == int(late)
    transport.close.assert_not_called()
    for timer in list(loop.timers):
        assert timer.seconds == REQUEST_SECONDS
        timer.call()
    assert transport.close.called == late


async def test_a_second_relay_says_who_has_the_directory(port: int, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(f"listen: 127.0.0.1:{free_port()}\ndata_dir: data\n")
    process = start(other)
    assert process.wait(30) == 3
    holder = json.loads((tmp_path / "data" / "lock").read_text())["pid"]
    said = [line for line in (tmp_path / "log").read_text().splitlines() if "in use by" in line]
    assert len(said) == 1
    assert f"in use by process {holder} since" in said[0]
