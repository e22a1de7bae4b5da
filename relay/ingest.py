"""POST /: an ASGI endpoint on the hot path. 200 is said only after the journal's fsync.

Falco never sends again, so a refusal is a loss: overload is answered late, never refused.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import orjson
import structlog
import zstandard

from relay.alert import tolerant_loads
from relay.credentials import Tokens
from relay.decode import RefusedError, Sender, decode_json, decode_line
from relay.journal.base import Appended, JournalFullError, NewAlert

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

BODY_MOST = 5 * 2**20
"""Bytes of a request's body, packed or not; an alert of Falco has one or two thousand."""
BATCH_MOST = 10_000
PARTS_MOST = 256
"""Packed parts in one body: what follows each is copied once."""
FULL_WAIT = 5.0
"""Seconds that a request waits for a journal that cannot be written: Falco's only thread waits with it."""
FULL_PAUSE = 0.25
RETRY_AFTER = 5

log = structlog.get_logger()
_JSON = (b"content-type", b"application/json")


class Journal(Protocol):
    async def append(self, alerts: Sequence[NewAlert]) -> Sequence[Appended]: ...
    async def refuse(self, body: bytes, reason: str, received_from: str, at_ns: int) -> None: ...
    async def probe(self) -> None: ...


class HttpError(Exception):
    """Ends the request with this status."""

    def __init__(self, status: int, reason: str, body: bytes | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.body = body  # to be kept in the refused list


@dataclass(slots=True)
class Ingest:
    """The endpoint. `journal` is set when the application starts."""

    custom_fields: Mapping[str, str]
    allow_anonymous: bool
    senders: Tokens = field(default_factory=lambda: Tokens({}))
    journal: Journal | None = None
    clock: Callable[[], int] = time.time_ns
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    unavailable: int = 0
    by_priority: list[int] = field(default_factory=lambda: [0] * 8)
    writable: bool = True  # false after a commit that failed, until one succeeds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        sender = _peer(scope)
        try:
            sender = self._who(headers, sender)
            body = await self._body(headers, receive)
            status, answer = await self._take(body, headers, sender)
        except HttpError as error:
            status, answer = error.status, {"error": str(error)}
            self.refused += status < 500
            if error.body is not None and self.journal is not None:
                await self._keep(error.body, str(error), sender)
        except _GoneError:
            return
        await _reply(send, status, answer)

    def _who(self, headers: Mapping[bytes, bytes], peer: str) -> str:
        """The peer, and the name of its credential. Raises HttpError if it may not post."""
        if b"origin" in headers:
            raise HttpError(403, "a browser may not post alerts: the request has an Origin header")
        authorization = headers.get(b"authorization")
        if authorization is not None and self.senders:
            name = self.senders.bearer_or_basic(authorization.decode("latin-1"))
            if name is None:
                raise HttpError(401, "this is not the token of a sender")
            return f"{peer} {name}"
        if not self.allow_anonymous and not _loopback(peer):
            raise HttpError(
                403,
                "without a token alerts are taken from this machine only; to change it: ingest: {senders: …}"
                " or {allow_anonymous: true}",
            )
        return peer

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        message = await receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            body = await _rest(body, receive)
        elif message["type"] == "http.disconnect":
            raise _GoneError
        if len(body) > BODY_MOST:
            raise _too_large(body)
        encoding = headers.get(b"content-encoding")
        return _unpacked(body, encoding) if encoding else body

    async def _take(
        self, body: bytes, headers: Mapping[bytes, bytes], peer: str
    ) -> tuple[int, dict[str, Any]]:
        kind = headers.get(b"content-type", b"application/json")
        sender = Sender(peer, self.clock(), self.custom_fields)
        first = body[:1]
        if first == b"{" and b"ndjson" not in kind:
            try:
                alert = decode_json(body, sender)
            except RefusedError as error:
                if b"text/plain" not in kind:
                    raise HttpError(400, str(error), body) from None
                alert = decode_line(body, sender)
            answers = await self._append([alert])
            return 200, {"accepted": 1, "id": answers[0].id} | (
                {"duplicate": True} if answers[0].duplicate else {}
            )
        return await self._take_other(body, kind, sender)

    async def _take_other(self, body: bytes, kind: bytes, sender: Sender) -> tuple[int, dict[str, Any]]:
        stripped = body.lstrip(b" \t\r\n\xef\xbb\xbf")
        try:
            if b"ndjson" in kind or b"jsonl" in kind:
                parts = [line for line in body.split(b"\n") if line.strip()]
            elif stripped.startswith(b"["):
                parts = _array(stripped)
            elif b"text/plain" in kind and not stripped.startswith(b"{"):
                await self._append([decode_line(body, sender)])
                return 200, {"accepted": 1}
            else:
                await self._append([decode_json(body, sender)])
                return 200, {"accepted": 1}
        except RefusedError as error:
            raise HttpError(400, str(error), body) from None
        return await self._take_batch(parts, sender, body)

    async def _take_batch(
        self, parts: Sequence[bytes], sender: Sender, body: bytes
    ) -> tuple[int, dict[str, Any]]:
        if not parts:
            raise HttpError(400, "the body is empty", body)
        if len(parts) > BATCH_MOST:
            raise HttpError(413, f"{len(parts)} alerts in one request; at most {BATCH_MOST}")
        good: list[NewAlert] = []
        bad: list[dict[str, Any]] = []
        for index, part in enumerate(parts):
            try:
                good.append(decode_json(part, sender))
            except RefusedError as error:
                bad.append({"index": index, "reason": str(error)})
                await self._keep(part, str(error), sender.received_from)
        self.refused += len(bad)
        if not good:
            return 400, {"accepted": 0, "refused": bad}
        await self._append(good)
        return 200, {"accepted": len(good), "refused": bad}

    async def _append(self, alerts: Sequence[NewAlert]) -> Sequence[Appended]:
        if self.journal is None:
            raise _unavailable("the relay is starting or stopping")
        waited = 0.0
        while True:
            try:
                answers = await self.journal.append(alerts)
            except JournalFullError as error:
                self._failed(error)
                if waited >= FULL_WAIT:
                    self.unavailable += len(alerts)
                    raise _unavailable(f"not stored: {error}") from None
                await self.sleep(FULL_PAUSE)
                waited += FULL_PAUSE
            else:
                break
        if not self.writable:
            self._works_again()
        for alert, answer in zip(alerts, answers, strict=True):
            if answer.duplicate:
                self.duplicates += 1
            else:
                self.accepted += 1
                self.by_priority[alert.priority] += 1
        return answers

    async def ready(self) -> bool:
        """Whether an alert could be stored now; after a failure it is tried, since no alert may come."""
        if self.journal is None:
            return False
        if not self.writable:
            try:
                await self.journal.probe()
            except JournalFullError:
                return False
            self._works_again()
        return True

    def _failed(self, error: JournalFullError) -> None:
        """Said once, however many requests wait for it."""
        if self.writable:
            log.error("alerts cannot be stored; requests wait, then get 503", why=str(error))
        self.writable = False

    def _works_again(self) -> None:
        self.writable = True
        log.info("alerts can be stored again", unavailable=self.unavailable)

    async def _keep(self, body: bytes, reason: str, peer: str) -> None:
        """For a person to look at; a journal that cannot take it must not hide the reason from the sender."""
        if self.journal is not None:
            try:
                await self.journal.refuse(body, reason, peer, self.clock())
            except JournalFullError as error:
                self._failed(error)


class _GoneError(Exception):
    """The client went away before its body was whole; nothing was taken."""


async def _rest(body: bytes, receive: Receive) -> bytes:
    """The other pieces; what is beyond the limit is read and thrown away, so that the reply is seen."""
    pieces, held = [body], len(body)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        piece: bytes = message.get("body", b"")
        held += len(piece)
        if held <= BODY_MOST + 65536:
            pieces.append(piece)
        elif held > 4 * BODY_MOST:
            raise _too_large(b"".join(pieces))
        if not message.get("more_body"):
            return b"".join(pieces)


def _too_large(body: bytes) -> HttpError:
    return HttpError(413, f"the body is larger than {BODY_MOST} bytes", body)


def _unavailable(reason: str) -> HttpError:
    return HttpError(503, reason)


def _unpacked(body: bytes, encoding: bytes) -> bytes:
    """gzip, deflate and zstd; never more than BODY_MOST bytes, whatever it claims to unpack to.

    Packed parts one after the other are one body (RFC 1952, RFC 8878): none is left out in silence.
    """
    name = encoding.decode("latin-1").strip().lower()
    if name == "identity":
        return body
    if name not in {"gzip", "x-gzip", "deflate", "zstd"}:
        raise HttpError(415, "Content-Encoding is not known; use gzip, deflate or zstd", body)
    whole, rest = b"", body
    try:
        for _ in range(PARTS_MOST):
            part, rest = (_zstd if name == "zstd" else _zlib)(rest, name, BODY_MOST + 1 - len(whole))
            whole += part
            if len(whole) > BODY_MOST:
                raise HttpError(413, f"the unpacked body is larger than {BODY_MOST} bytes", body)
            if not rest:
                return whole
    except EOFError:
        raise HttpError(400, f"the {name} body ends too early", body) from None
    except (zlib.error, zstandard.ZstdError):
        raise HttpError(400, f"the body is not {name}", body) from None
    raise HttpError(413, f"the body has more than {PARTS_MOST} packed parts", body)


def _zlib(packed: bytes, name: str, most: int) -> tuple[bytes, bytes]:
    """The first part, at most so many bytes of it, and what follows. Raises EOFError if it has no end."""
    unpacker = zlib.decompressobj(wbits=31 if "gzip" in name else 15)
    part = unpacker.decompress(packed, most)
    if len(part) < most and not unpacker.eof:
        raise EOFError
    return part, unpacker.unused_data.lstrip(b"\0")  # gzip may be padded


def _zstd(packed: bytes, name: str, most: int) -> tuple[bytes, bytes]:
    """As `_zlib`. Only the reader can be stopped, only the object sees that the end is missing."""
    kind = zstandard.ZstdDecompressor(max_window_size=2**23)
    part = kind.stream_reader(packed).read(most)
    if len(part) == most:
        return part, b""
    unpacker = kind.decompressobj()
    part = unpacker.decompress(packed)
    if not unpacker.eof:
        raise EOFError
    return part, unpacker.unused_data


def _array(body: bytes) -> list[bytes]:
    """The items of a JSON array, each as JSON again. Raises RefusedError."""
    try:
        return [orjson.dumps(item) for item in orjson.loads(body)]
    except orjson.JSONDecodeError as error:
        strict = error
    except (TypeError, RecursionError):
        raise RefusedError("nested too deeply") from None
    try:
        items = tolerant_loads(body)
        return [json.dumps(item).encode() for item in items]
    except (ValueError, RecursionError):
        raise RefusedError(f"not JSON: {strict.msg} at byte {strict.pos}") from None


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "unix"


@lru_cache(maxsize=1024)
def _loopback(peer: str) -> bool:
    if peer == "unix":
        return True
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


async def _reply(send: Send, status: int, answer: dict[str, Any]) -> None:
    body = orjson.dumps(answer)
    headers = [_JSON, (b"content-length", str(len(body)).encode())]
    if status == 503:
        headers.append((b"retry-after", str(RETRY_AFTER).encode()))
    elif status == 401:
        headers.append((b"www-authenticate", b'Basic realm="outrider"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
