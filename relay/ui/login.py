"""Who may look: a one-time link at the first start, a password from then on, sessions that can be ended."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from itsdangerous import BadSignature, Signer

from relay.config import Listen
from relay.ui.store import LoginStore

FIRST_LINK_SECONDS = 24 * 3600
LINK_SECONDS = 3600
SESSION_SECONDS = 14 * 24 * 3600
PASSWORD_LEAST, PASSWORD_MOST = 12, 1024
"""Characters."""
TRIES, TRIES_SECONDS = 5, 60
"""Passwords that one peer may try in so many seconds."""
TRIES_ALL = 30
"""And all peers together."""
PEERS_MOST = 1024
WAITING_MOST = 8
"""Passwords that wait for the one thread that checks them."""

T = TypeVar("T")


class LoginError(Exception):
    """The login is refused; str() is for the person."""

    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


class Tries:
    """At most `most` in each `seconds`, by name; the names are bounded."""

    def __init__(self, most: int, seconds: float, names: int = PEERS_MOST) -> None:
        self._most, self._seconds, self._names = most, seconds, names
        self._at: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, name: str, now: float) -> float:
        """Seconds until another try is allowed; 0 if it is now."""
        at = self._at.get(name, deque())
        while at and at[0] <= now - self._seconds:
            at.popleft()
        return at[0] + self._seconds - now if len(at) >= self._most else 0.0

    def note(self, name: str, now: float) -> None:
        self._at.setdefault(name, deque()).append(now)
        self._at.move_to_end(name)
        while len(self._at) > self._names:
            self._at.popitem(last=False)

    def forget(self, name: str) -> None:
        self._at.pop(name, None)


class Login:
    """`clock` gives seconds since the epoch. Argon2 and the file's writes run in one thread of its own."""

    def __init__(
        self,
        store: LoginStore,
        clock: Callable[[], float] = time.time,
        hasher: PasswordHasher | None = None,
    ) -> None:
        self.clock = clock
        self._store = store
        # OWASP's figures for argon2id: 19 MiB for one check, so that a small container can pay for it.
        self._hasher = hasher or PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        # Compared with where there is no password yet, so that the answer takes as long.
        self._nobody = ""
        self._session_signer = Signer(store.secret, salt="session", digest_method=hashlib.sha256)
        self._form_signer = Signer(store.secret, salt="form", digest_method=hashlib.sha256)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="login")
        self._waiting = 0
        self._by_peer = Tries(TRIES, TRIES_SECONDS)
        self._by_all = Tries(TRIES_ALL, TRIES_SECONDS)

    def close(self) -> None:
        self._pool.shutdown(wait=True)
        self._store.close()

    def has_password(self) -> bool:
        return self._store.password() is not None

    def new_link(self, seconds: int) -> str:
        return self._store.add_link(int(self.clock()), seconds)

    def link_is_good(self, token: str) -> bool:
        return self._store.link_is_good(token, int(self.clock()))

    async def first(self, token: str, password: str, again: str, peer: str) -> str:
        """Set the password with a one-time link; a session's cookie value. Raises LoginError."""
        if not self.link_is_good(token):
            raise LoginError(403, "This link has been used or is too old.")
        if not PASSWORD_LEAST <= len(password) <= PASSWORD_MOST:
            raise LoginError(400, f"The password needs {PASSWORD_LEAST} to {PASSWORD_MOST} characters.")
        if password != again:
            raise LoginError(400, "The two passwords are not the same.")

        def use() -> str | None:
            if not self._store.use_link(token, self._hasher.hash(_bytes(password)), int(self.clock())):
                return None
            return self._store.add_session(int(self.clock()), SESSION_SECONDS, peer)

        session = await self._run(use)
        if session is None:
            raise LoginError(403, "This link has been used or is too old.")
        return self._session_signer.sign(session).decode()

    async def enter(self, password: str, peer: str) -> str:
        """A session's cookie value for the right password. Raises LoginError, the same for every reason."""
        now = self.clock()
        wait = max(self._by_peer.wait(peer, now), self._by_all.wait("", now))
        if wait > 0 or self._waiting >= WAITING_MOST:
            seconds = max(1, int(wait + 1))
            raise LoginError(429, f"Too many tries; the next one is taken in {seconds} s.", seconds)
        self._by_peer.note(peer, now)
        self._by_all.note("", now)
        session = await self._run(lambda: self._check(password, peer))
        if session is None:
            raise LoginError(401, "That is not the password.")
        self._by_peer.forget(peer)
        return self._session_signer.sign(session).decode()

    def session(self, cookie: str | None) -> str | None:
        """The session's token, if the cookie is one of ours and has not ended."""
        if not cookie or len(cookie) > 256:
            return None
        try:
            token = self._session_signer.unsign(cookie).decode("ascii", "replace")
        except BadSignature:
            return None
        return token if self.token_is_good(token) else None

    def token_is_good(self, session: str) -> bool:
        """Whether the session has not ended meanwhile."""
        return self._store.session_is_good(session, int(self.clock()))

    async def leave(self, session: str) -> None:
        await self._run(lambda: self._store.end_session(session))

    def form_token(self, session: str) -> str:
        """What a form of this session must carry, so that no other site can send it."""
        return self._form_signer.get_signature(session).decode()

    def form_is_good(self, session: str, token: str) -> bool:
        return self._form_signer.verify_signature(session.encode(), token.encode("utf-8", "replace"))

    def _check(self, password: str, peer: str) -> str | None:
        known = self._store.password()
        if known is None and not self._nobody:
            self._nobody = self._hasher.hash("nobody")
        try:
            self._hasher.verify(known or self._nobody, _bytes(password[:PASSWORD_MOST]))
        except (Argon2Error, InvalidHashError):
            return None
        if known is None:
            return None
        if self._hasher.check_needs_rehash(known):
            self._store.set_password(self._hasher.hash(_bytes(password)))
        return self._store.add_session(int(self.clock()), SESSION_SECONDS, peer)

    async def _run(self, function: Callable[[], T]) -> T:
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function)
        finally:
            self._waiting -= 1


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "replace")


def address(listen: Listen, public_url: str | None) -> str:
    """Where a person on this machine, or everyone if `public_url` is set, finds the dashboard."""
    if public_url:
        return public_url
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "localhost"}  # noqa: S104 it is replaced
    return f"http://{Listen(anywhere.get(listen.host, listen.host), listen.port)}"


def link(listen: Listen, public_url: str | None, token: str) -> str:
    return f"{address(listen, public_url)}/ui/first?token={token}"


def new_link(data_dir: Path, listen: Listen, public_url: str | None) -> str:
    """A one-time link, whether the relay runs or not. Raises OSError, sqlite3.DatabaseError."""
    store = LoginStore(data_dir)
    try:
        token = store.add_link(int(time.time()), LINK_SECONDS)
    finally:
        store.close()
    return link(listen, public_url, token)
