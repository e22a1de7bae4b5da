"""What every registered output keeps, whatever its destination answers and whatever an alert holds.

The registry drives it: a new output is tested here without a line of its own.
"""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
import subprocess
from email.utils import format_datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from relay import outputs
from relay.outputs.base import (
    Delivered,
    Outcome,
    Output,
    Parked,
    Rejected,
    Retry,
    Throttled,
    TooLarge,
)
from tests.fakes.http import Destination, Received, Reply
from tests.relay.outputs.samples import SECRET, alert, batch, settings_of, started

pytestmark = pytest.mark.parametrize("type_name", outputs.TYPES)


async def deliver(
    output: Output, destination: Destination | None = None, reply: Reply | None = None
) -> Outcome:
    """One alert; whatever comes of it never shows the secret."""
    if destination is not None and reply is not None:
        destination.reply = reply
    with capture_logs() as logs:
        (outcome,) = await output.deliver(batch())
    assert SECRET not in f"{outcome!r} {logs!r} {output!r} {output.settings!r} {output.limits!r}"
    return outcome


STATUSES: dict[int, type[Outcome] | tuple[type[Outcome], ...]] = {
    200: Delivered,
    300: Parked,
    301: Parked,
    302: Parked,
    303: Parked,
    307: Parked,
    308: Parked,
    400: Rejected,
    401: Parked,
    403: Parked,
    404: Parked,
    405: Parked,
    407: Parked,
    408: Retry,
    409: Rejected,
    410: Parked,
    411: Rejected,
    413: TooLarge,
    414: Rejected,
    415: Rejected,
    421: Rejected,
    422: Rejected,
    425: Retry,
    429: Throttled,
    431: Rejected,
    500: Retry,
    501: Rejected,
    502: Retry,
    503: Retry,
    504: Retry,
    507: Retry,
    529: Retry,
}


async def test_every_status(type_name: str) -> None:
    async with Destination().running() as destination, started(type_name, destination.netloc) as output:
        found = {}
        for status in STATUSES:
            headers = {"Location": f"http://{destination.netloc}/elsewhere"} if 300 <= status < 400 else {}
            found[status] = type(await deliver(output, destination, Reply(status, headers)))
        assert found == STATUSES
        assert not [one for one in destination.received if one.path == "/elsewhere"], (
            "a redirect was followed"
        )
        assert len(destination.received) == len(STATUSES), "something was sent twice"


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_in_both_forms(type_name: str, status: int) -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=600)
    async with Destination().running() as destination, started(type_name, destination.netloc) as output:
        for text, least, most in (
            ("17", 17, 17),
            (format_datetime(later, usegmt=True), 500, 601),
            ("0", 1, 1),
            ("999999999", 3600, 3600),
        ):
            outcome = await deliver(output, destination, Reply(status, {"Retry-After": text}))
            assert isinstance(outcome, Throttled), text
            assert least <= outcome.after <= most, text
        for nonsense in ("", "soon", "nan", "-5", "Mon, 99 Foo 2026"):
            outcome = await deliver(output, destination, Reply(429, {"Retry-After": nonsense}))
            assert isinstance(outcome, Throttled), nonsense
            assert 1 <= outcome.after <= 3600


@pytest.mark.parametrize(
    "reply",
    [
        Reply(hang=True),
        Reply(raw=b""),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok"),
        Reply(raw=b"HTTP/1.1 200"),
        Reply(raw=b"SSH-2.0-OpenSSH_9.2\r\n"),
    ],
    ids=["hangs", "closes", "cut off in the body", "cut off in the head", "another protocol"],
)
async def test_no_whole_reply_is_tried_again(type_name: str, reply: Reply) -> None:
    async with (
        Destination(reply).running() as destination,
        started(type_name, destination.netloc, timeout="300ms") as output,
    ):
        assert isinstance(await deliver(output), Retry)


async def test_a_reply_without_an_end_costs_nothing(type_name: str) -> None:
    async with (
        Destination(Reply(500, endless=True)).running() as destination,
        started(type_name, destination.netloc, timeout="5s") as output,
    ):
        assert isinstance(await deliver(output), Retry)


async def test_refused_and_unknown_hosts_are_tried_again(type_name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        async with started(type_name, f"127.0.0.1:{taken.getsockname()[1]}") as output:
            assert isinstance(await deliver(output), Retry)
    async with started(type_name, "nobody.invalid:80") as output:
        assert isinstance(await deliver(output), Retry)


def certificate(folder: Path) -> tuple[Path, Path]:
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    )
    # Trusted itself, and no authority: Rust's TLS takes no authority's certificate for a server's.
    extensions = ("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE")
    subprocess.run([*command.split(), *extensions], cwd=folder, check=True, capture_output=True)
    return cert, key


async def test_a_certificate_that_is_not_trusted_parks(type_name: str, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    async with Destination().running(tls) as destination:
        async with started(type_name, destination.netloc, "https") as output:
            assert isinstance(await deliver(output), Parked)
        async with started(type_name, destination.netloc, "https", tls={"ca_file": str(cert)}) as output:
            assert isinstance(await deliver(output), Delivered)
        async with started(type_name, destination.netloc, "https", tls={"verify": False}) as output:
            assert isinstance(await deliver(output), Delivered)


HOSTILE = {
    "mentions": "<!channel> <!here> @everyone @here <@U012AB3CD> <!subteam^S1>",
    "links": "[click](https://evil.example) <https://evil.example|ok> ![x](http://evil.example/p.png)",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)> &lt; &amp; \"'",
    "templates": "{{7*7}} ${HOME} {% raw %} %s %(x)s {0} $$ `id` $(id)",
    "control": "".join(map(chr, range(32))) + "\x7f\x85\x9b31m\x1b[31m",
    "header": "a\r\nX-Injected: yes\r\n\r\nGET / HTTP/1.1",
    "directions": "\u202eexe.txt\u2066\u2069\u200b\ufeff\U000e0041",
    "unicode": "漢字 🦊 e\u0301 \U0001f468\u200d\U0001f469",
    "markdown": "*b* _i_ ~s~ ```code``` > quote\n# head\n- item | table |",
    "long": "x" * 1_000_000,
    "lines": "\n" * 10_000,
    "empty": "",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_text(type_name: str, name: str) -> None:
    text = HOSTILE[name]
    hostile = alert(
        rule=text,
        output=text,
        hostname=text,
        source=text,
        tags=[text, text],
        output_fields={text: text, "proc.cmdline": text, "nested": {"a": [text]}}
        | {f"f{n}": text for n in range(3)},
    )
    async with Destination().running() as destination, started(type_name, destination.netloc) as output:
        (outcome,) = await output.deliver(batch(hostile, shrink=True))
        assert isinstance(outcome, Delivered)
        (received,) = destination.received
        assert "x-injected" not in received.headers
        assert len(received.body) <= output.limits.bytes
        received.body.decode("utf-8")


async def test_one_outcome_for_each_alert(type_name: str) -> None:
    async with Destination().running() as destination, started(type_name, destination.netloc) as output:
        several = [alert(seq) for seq in range(1, output.limits.alerts + 1)][:120]
        for reply in (Reply(), Reply(400), Reply(413), Reply(429), Reply(500), Reply(401)):
            destination.reply = reply
            assert len(await output.deliver(batch(*several))) == len(several)


async def test_many_large_alerts_are_never_sent_beyond_the_limit(type_name: str) -> None:
    """A batch that is too large when rendered is split by the worker; the destination never sees it."""
    async with Destination().running() as destination, started(type_name, destination.netloc) as output:
        count = min(output.limits.alerts, 100)
        several = [alert(seq, output="x" * 50_000, rule=f"rule {seq}") for seq in range(count)]
        outcomes = await output.deliver(batch(*several))
        assert all(len(one.body) <= max(output.limits.bytes, 60_000) for one in destination.received)
        assert all(isinstance(outcome, Delivered | TooLarge) for outcome in outcomes)
        if count > 1 and not destination.received:
            assert all(isinstance(outcome, TooLarge) for outcome in outcomes)


async def test_an_attempt_says_the_same_name_each_time(type_name: str) -> None:
    """Where the destination takes an idempotency key, it does not change between attempts."""
    async with Destination().running() as destination, started(type_name, destination.netloc) as output:
        for attempt in (1, 2):
            await output.deliver(batch(attempt=attempt))
        keys = [one.headers.get("idempotency-key") for one in destination.received]
        assert len(keys) == 2
        assert keys[0] == keys[1]


async def test_connections_are_used_again(type_name: str) -> None:
    async with Destination().running() as destination, started(type_name, destination.netloc) as output:
        for _ in range(5):
            await output.deliver(batch())
        assert destination.connections == 1


async def test_the_reply_of_a_refusal_is_kept_and_bounded(type_name: str) -> None:
    async with Destination().running() as destination, started(type_name, destination.netloc) as output:
        outcome = await deliver(output, destination, Reply(400, body=b"because " + b"y" * 100_000))
        assert isinstance(outcome, Rejected)
        assert outcome.reply is not None
        assert outcome.reply.startswith("because")
        assert len(outcome.reply) <= 4096


async def test_the_secret_is_masked(type_name: str) -> None:
    settings = settings_of(type_name, "127.0.0.1:1")
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.model_dump())
    assert SECRET not in settings.model_dump_json()


async def test_a_hanging_destination_ends_with_the_output(type_name: str) -> None:
    """Cancelled in the middle of a request, as at the relay's end: nothing is left running."""
    arrived = asyncio.Event()

    def hang(_: Received) -> Reply:
        arrived.set()
        return Reply(hang=True)

    async with Destination(hang).running() as destination, started(type_name, destination.netloc) as output:
        task = asyncio.create_task(output.deliver(batch()))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
