"""The dashboard: pages under /ui, behind a login, kept current by one feed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI

from relay.config import RelayConfig
from relay.ui.accounts import Accounts
from relay.ui.feed import Feed
from relay.ui.guard import Access, Guard
from relay.ui.login import FIRST_LINK_SECONDS, Login, link
from relay.ui.pages import Pages
from relay.ui.store import LoginStore
from relay.ui.view import Static, View

if TYPE_CHECKING:
    from relay.app import Relay

__all__ = ["Ui", "add_ui"]


class Ui:
    """What of the dashboard runs, between the journal's start and its end."""

    def __init__(self, app: FastAPI, relay: Relay) -> None:
        self._relay = relay
        self._access = Access(relay.config.general)
        static = Static()
        view = View(relay, static)
        self._feed = Feed(lambda: relay.journal, view, good=self._session_is_good)
        app.add_middleware(Guard, access=self._access)
        app.router.routes += Accounts(self._access, view).routes()
        app.router.routes += Pages(relay, view, static, self._feed, self._access).routes()

    async def start(self) -> None:
        """Open the login's file; where there is no password yet, print the link that sets one."""
        config = self._relay.config
        login = Login(LoginStore(config.data_dir), self._seconds)
        self._access.opened = login
        self._feed.start()
        if not login.has_password():
            address = link(config.listen, config.general.public_url, login.new_link(FIRST_LINK_SECONDS))
            # For the person at the terminal; not a line of the log, which may be kept and sent elsewhere.
            print(
                f"\nThe dashboard has no password yet. Choose one; this link works once:\n\n  {address}\n",
                flush=True,
            )

    def closing(self) -> None:
        """The server is about to wait for open connections: streams do not end by themselves."""
        self._feed.close()

    def follow(self, config: RelayConfig) -> None:
        self._access.follow(config.general)

    async def stop(self) -> None:
        self.closing()
        if self._access.opened is not None:
            self._access.opened.close()
            self._access.opened = None

    def _session_is_good(self, session: str) -> bool:
        return self._access.login.token_is_good(session)

    def _seconds(self) -> float:
        return self._relay.clock.time_ns() / 1e9


def add_ui(app: FastAPI, relay: Relay) -> None:
    """Put the dashboard into the application; it starts and stops with the relay."""
    relay.parts.append(Ui(app, relay))
