"""The pages that show something; the login's own are in accounts.py."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from relay.journal import Journal
from relay.journal.base import Page
from relay.render import cut, one_line, visible
from relay.ui import show
from relay.ui.feed import Feed
from relay.ui.filters import Asked, parse
from relay.ui.guard import Access
from relay.ui.stream import EventStream
from relay.ui.view import Static, View

if TYPE_CHECKING:
    from relay.app import Relay

PAGE_ROWS = 50
REFUSED_ROWS = 100
REFUSED_TEXT = 16 * 1024
LONGEST = 19
"""Digits of a sequence number."""


class Pages:
    """Each method answers one address; the guard has seen to the login."""

    def __init__(self, relay: Relay, view: View, static: Static, feed: Feed, access: Access) -> None:
        self._relay = relay
        self._view = view
        self._static = static
        self._feed = feed
        self._access = access

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.root),
            Route("/ui", self.alerts),
            Route("/ui/events", self.events),
            Route("/ui/refused", self.refused),
            Route("/ui/alerts/{id}", self.alert),
            Route("/ui/alerts/{id}/raw", self.raw),
            Route("/ui/static/{name}", self.static),
            Route("/ui/{path:path}", self.nothing),
        ]

    def draw(self, request: Request, template: str, status: int = 200, **context: object) -> HTMLResponse:
        session = request.state.session
        context["form_token"] = self._access.login.form_token(session) if session else None
        return HTMLResponse(self._view.page(template, **context), status)

    @property
    def journal(self) -> Journal:
        if self._relay.journal is None:
            raise HTTPException(503, "the relay is starting or stopping")
        return self._relay.journal

    async def root(self, request: Request) -> Response:
        return RedirectResponse("/ui", 303)

    async def alerts(self, request: Request) -> Response:
        """The newest alerts that the form asks for."""
        asked = parse(request.query_params, self._relay.clock.time_ns())
        newest = self.journal.newest()  # before the look: what comes meanwhile is sent once more
        page = Page((), None)
        if not asked.problems:
            page = await self.journal.alerts(asked.where, before=asked.before, limit=PAGE_ROWS)
        fates = await self.journal.fates(page.alerts)
        rows = [show.row(alert, fates[alert.seq]) for alert in page.alerts]
        return self.draw(
            request,
            "alerts.html",
            400 if asked.problems else 200,
            asked=asked,
            rows=rows,
            older=asked.address(page.next_before) if page.next_before else None,
            first_page=asked.address(),
            live="all" if not asked.filtered and asked.before is None else "bar",
            newest=max(newest, rows[0].seq if rows and not asked.filtered and asked.before is None else 0),
            known=_known(asked, rows),
            counts=(await self._view.counts()).split(","),
            summary=await self._view.summary(),
            outputs=await self._view.outputs(),
            address=self._relay.config.general.public_url
            or f"{request.url.scheme}://{request.headers['host']}",
        )

    async def alert(self, request: Request) -> Response:
        alert = await self.journal.alert(request.path_params["id"])
        if alert is None:
            return self.missing(request, "There is no such alert; retention may have removed it.")
        fates = (await self.journal.fates([alert]))[alert.seq]
        named, unnamed = show.fields(alert)
        return self.draw(
            request,
            "alert.html",
            alert=alert,
            row=show.row(alert, fates),
            text=cut(alert.output, show.TEXT_MOST, visible),
            tags=[show.name(tag) for tag in alert.tags[:100]],
            fields=named,
            fields_left=unnamed,
            notes=show.notes(alert),
            received=show.moment(alert.received_ns),
            received_from=one_line(alert.received_from),
            raw=show.body(alert.raw),
            raw_bytes=len(alert.raw),
            fates=[show.fate_line(fate) for fate in fates],
        )

    async def raw(self, request: Request) -> Response:
        """The received bytes, as a file."""
        alert = await self.journal.alert(request.path_params["id"])
        if alert is None:
            return self.missing(request, "There is no such alert; retention may have removed it.")
        kind, ending = ("application/json", "json") if alert.content == "json" else ("text/plain", "txt")
        file = f"attachment; filename*=UTF-8''alert-{quote(alert.id, safe='')}.{ending}"
        return Response(alert.raw, media_type=kind, headers={"Content-Disposition": file})

    async def refused(self, request: Request) -> Response:
        entries = []
        for one in await self.journal.refused(REFUSED_ROWS):
            raw, at = one["body"], one["at_ns"]
            assert isinstance(raw, bytes)
            assert isinstance(at, int)
            entries.append(
                {
                    "n": one["n"],
                    "time": show.moment(at),
                    "from": one_line(str(one["received_from"])),
                    "reason": cut(str(one["reason"]), 500, one_line),
                    "size": len(raw),
                    "start": cut(raw[:1000].decode("utf-8", "replace"), 160, one_line),
                    "text": show.body(raw, REFUSED_TEXT),
                }
            )
        return self.draw(request, "refused.html", entries=entries, most=REFUSED_ROWS)

    async def events(self, request: Request) -> Response:
        """What is new for a page that was drawn up to `after`, and whose rows in `watch` may change."""
        if request.method == "HEAD":  # a page asks whether its session has ended
            return Response(status_code=204)
        after = request.headers.get("last-event-id") or request.query_params.get("after", "")
        watch = request.query_params.get("watch", "")[: 64 * 1024].split(",")
        client = self._feed.join(
            int(after) if _number(after) else self.journal.newest(),
            (int(seq) for seq in watch if _number(seq)),
            request.state.session,
            one_alert="one" in request.query_params,
        )
        if client is None:
            return JSONResponse({"error": "too many pages are open"}, 503, {"Retry-After": "15"})
        return EventStream(self._feed, client)

    async def static(self, request: Request) -> Response:
        found = self._static.files.get(request.path_params["name"])
        if found is None:
            return self.missing(request, "There is no such file.")
        keep = "public, max-age=31536000, immutable" if "v" in request.query_params else "no-cache"
        return Response(found[0], media_type=found[1], headers={"Cache-Control": keep})

    async def nothing(self, request: Request) -> Response:
        if not request.path_params["path"]:
            return RedirectResponse("/ui", 303)
        return self.missing(request, "There is no such page.")

    def missing(self, request: Request, what: str) -> Response:
        return self.draw(request, "message.html", 404, title="Not found", text=what)


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < LONGEST


def _known(asked: Asked, rows: list[show.Row]) -> dict[str, list[str]]:
    """Names to choose from in the form: those of the alerts shown."""
    return {
        "rule": sorted({row.rule for row in rows}),
        "source": sorted({row.source for row in rows}),
        "host": sorted({row.host for row in rows if row.host}),
    }
