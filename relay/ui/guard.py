"""Stands before every page: Host, login, forged forms, and the headers that go with each reply.

Ingest does not pass here (relay.app.Application); what machines ask for is let through as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relay.config import General
from relay.credentials import Tokens
from relay.render import one_line
from relay.ui.hosts import Hosts, split_host
from relay.ui.login import Login

PROBES = frozenset({"/ping", "/healthz", "/readyz", "/metrics"})
OPEN = frozenset({"/ui/login", "/ui/first"})
STATIC = "/ui/static/"
BODY_MOST = 64 * 1024
"""Bytes of a form."""
COOKIE = "outrider"
SECURE_COOKIE = "__Host-outrider"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With no-referrer a browser would send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_NEXT = re.compile(r"/ui(?:[/?][!-\[\]-~]*)?")


def guarded(path: str) -> bool:
    """Whether a person has to be logged in for it."""
    return any(path == root or path.startswith(root + "/") for root in ("/ui", "/api"))


def safe_next(path: str) -> str:
    """Where to go after the login: a page of ours, whatever was asked for."""
    return path if _NEXT.fullmatch(path) else "/ui"


@dataclass(slots=True)
class Access:
    """What the guard knows; `opened` is set when the relay starts."""

    general: General
    opened: Login | None = None
    hosts: Hosts = field(init=False)
    tokens: Tokens = field(init=False)

    def __post_init__(self) -> None:
        self.follow(self.general)

    def follow(self, general: General) -> None:
        """Another configuration is in force."""
        self.general = general
        self.hosts = Hosts(general)
        self.tokens = Tokens({name: one.token for name, one in general.api.tokens.items()})

    @property
    def login(self) -> Login:
        if self.opened is None:
            raise HTTPException(503, "the relay is starting or stopping")
        return self.opened

    def secure(self, connection: HTTPConnection) -> bool:
        """Whether the browser speaks https: to public_url, or as the Origin of its form says."""
        public = urlsplit(self.general.public_url or "")
        if public.scheme != "https":
            return False
        headers = connection.headers
        return headers.get("origin", "").startswith("https://") or split_host(
            headers.get("host", "")
        ) == split_host(public.netloc)

    def session(self, connection: HTTPConnection) -> str | None:
        cookie = connection.cookies.get(SECURE_COOKIE) or connection.cookies.get(COOKIE)
        return self.opened.session(cookie) if self.opened is not None else None

    def same_origin(self, headers: Headers) -> bool:
        """A form from a page of ours. A client that is no browser sends neither header and has no cookie jar
        that another site could use."""
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in {"same-origin", "none"}
        ours = {headers.get("host", "").lower(), urlsplit(self.general.public_url or "").netloc.lower()}
        try:
            return urlsplit(origin).netloc.lower() in ours - {""}
        except ValueError:  # half of an IPv6 address, say
            return False


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        static = scope["path"].startswith(STATIC)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if not static:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        connection = HTTPConnection(scope)
        answer = self._refusal(connection) or self._login_first(connection)
        await (answer or self.app)(scope, receive, send_with_headers)

    def _refusal(self, connection: HTTPConnection) -> Response | None:
        """What is wrong with the request, whoever sends it."""
        headers, scope = connection.headers, connection.scope
        host = headers.get("host")
        if host is None:
            return PlainTextResponse("The request has no Host header.\n", 400)
        server = scope.get("server")
        if not self.access.hosts.good(host, server[0] if server else None):
            name = one_line(host[:200])
            return PlainTextResponse(
                f"This relay is not known as {name!r}. If it should be, add the name to allowed_hosts: in"
                " relay.yaml, or set public_url: to the address people use.\n",
                421,
            )
        if scope["method"] in {"GET", "HEAD", "OPTIONS"} or not guarded(scope["path"]):
            return None
        if not self.access.same_origin(headers):
            return PlainTextResponse("The form was sent by another site.\n", 403)
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return PlainTextResponse("The request needs a Content-Length.\n", 411)
        if int(length) > BODY_MOST:
            return PlainTextResponse(f"The form is larger than {BODY_MOST} bytes.\n", 413)
        return None

    def _login_first(self, connection: HTTPConnection) -> Response | None:
        path = connection.scope["path"]
        if not guarded(path):
            return None
        authorization = connection.headers.get("authorization")
        if authorization is not None and not path.startswith("/ui"):
            # Whoever shows a token is judged by it, whatever cookie comes along.
            known = self.access.tokens.bearer(authorization)
            return None if known is not None else _unauthorized("this token is not known")
        session = self.access.session(connection)
        connection.scope.setdefault("state", {})["session"] = session
        if session is not None or path in OPEN or path.startswith(STATIC):
            return None
        if path.startswith("/ui") and path != "/ui/events" and connection.scope["method"] == "GET":
            query = connection.url.query
            wanted = safe_next(path + (f"?{query}" if query else ""))
            return RedirectResponse(f"/ui/login?next={quote(wanted, safe='')}", 303)
        return _unauthorized("log in first: open /ui in a browser, or send a token of api: {tokens: …}")


def _unauthorized(why: str) -> Response:
    body: dict[str, Any] = {"error": why}
    headers = {"WWW-Authenticate": "Bearer"}
    return Response(orjson.dumps(body), 401, headers, media_type="application/json")
