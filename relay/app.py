"""The one place where the parts are put together: journal, workers, ingest, pages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from relay import metrics, routing
from relay.api.views import Api
from relay.config import ConfigError, RelayConfig
from relay.credentials import Tokens
from relay.delivery import Status, SystemClock, Worker
from relay.fleet import Fleet, summary
from relay.ingest import Ingest
from relay.journal import Journal
from relay.journal.base import Depth
from relay.own import own_alert, tell
from relay.reload import Reloader
from relay.ui import add_ui

DRAIN_SECONDS = 10.0
OWN_POSTS = ("/ui", "/api", "/test")
"""Paths that take a POST of their own; a POST to any other means POST /, as in falcosidekick."""

log = structlog.get_logger()


class Part(Protocol):
    """Something that runs while the journal is open."""

    async def start(self) -> None: ...
    def closing(self) -> None: ...  # no request is taken any more; those under way should end soon
    def follow(self, config: RelayConfig) -> None: ...  # another configuration is in force
    async def stop(self) -> None: ...


class Relay:
    """Everything that runs; `start` and `stop` are called by the server."""

    def __init__(self, config: RelayConfig) -> None:
        general = config.general
        self.config = config
        self.clock = SystemClock()
        self.ingest = Ingest(general.custom_fields, general.ingest.allow_anonymous, _senders(config))
        self.journal: Journal | None = None
        self.fleet = Fleet(self.clock)
        self.reloader = Reloader(config, self.clock, self._take, self._refused)
        self.parts: list[Part] = [self.reloader]

    @property
    def workers(self) -> dict[str, Worker]:
        return self.fleet.workers

    async def start(self) -> None:
        """Open the journal and start a worker for each output. Raises what Journal.open raises."""
        journal = await Journal.open(
            self.config.data_dir, judge=routing.judge, dedup_window_s=self.config.general.dedup_window
        )
        self.journal = journal
        try:
            change = await self.fleet.become(self.config, journal)
            if change.failed:
                raise OSError("; ".join(f"output {name}: {why}" for name, why in change.failed.items()))
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
        await self.fleet.stop(DRAIN_SECONDS)
        if self.journal is not None:
            await self.journal.close()

    def closing(self) -> None:
        for part in self.parts:
            part.closing()

    async def _take(self, config: RelayConfig) -> None:
        """Put another configuration in force, without a pause for what it does not change."""
        assert self.journal is not None
        change = await self.fleet.become(config, self.journal)
        self.config = config
        self.ingest.custom_fields = config.general.custom_fields
        self.ingest.allow_anonymous = config.general.ingest.allow_anonymous
        self.ingest.senders = _senders(config)
        for part in self.parts:
            part.follow(config)
        log.info("configuration is taken", outputs=len(self.workers), **summary(change))
        for orphan in change.orphans:
            if orphan.output in change.removed:
                text = f"Output {orphan.output} was removed while {orphan.waiting} alerts waited for it"
                await self._tell("Output removed with alerts waiting", text, output=orphan.output)
        for name, why in change.failed.items():
            await self._tell("Output not started", f"Output {name} could not be started: {why}", output=name)

    async def _refused(self, error: ConfigError) -> None:
        for problem in error.problems:
            log.error("configuration is refused, the one before stays in force", why=str(problem))
        text = f"The relay's configuration is refused, the one before stays in force: {error}"
        await self._tell("Configuration refused", text)

    async def _tell(self, rule: str, text: str, **fields: str) -> None:
        assert self.journal is not None
        now = self.clock.time_ns()
        await tell(self.journal, now, own_alert(now, rule, "Error", text, "configuration", **fields))

    def statuses(self) -> Sequence[Status]:
        return [worker.status() for worker in self.workers.values()]

    async def depths(self) -> Mapping[str, Depth]:
        assert self.journal is not None
        return {name: await self.journal.depth(name) for name in list(self.workers)}


def _senders(config: RelayConfig) -> Tokens:
    return Tokens({name: one.token for name, one in config.general.ingest.senders.items()})


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
    app.router.routes += Api(relay).routes()
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
            relay.ingest,
            relay.journal,
            relay.statuses(),
            await relay.depths(),
            relay.clock.time_ns(),
            relay.reloader.reloads,
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
    """To see whether one arrives."""
    text = "This is a test alert of Outrider: nothing has happened."
    return own_alert(time_ns, "Test rule", "Debug", text, "test")
