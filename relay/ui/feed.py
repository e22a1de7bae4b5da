"""What is new, sent to every open page: one loop for all of them, at most a few messages a second.

A page says up to which alert it has been drawn and which of its rows can still change; so nothing is missed
between drawing and listening, nor after a connection was cut. A page that does not keep up is let go: it
comes back and says again where it stands.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
import structlog

from relay.alert import Alert
from relay.journal.base import Fate, Filter, Page
from relay.ui.show import OPEN

PAUSE = 0.4
"""Seconds between two messages, at least."""
REST = 12
"""After a look the feed rests so many times as long as the look took: with many outputs and a flood of alerts
it takes less than a twelfth of the relay's time, however many pages are open."""
ROWS_MOST = 30
"""Alerts in one message; a page is told how many there were."""
CLIENTS_MOST = 32
WATCH_MOST = 200
FETCH_MOST = 50
"""Watched alerts that are held at once: their bodies may be large."""
"""Alerts of one page whose fates are looked at again."""
WATCH_OFTEN = 60
"""The newest of all watched ones are looked at every time, the others each fifth time."""
BEHIND_MOST = 4
"""Messages that may wait for a slow page."""

log = structlog.get_logger()


class Ledger(Protocol):
    """The part of the journal that is read."""

    def newest(self, priority: int | None = None) -> int: ...
    async def fetch(self, seqs: Sequence[int]) -> Sequence[Alert]: ...
    async def alerts(self, where: Filter, *, before: int | None = None, limit: int = 50) -> Page: ...
    async def fates(self, alerts: Sequence[Alert]) -> Mapping[int, Sequence[Fate]]: ...


class View(Protocol):
    """Draws the pieces that change; the same templates as the whole page."""

    def row(self, alert: Alert, fates: Sequence[Fate]) -> str: ...
    def badges(self, alert: Alert, fates: Sequence[Fate]) -> str: ...
    def fate_table(self, alert: Alert, fates: Sequence[Fate]) -> str: ...
    async def outputs(self) -> str: ...
    async def summary(self) -> str: ...
    async def counts(self) -> str: ...


@dataclass(eq=False, slots=True)
class Client:
    """One open page."""

    cursor: int
    watch: dict[int, str]  # seq -> what it was last sent of its fates
    session: str
    one_alert: bool = False  # an alert's page: a table of fates, and no rows
    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(BEHIND_MOST))
    sent: dict[str, str] = field(default_factory=dict)  # pieces that go out only when they changed


@dataclass(frozen=True, slots=True)
class New:
    """An alert that some page lacks."""

    seq: int
    html: str
    badges: str
    open: bool  # a fate of it will still change


class Feed:
    """`good` says whether a session still counts."""

    def __init__(
        self,
        ledger: Callable[[], Ledger | None],
        view: View,
        good: Callable[[str], bool],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._view = view
        self._good = good
        self._sleep = sleep
        self._seconds = seconds
        self._clients: set[Client] = set()
        self._somebody = asyncio.Event()
        self._ticks = 0
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._closed = False
        self._task = asyncio.create_task(self._run(), name="feed")

    def close(self) -> None:
        """End every stream and take no more."""
        self._closed = True
        for client in list(self._clients):
            self.leave(client)
        if self._task is not None:
            self._task.cancel()

    def join(
        self, after: int, watch: Iterable[int], session: str, *, one_alert: bool = False
    ) -> Client | None:
        """None if there are too many already."""
        if self._closed or len(self._clients) >= CLIENTS_MOST:
            return None
        kept = sorted(set(watch), reverse=True)[:WATCH_MOST]
        client = Client(after, dict.fromkeys(kept, ""), session, one_alert)
        self._clients.add(client)
        self._somebody.set()
        return client

    def leave(self, client: Client) -> None:
        """Its stream ends after what it was already given."""
        if client not in self._clients:
            return
        self._clients.discard(client)
        if client.queue.full():
            client.queue.get_nowait()
        client.queue.put_nowait(None)

    async def _run(self) -> None:
        while True:
            if not self._clients:
                self._somebody.clear()
                await self._somebody.wait()
            began = self._seconds()
            try:
                await self.tick()
            except Exception:
                log.exception("the dashboard's feed failed once")
            await self._sleep(max(PAUSE, REST * (self._seconds() - began)))

    async def tick(self) -> None:
        """Look at everything once, and give each page what it lacks."""
        ledger = self._ledger()
        if ledger is None:
            return
        for client in list(self._clients):
            if not self._good(client.session):
                self.leave(client)
        self._ticks += 1
        clients = list(self._clients)
        newest = await self._newest(ledger, clients)
        changed = await self._changed(ledger, clients)
        pieces = {"outputs": await self._view.outputs(), "summary": await self._view.summary()}
        if self._ticks % 5 == 1 or any(not client.sent for client in clients):
            pieces["counts"] = await self._view.counts()
        for client in clients:
            message = _message(client, newest, changed, pieces)
            if message is not None:
                self._give(client, message)

    async def _newest(self, ledger: Ledger, clients: Sequence[Client]) -> list[New]:
        """The newest alerts that some page lacks, drawn once for all; newest first."""
        listeners = [client.cursor for client in clients if not client.one_alert]
        if not listeners or min(listeners) >= ledger.newest():
            return []
        page = await ledger.alerts(Filter(), limit=ROWS_MOST)
        alerts = [alert for alert in page.alerts if alert.seq > min(listeners)]
        fates = await ledger.fates(alerts)
        return [
            New(
                alert.seq,
                self._view.row(alert, fates[alert.seq]),
                self._view.badges(alert, fates[alert.seq]),
                _is_open(fates[alert.seq]),
            )
            for alert in alerts
        ]

    async def _changed(self, ledger: Ledger, clients: Sequence[Client]) -> dict[int, tuple[str, str, bool]]:
        """Of each watched alert: its badges, its table (if a page shows it), and whether it may change."""
        watched = sorted({seq for client in clients for seq in client.watch}, reverse=True)
        fresh = {seq for client in clients for seq, sent in client.watch.items() if not sent}
        if self._ticks % 5:
            watched = [seq for n, seq in enumerate(watched) if n < WATCH_OFTEN or seq in fresh]
        if not watched:
            return {}
        tables = {seq for client in clients if client.one_alert for seq in client.watch}
        found: dict[int, tuple[str, str, bool]] = {}
        for at in range(0, len(watched), FETCH_MOST):
            alerts = await ledger.fetch(watched[at : at + FETCH_MOST])
            fates = await ledger.fates(alerts)
            found |= {
                alert.seq: (
                    self._view.badges(alert, fates[alert.seq]),
                    self._view.fate_table(alert, fates[alert.seq]) if alert.seq in tables else "",
                    _is_open(fates[alert.seq]),
                )
                for alert in alerts
            }
        gone = set(watched) - found.keys()
        for client in clients:
            for seq in gone & client.watch.keys():
                del client.watch[seq]
        return found

    def _give(self, client: Client, message: bytes) -> None:
        try:
            client.queue.put_nowait(message)
        except asyncio.QueueFull:
            self.leave(client)


def _is_open(fates: Sequence[Fate]) -> bool:
    return any(fate.state in OPEN for fate in fates)


def _message(
    client: Client,
    newest: Sequence[New],
    changed: dict[int, tuple[str, str, bool]],
    pieces: dict[str, str],
) -> bytes | None:
    """What this page lacks, as one event; None if nothing. The page is then up to date."""
    said: dict[str, Any] = {}
    fates = []
    for seq in list(client.watch):
        if seq not in changed:
            continue
        badges, table, still_open = changed[seq]
        html = table if client.one_alert else badges
        if html != client.watch[seq]:
            fates.append({"seq": seq, "html": html, "open": still_open})
        if still_open:
            client.watch[seq] = html
        else:
            del client.watch[seq]
    if fates:
        said["fates"] = fates
    if not client.one_alert and newest and newest[0].seq > client.cursor:
        rows = [one for one in newest if one.seq > client.cursor]
        said["count"] = newest[0].seq - client.cursor
        said["rows"] = [{"seq": one.seq, "html": one.html} for one in rows]
        client.cursor = newest[0].seq
        client.watch.update({one.seq: one.badges for one in rows if one.open})
        for seq in sorted(client.watch)[:-WATCH_MOST]:
            del client.watch[seq]
    for name, html in pieces.items():
        if client.sent.get(name) != html:
            client.sent[name] = said[name] = html
    if not said:
        return None
    return b"id: %d\ndata: %s\n\n" % (client.cursor, orjson.dumps(said))
