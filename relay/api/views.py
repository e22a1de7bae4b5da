"""The addresses of `/api/v1`. All of them only read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from relay.api import shapes
from relay.journal import Journal
from relay.ui.filters import parse

if TYPE_CHECKING:
    from relay.app import Relay

PREFIX = "/api/v1"
ROWS, ROWS_MOST = 50, 500
PARAMETERS = frozenset({"priority", "rule", "source", "host", "since", "until", "before", "limit"})


class Api:
    """Each method answers one address; the guard has seen to login and token."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def routes(self) -> list[BaseRoute]:
        return [
            Route(PREFIX + "/alerts", self.alerts),
            Route(PREFIX + "/alerts/{id}", self.alert),
            Route(PREFIX + "/outputs", self.outputs),
            Route(PREFIX + "/refused", self.refused),
            Route(PREFIX + "/orphans", self.orphans),
            Route("/api/{path:path}", self.nothing),
        ]

    @property
    def journal(self) -> Journal:
        if self._relay.journal is None:
            raise HTTPException(503, "the relay is starting or stopping")
        return self._relay.journal

    async def alerts(self, request: Request) -> Response:
        """Newest first, with the fates of each; `next` is the address of the next (older) page."""
        asked = parse(request.query_params, self._relay.clock.time_ns())
        problems = dict(asked.problems)
        problems |= {name: "is not known" for name in request.query_params if name not in PARAMETERS}
        limit = _limit(request, problems)
        if problems:
            return answer({"error": "the query is not understood", "fields": problems}, 400)
        page = await self.journal.alerts(asked.where, before=asked.before, limit=limit)
        fates = await self.journal.fates(page.alerts)
        after = None
        if page.next_before is not None:
            after = str(request.url.include_query_params(before=page.next_before).query)
        return answer(
            {
                "alerts": [shapes.alert(alert, fates[alert.seq]) for alert in page.alerts],
                "next": f"{PREFIX}/alerts?{after}" if after else None,
            }
        )

    async def alert(self, request: Request) -> Response:
        found = await self.journal.alert(request.path_params["id"])
        if found is None:
            return answer({"error": "there is no such alert; retention may have removed it"}, 404)
        return answer(shapes.alert(found, (await self.journal.fates([found]))[found.seq]))

    async def outputs(self, request: Request) -> Response:
        depths = await self._relay.depths()
        statuses = self._relay.statuses()
        return answer({"outputs": [shapes.output(one, depths.get(one.name)) for one in statuses]})

    async def refused(self, request: Request) -> Response:
        """The newest bodies that were no alerts; `body` is cut to its first 64 KiB."""
        problems: dict[str, str] = {}
        limit = _limit(request, problems)
        if problems:
            return answer({"error": "the query is not understood", "fields": problems}, 400)
        return answer({"refused": [shapes.refused(one) for one in await self.journal.refused(limit)]})

    async def orphans(self, request: Request) -> Response:
        """What is owed to outputs that were removed."""
        return answer({"orphans": [shapes.orphan(one) for one in await self.journal.orphans()]})

    async def nothing(self, request: Request) -> Response:
        return answer({"error": "there is no such address"}, 404)


def _limit(request: Request, problems: dict[str, str]) -> int:
    text = request.query_params.get("limit", str(ROWS))
    if text.isascii() and text.isdigit() and len(text) < 5 and 0 < int(text) <= ROWS_MOST:
        return int(text)
    problems["limit"] = f"is not a number from 1 to {ROWS_MOST}"
    return ROWS


def answer(body: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
