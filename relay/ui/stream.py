"""One page's connection to the feed: server-sent events."""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from relay.ui.feed import Client, Feed

KEEP_ALIVE = 15.0
"""Seconds without news until a comment is sent: it finds out who has gone, and keeps proxies from cutting."""
SEND_SECONDS = 30.0
"""For one message, to a page that does not read."""


class EventStream(Response):
    """The stream of one page, until it goes, falls behind, or its session ends."""

    media_type = "text/event-stream"

    def __init__(self, feed: Feed, client: Client) -> None:
        super().__init__(b"", headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._feed = feed
        self._client = client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        gone = asyncio.create_task(self._gone(receive))
        try:
            await self._write(send, b": here\n\n")
            while True:
                try:
                    async with asyncio.timeout(KEEP_ALIVE):
                        message = await self._client.queue.get()
                except TimeoutError:
                    message = b":\n\n"
                if message is None or gone.done():
                    break
                await self._write(send, message)
            await send({"type": "http.response.body", "body": b""})
        except (TimeoutError, OSError):
            pass  # it does not read any more
        finally:
            gone.cancel()
            self._feed.leave(self._client)

    async def _write(self, send: Send, body: bytes) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            await send({"type": "http.response.body", "body": body, "more_body": True})

    async def _gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._feed.leave(self._client)
