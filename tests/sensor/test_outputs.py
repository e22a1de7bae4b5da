"""Channels: nothing blocks the one who hands over, what is dropped is counted, a flood costs only itself."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from sensor.config import HttpOutputSettings
from sensor.outputs.channel import Alert, Channel, FairQueue
from sensor.outputs.http_output import HttpOutput, tls_context
from sensor.outputs.stdout_output import StdoutOutput

SETTINGS = HttpOutputSettings(enabled=True, url=SecretStr("http://relay.example/secret"))


def alert(rule: str = "a", text: str = "x") -> Alert:
    return Alert(rule, json.dumps({"output": text, "rule": rule}).encode(), is_json=True)


def test_a_flood_costs_only_its_own_rule() -> None:
    queue = FairQueue(50_000)
    rare = [alert("rare", str(number)) for number in range(3)]
    dropped = queue.put(rare[0])
    dropped += sum(queue.put(alert("flood", str(number))) for number in range(5_000))
    dropped += queue.put(rare[1]) + queue.put(rare[2])
    left = []
    while (one := queue.take()) is not None:
        left.append(one)
    assert [one for one in left if one.rule == "rare"] == rare
    assert len(left) + dropped == 5_003
    assert left[1] == alert("flood", "0")  # the oldest of the flood stays
    assert len(queue) == 0


def test_the_order_is_kept_across_rules() -> None:
    queue = FairQueue(1 << 20)
    sent = [alert("ab"[number % 2], str(number)) for number in range(20)]
    for one in sent:
        assert queue.put(one) == 0
    assert [queue.take() for _ in sent] == sent


class Stuck:
    """A sink that takes nothing until the sensor ends."""

    name = "stuck"

    def __init__(self) -> None:
        self.entered = threading.Event()

    def send(self, alert: Alert, stopping: threading.Event) -> bool:
        self.entered.set()
        stopping.wait()
        return False

    def close(self) -> None:
        pass


def test_a_hanging_sink_blocks_nobody_and_everything_is_accounted_for() -> None:
    sink = Stuck()
    channel = Channel(sink, 100_000)
    channel.start()
    for number in range(10_000):
        channel.put(alert(text=str(number)))
    assert sink.entered.wait(10)
    channel.close(0)
    assert channel.sent == 0
    assert channel.dropped == 10_000


class Deaf(Stuck):
    """A sink that does not notice the end either."""

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()

    def send(self, alert: Alert, stopping: threading.Event) -> bool:
        self.entered.set()
        return self.release.wait(60)


def test_the_alert_that_hangs_in_a_sink_is_counted_too() -> None:
    sink = Deaf()
    channel = Channel(sink, 100_000, patience_s=0)
    channel.start()
    channel.put(alert())
    assert sink.entered.wait(10)
    channel.put(alert())
    channel.close(0)
    sink.release.set()
    assert channel.dropped == 2


def test_a_sink_that_fails_costs_one_alert_not_the_output() -> None:
    class Failing:
        name = "failing"

        def send(self, alert: Alert, stopping: threading.Event) -> bool:
            if alert.rule == "bad":
                raise RuntimeError("nobody thought of this")
            return True

        def close(self) -> None:
            pass

    channel = Channel(Failing(), 100_000)
    channel.put(alert("bad"))
    channel.put(alert("good"))
    channel.start()
    channel.close(10)
    assert (channel.sent, channel.dropped) == (1, 1)


def test_closing_delivers_what_is_queued() -> None:
    stream = io.BytesIO()
    channel = Channel(StdoutOutput(stream), 1 << 20)
    for number in range(100):
        channel.put(alert(text=str(number)))
    channel.start()
    channel.close(10)
    assert [json.loads(line)["output"] for line in stream.getvalue().splitlines()] == [
        str(number) for number in range(100)
    ]
    assert channel.dropped == 0


def test_a_broken_pipe_is_no_crash() -> None:
    stream = io.BytesIO()
    stream.close()
    assert not StdoutOutput(stream).send(alert(), threading.Event())


def http(replies: list[int | Exception], seen: list[httpx.Request]) -> HttpOutput:
    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        reply = replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return httpx.Response(reply, stream=httpx.ByteStream(b""))

    return HttpOutput(SETTINGS, transport=httpx.MockTransport(handle), pause=lambda stop, seconds: None)


def test_an_alert_is_sent_again_with_the_same_uuid() -> None:
    seen: list[httpx.Request] = []
    output = http([httpx.ConnectError("no"), 503, 401, 200, 200], seen)
    assert output.send(alert(), threading.Event())
    assert output.send(alert(), threading.Event())
    bodies = [json.loads(request.content) for request in seen]
    assert {request.headers["content-type"] for request in seen} == {"application/json"}
    assert len({body["uuid"] for body in bodies[:4]}) == 1
    assert bodies[4]["uuid"] != bodies[0]["uuid"]
    assert {key: bodies[0][key] for key in ("output", "rule")} == {"output": "x", "rule": "a"}


class Endless(httpx.SyncByteStream):
    def __init__(self) -> None:
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.given += 1
            assert self.given < 1_000, "read without a bound"
            yield b"x" * 65_536


class Cut(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield b"{"
        raise httpx.ReadTimeout("the rest never comes")


@pytest.mark.parametrize("stream", [Endless(), Cut()])
def test_the_status_counts_whatever_the_body_of_the_reply_is(stream: httpx.SyncByteStream) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=stream))
    output = HttpOutput(SETTINGS, transport=transport, pause=lambda stop, seconds: pytest.fail("sent again"))
    assert output.send(alert(), threading.Event())


def test_the_connection_is_used_again() -> None:
    ports: list[int] = []

    class Relay(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            ports.append(self.client_address[1])
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = SecretStr(f"http://127.0.0.1:{server.server_port}/")
        output = HttpOutput(HttpOutputSettings(enabled=True, url=url))
        assert output.send(alert(), threading.Event())
        assert output.send(alert(), threading.Event())
        output.close()
        server.shutdown()
    assert len(ports) == 2
    assert len(set(ports)) == 1


def test_what_is_refused_is_not_sent_again() -> None:
    seen: list[httpx.Request] = []
    assert not http([400], seen).send(alert(), threading.Event())
    assert len(seen) == 1


def test_text_is_sent_as_text() -> None:
    seen: list[httpx.Request] = []
    line = Alert("a", b"16:31:56.0: Warning x", is_json=False)
    assert http([200], seen).send(line, threading.Event())
    assert seen[0].content == line.body
    assert seen[0].headers["content-type"] == "text/plain"


def test_ending_gives_up() -> None:
    stopping = threading.Event()
    stopping.set()
    assert not http([503], []).send(alert(), stopping)


def test_a_bad_certificate_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(ValueError, match=r"ca\.pem"):
        tls_context(SETTINGS.model_copy(update={"ca_cert": file}))
