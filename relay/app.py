"""The one place where the parts are put together: journal, workers, ingest, pages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from relay import metrics, outputs, routing
from relay.alert import Alert
from relay.config import RelayConfig
from relay.delivery import Status, SystemClock, Worker
from relay.delivery.pace import Paces
from relay.ingest import Ingest
from relay.journal import Journal
from relay.journal.base import Depth, Generation
from relay.render import rfc3339
from relay.ui import add_ui

DRAIN_SECONDS = 10.0
OWN_POSTS = ("/ui", "/api", "/test")
"""Paths that take a POST of their own; a POST to any other means POST /, as in falcosidekick."""

log = structlog.get_logger()


class Part(Protocol):
    """Something that runs while the journal is open."""

    async def start(self) -> None: ...
    def closing(self) -> None: ...  # no request is taken any more; those under way should end soon
    async def stop(self) -> None: ...


class Relay:
    """Everything that runs; `start` and `stop` are called by the server."""

    def __init__(self, config: RelayConfig) -> None:
        general = config.general
        self.config = config
        self.clock = SystemClock()
        self.ingest = Ingest(general.custom_fields, general.ingest.allow_anonymous)
        self.journal: Journal | None = None
        self.workers: list[Worker] = []
        self.parts: list[Part] = []

    async def start(self) -> None:
        """Open the journal and start a worker for each output. Raises what Journal.open raises."""
        journal = await Journal.open(
            self.config.data_dir, judge=routing.judge, dedup_window_s=self.config.general.dedup_window
        )
        self.journal = journal
        paces = Paces()
        try:
            for name, settings in self.config.outputs.items():
                output = outputs.create(name, settings, self.config.general.public_url)
                await journal.generation(name, routing.Routing.of(settings).as_text())
                why_not = routed([one for one in await journal.generations() if one.output == name])
                worker = Worker(
                    output, journal, why_not, retry_for=settings.retry_for, clock=self.clock, paces=paces
                )
                await worker.start()
                self.workers.append(worker)
            for part in self.parts:
                await part.start()
        except BaseException:
            await self.stop()
            raise
        self.ingest.journal = journal
        log.info("ready", listen=str(self.config.listen), outputs=len(self.workers), newest=journal.newest())

    async def stop(self) -> None:
        """Take nothing more, finish what is under way, leave the rest in the journal."""
        self.ingest.journal = None
        await asyncio.gather(*(part.stop() for part in self.parts))
        await asyncio.gather(*(worker.stop(DRAIN_SECONDS) for worker in self.workers))
        if self.journal is not None:
            await self.journal.close()

    def closing(self) -> None:
        for part in self.parts:
            part.closing()

    def statuses(self) -> Sequence[Status]:
        return [worker.status() for worker in self.workers]

    async def depths(self) -> Mapping[str, Depth]:
        assert self.journal is not None
        return {worker.output.name: await self.journal.depth(worker.output.name) for worker in self.workers}


def routed(generations: Sequence[Generation]) -> Callable[[Alert], str | None] | None:
    """Judge an alert by the routing that was in force when it was journalled."""
    if all(not generation.routing for generation in generations):
        return None

    def why_not(alert: Alert) -> str | None:
        for generation in reversed(generations):
            if generation.from_seq < alert.seq:
                return routing.judge(generation.routing, alert)
        return "journalled before the output was there"

    return why_not


class Application(FastAPI):
    """FastAPI, but a POST of alerts goes to ingest before middleware and routing, which cost more than it."""

    relay: Relay

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            path = scope["path"]
            if path == "/" or not any(path == own or path.startswith(own + "/") for own in OWN_POSTS):
                await self.relay.ingest(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def create_app(config: RelayConfig) -> Application:
    """The ASGI application for this configuration; its relay is to be started before it is served."""
    relay = Relay(config)

    app = Application(docs_url=None, redoc_url=None, openapi_url=None)
    app.relay = relay
    add_probes(app, relay)
    add_ui(app, relay)
    return app


def add_probes(app: FastAPI, relay: Relay) -> None:
    """What machines ask for, as in falcosidekick."""

    @app.get("/ping")
    async def ping() -> Response:
        return Response("pong\n", media_type="text/plain")

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        if not await relay.ingest.ready():
            return JSONResponse({"status": "the journal cannot be written"}, status_code=503)
        return JSONResponse({"status": "ok"})

    @app.get("/metrics")
    async def prometheus() -> Response:
        assert relay.journal is not None
        snapshot = metrics.Snapshot(
            relay.ingest, relay.journal, relay.statuses(), await relay.depths(), relay.clock.time_ns()
        )
        return Response(metrics.render(snapshot), media_type=metrics.CONTENT_TYPE)

    @app.post("/test")
    async def test(request: Request) -> Response:
        """Journal an alert of Debug priority, which takes the way of every other."""
        return await run_test(relay, request)


async def run_test(relay: Relay, request: Request) -> Response:
    body = test_alert(relay.clock.time_ns())
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = dict(request.scope) | {"headers": [(k, v) for k, v in request.scope["headers"] if k == b"origin"]}
    await relay.ingest(scope, receive, send)
    return Response(sent[1]["body"], sent[0]["status"], media_type="application/json")


def test_alert(time_ns: int) -> bytes:
    """An alert of the relay's own, to see whether one arrives."""
    text = "This is a test alert of Outrider: nothing has happened."
    return orjson.dumps(
        {
            "output": text,
            "output_fields": {},
            "priority": "Debug",
            "rule": "Test rule",
            "source": "outrider",
            "tags": ["test"],
            "time": rfc3339(time_ns),
        }
    )
