"""The pages of the login: the one-time link, the password, the way out."""

from __future__ import annotations

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from relay.ui.guard import COOKIE, SECURE_COOKIE, Access, safe_next
from relay.ui.login import PASSWORD_LEAST, SESSION_SECONDS, LoginError
from relay.ui.view import View

log = structlog.get_logger()


class Accounts:
    def __init__(self, access: Access, view: View) -> None:
        self._access = access
        self._view = view

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/ui/first", self.show_first),
            Route("/ui/first", self.first, methods=["POST"]),
            Route("/ui/login", self.show_login),
            Route("/ui/login", self.login, methods=["POST"]),
            Route("/ui/logout", self.logout, methods=["POST"]),
        ]

    async def show_first(self, request: Request) -> Response:
        """Only looks at the link: a preview of it in a chat must not use it up."""
        return self._first(request.query_params.get("token", ""), None)

    async def first(self, request: Request) -> Response:
        form = await _form(request)
        token = form.get("token", "")
        try:
            cookie = await self._access.login.first(
                token, form.get("password", ""), form.get("again", ""), _peer(request)
            )
        except LoginError as error:
            return self._first(token, error)
        log.info("password set with a one-time link", peer=_peer(request))
        return self._in(request, cookie, "/ui")

    async def show_login(self, request: Request) -> Response:
        wanted = safe_next(request.query_params.get("next", ""))
        if request.state.session is not None:
            return RedirectResponse(wanted, 303)
        return self._password(wanted, None)

    async def login(self, request: Request) -> Response:
        form = await _form(request)
        wanted = safe_next(form.get("next", ""))
        try:
            cookie = await self._access.login.enter(form.get("password", ""), _peer(request))
        except LoginError as error:
            if error.retry_after is None:  # those are bounded: nobody fills the log with them
                log.warning("login refused", peer=_peer(request))
            return self._password(wanted, error)
        log.info("logged in", peer=_peer(request))
        return self._in(request, cookie, wanted)

    async def logout(self, request: Request) -> Response:
        form = await _form(request)
        session = request.state.session
        if not self._access.login.form_is_good(session, form.get("form_token", "")):
            page = self._view.page(
                "message.html",
                title="Not done",
                text="This form is too old: load the page again.",
                form_token=self._access.login.form_token(session),
            )
            return _html(page, 403)
        await self._access.login.leave(session)
        log.info("logged out", peer=_peer(request))
        reply = RedirectResponse("/ui/login", 303)
        reply.delete_cookie(COOKIE)
        reply.delete_cookie(SECURE_COOKIE, secure=True)
        return reply

    def _first(self, token: str, error: LoginError | None) -> Response:
        good = self._access.login.link_is_good(token)
        page = self._view.page(
            "first.html",
            token=token if good else None,
            error=str(error) if error else None,
            least=PASSWORD_LEAST,
            has_password=self._access.login.has_password(),
            form_token=None,
        )
        return _html(page, error.status if error else 200 if good else 403)

    def _password(self, wanted: str, error: LoginError | None) -> Response:
        page = self._view.page(
            "login.html",
            next=wanted,
            error=str(error) if error else None,
            has_password=self._access.login.has_password(),
            form_token=None,
        )
        reply = _html(page, error.status if error else 200)
        if error is not None and error.retry_after is not None:
            reply.headers["Retry-After"] = str(error.retry_after)
        return reply

    def _in(self, request: Request, cookie: str, wanted: str) -> Response:
        """Lax, not strict: a link to an alert in a chat message must find the session."""
        secure = self._access.secure(request)
        reply = RedirectResponse(wanted, 303)
        reply.set_cookie(
            SECURE_COOKIE if secure else COOKIE,
            cookie,
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="lax",
            secure=secure,
        )
        return reply


def _html(page: str, status: int) -> Response:
    return Response(page, status, media_type="text/html; charset=utf-8")


def _peer(request: Request) -> str:
    return request.client.host if request.client else "unix"


async def _form(request: Request) -> dict[str, str]:
    """The guard has limited its size."""
    async with request.form(max_files=0, max_fields=20) as form:
        return {key: value for key, value in form.multi_items() if isinstance(value, str)}
