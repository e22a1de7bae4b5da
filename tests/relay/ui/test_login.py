"""The login: one link, once; a password; sessions that end; and nothing at all without one."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from relay.app import Application
from relay.cli import main
from relay.config import ConfigError, load
from relay.ui import login
from relay.ui.guard import HEADERS, safe_next
from relay.ui.login import TRIES, TRIES_ALL, Tries
from relay.ui.store import LoginStore
from tests.relay.ui.conftest import BASE, ORIGIN, PASSWORD, Clock, browser_of, first_form

CLOSED = [
    "/ui",
    "/ui/",
    "/ui?priority=Critical",
    "/ui/alerts/x",
    "/ui/alerts/x/raw",
    "/ui/refused",
    "/ui/nothing",
]
COOKIE = "outrider"


async def enter(client: httpx.AsyncClient, password: str = PASSWORD, **more: str) -> httpx.Response:
    return await client.post("/ui/login", data={"password": password} | more, headers=ORIGIN)


@pytest.mark.parametrize("path", CLOSED)
async def test_every_page_needs_a_login(stranger: httpx.AsyncClient, path: str) -> None:
    reply = await stranger.get(path)
    assert reply.status_code == 303
    assert reply.headers["location"].startswith("/ui/login?next=%2Fui")


@pytest.mark.parametrize("path", ["/ui/events", "/api", "/api/v1/alerts"])
async def test_what_scripts_ask_for_needs_a_login(stranger: httpx.AsyncClient, path: str) -> None:
    reply = await stranger.get(path)
    assert reply.status_code == 401
    assert "log in first" in reply.json()["error"]


@pytest.mark.parametrize("path", ["/ui/logout", "/ui/refused", "/api/x"])
async def test_a_post_without_a_login_does_nothing(stranger: httpx.AsyncClient, path: str) -> None:
    assert (await stranger.post(path, data={"a": "b"}, headers=ORIGIN)).status_code == 401


async def test_the_link_works_once(stranger: httpx.AsyncClient, link: str) -> None:
    for _ in range(2):  # looking at it, as the preview of a chat does, does not use it up
        page = await stranger.get(link)
        assert page.status_code == 200
        assert "Choose a password" in page.text
    reply = await stranger.post("/ui/first", data=first_form(link), headers=ORIGIN)
    assert reply.status_code == 303
    assert (await stranger.get("/ui")).status_code == 200
    stranger.cookies.clear()
    again = await stranger.post("/ui/first", data=first_form(link, "another one entirely"), headers=ORIGIN)
    assert again.status_code == 403
    assert "used or is too old" in again.text
    assert (await stranger.get(link)).status_code == 403
    assert (await enter(stranger, "another one entirely")).status_code == 401
    assert (await enter(stranger)).status_code == 303


async def test_the_link_expires(stranger: httpx.AsyncClient, link: str, clock: Clock) -> None:
    clock.pass_seconds(login.FIRST_LINK_SECONDS - 1)
    assert (await stranger.get(link)).status_code == 200
    clock.pass_seconds(2)
    assert (await stranger.get(link)).status_code == 403
    reply = await stranger.post("/ui/first", data=first_form(link), headers=ORIGIN)
    assert reply.status_code == 403


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [
        ("short", "short", "12 to 1024"),
        ("x" * 1025, "x" * 1025, "12 to 1024"),
        (PASSWORD, "no", "not the same"),
    ],
)
async def test_a_bad_password_leaves_the_link(
    stranger: httpx.AsyncClient, link: str, password: str, again: str, said: str
) -> None:
    form = first_form(link) | {"password": password, "again": again}
    reply = await stranger.post("/ui/first", data=form, headers=ORIGIN)
    assert reply.status_code == 400
    assert said in reply.text
    assert (await stranger.post("/ui/first", data=first_form(link), headers=ORIGIN)).status_code == 303


async def test_login_goes_on_to_what_was_asked_for(
    stranger: httpx.AsyncClient, person: httpx.AsyncClient
) -> None:
    asked = await stranger.get("/ui/alerts/abc?x=1")
    page = await stranger.get(asked.headers["location"])
    wanted = re.search(r'name="next" value="([^"]*)"', page.text)
    assert wanted
    assert wanted[1] == "/ui/alerts/abc?x=1"
    reply = await enter(stranger, next=wanted[1])
    assert reply.headers["location"] == "/ui/alerts/abc?x=1"


@pytest.mark.parametrize(
    "evil", ["//evil.example", "https://evil.example/ui", "/ui\\..", "/uix", "/ui\r\nX: y", "/", "/ui/\u202e"]
)
def test_next_leads_nowhere_else(evil: str) -> None:
    assert safe_next(evil) == "/ui"


async def test_a_wrong_password_and_no_password_sound_the_same(
    app: Application, stranger: httpx.AsyncClient, link: str
) -> None:
    before = await enter(stranger)
    await stranger.post("/ui/first", data=first_form(link), headers=ORIGIN)
    stranger.cookies.clear()
    after = await enter(stranger, "wrong horse battery")
    assert before.status_code == after.status_code == 401
    assert "That is not the password." in before.text
    assert "That is not the password." in after.text
    assert "set-cookie" not in after.headers


async def test_a_peer_that_guesses_is_slowed_down(
    app: Application, person: httpx.AsyncClient, clock: Clock
) -> None:
    async with browser_of(app, peer="127.0.0.2") as guesser, browser_of(app, peer="127.0.0.3") as other:
        for _ in range(TRIES):
            assert (await enter(guesser, "guess guess guess")).status_code == 401
        reply = await enter(guesser)  # the right one, too late
        assert reply.status_code == 429
        assert 0 < int(reply.headers["Retry-After"]) <= login.TRIES_SECONDS + 1
        assert (await enter(other)).status_code == 303
        clock.pass_seconds(login.TRIES_SECONDS + 1)
        assert (await enter(guesser)).status_code == 303


async def test_many_peers_that_guess_are_slowed_down_together(
    app: Application, person: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login.Login, "_check", lambda self, password, peer: None)
    for number in range(TRIES_ALL):
        async with browser_of(app, peer=f"127.0.1.{number}") as guesser:
            assert (await enter(guesser, "guess guess guess")).status_code == 401
    async with browser_of(app, peer="127.0.2.1") as last:
        assert (await enter(last)).status_code == 429


def test_the_peers_remembered_are_bounded() -> None:
    tries = Tries(1, 60, names=10)
    for number in range(100):
        tries.note(str(number), 0)
    assert tries.wait("99", 1) == 59
    assert tries.wait("0", 1) == 0


async def test_logout_ends_the_session(app: Application, person: httpx.AsyncClient) -> None:
    page = await person.get("/ui")
    token = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert token
    cookie = person.cookies[COOKIE]
    refused = await person.post("/ui/logout", data={"form_token": "forged"}, headers=ORIGIN)
    assert refused.status_code == 403
    assert (await person.get("/ui")).status_code == 200
    reply = await person.post("/ui/logout", data={"form_token": token[1]}, headers=ORIGIN)
    assert reply.status_code == 303
    async with browser_of(app) as thief:
        thief.cookies.set(COOKIE, cookie)
        assert (await thief.get("/ui")).status_code == 303


async def test_a_session_ends_by_itself(person: httpx.AsyncClient, clock: Clock) -> None:
    clock.pass_seconds(login.SESSION_SECONDS - 1)
    assert (await person.get("/ui")).status_code == 200
    clock.pass_seconds(2)
    assert (await person.get("/ui")).status_code == 303


async def test_a_forged_session_is_none(app: Application, person: httpx.AsyncClient) -> None:
    token, _, signature = person.cookies[COOKIE].rpartition(".")
    for forged in ("", "x", f"{token}x.{signature}", f"{token}.{signature[:-2]}AA", token, "é.é", "." * 300):
        async with browser_of(app) as forger:
            reply = await forger.get("/ui", headers={"Cookie": f"{COOKIE}={forged}".encode()})
            assert reply.status_code == 303, forged


async def test_a_new_link_ends_the_old_password_and_every_session(
    app: Application, person: httpx.AsyncClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.ui.login.time.time", lambda: clock.time_ns() / 1e9)
    done = CliRunner().invoke(main, ["login-link", "-c", str(app.relay.config.file)])
    assert done.exit_code == 0, done.output
    new = done.output.strip()
    assert new.startswith(f"{BASE}/ui/first?token=")
    async with browser_of(app) as client:
        form = first_form(new, "an entirely new one")
        assert (await client.post("/ui/first", data=form, headers=ORIGIN)).status_code == 303
        assert (await person.get("/ui")).status_code == 303
        assert (await enter(person)).status_code == 401
        assert (await enter(person, "an entirely new one")).status_code == 303


async def test_the_file_holds_no_secret_and_is_private(
    app: Application, link: str, person: httpx.AsyncClient
) -> None:
    token = link.partition("token=")[2].encode()
    session = person.cookies[COOKIE].split(".")[0].encode()
    files = [path for path in app.relay.config.data_dir.iterdir() if path.name.startswith("login.db")]
    assert files
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        content = path.read_bytes()
        assert token not in content
        assert session not in content
        assert PASSWORD.encode() not in content


async def test_the_cookie(app: Application, link: str) -> None:
    async with browser_of(app) as client:
        reply = await client.post("/ui/first", data=first_form(link), headers=ORIGIN)
    cookie = reply.headers["set-cookie"]
    assert cookie.startswith("outrider=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "login.db").write_bytes(b"not a database, " * 64)
    with pytest.raises(sqlite3.DatabaseError, match=r"login\.db: "):
        LoginStore(tmp_path)


def test_a_link_to_another_file_is_not_followed(tmp_path: Path) -> None:
    """Root would give that file to the owner of the directory."""
    other = tmp_path / "shadow"
    other.touch(0o600)
    (tmp_path / "login.db").symlink_to(other)
    with pytest.raises(OSError, match=r"login\.db"):
        LoginStore(tmp_path)
    assert other.stat().st_size == 0


class TestBehindHttps:
    @pytest.fixture
    def config_text(self) -> str:
        return "listen: 127.0.0.1:2801\npublic_url: https://alerts.example.com\n"

    @pytest.fixture
    async def link(self, app: Application, capsys: pytest.CaptureFixture[str]) -> str:
        found = re.search(r"https://alerts.example.com/ui/first\?token=\S+", capsys.readouterr().out)
        assert found
        return found.group()

    @pytest.mark.parametrize("host", ["alerts.example.com", "127.0.0.1:2801"])
    async def test_the_cookie_is_secure(self, app: Application, link: str, host: str) -> None:
        """Also where the proxy writes its own Host."""
        headers = {"Origin": "https://alerts.example.com", "Host": host}
        async with browser_of(app, "https://alerts.example.com") as client:
            reply = await client.post("/ui/first", data=first_form(link), headers=headers)
            assert reply.status_code == 303
            cookie = reply.headers["set-cookie"]
            assert cookie.startswith("__Host-outrider=")
            assert "Secure" in cookie
            assert "Path=/" in cookie
            assert "Domain" not in cookie
            value = cookie.partition("=")[2].partition(";")[0]
            reply = await client.get("/ui", headers={"Cookie": f"__Host-outrider={value}"})
            assert reply.status_code == 200


FORGED = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://[::1"},
    {"Origin": "http://127.0.0.1:2801@evil.example"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", FORGED)
async def test_a_form_of_another_site_is_refused(
    person: httpx.AsyncClient, stranger: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    reply = await stranger.post("/ui/login", data={"password": PASSWORD}, headers=headers)
    assert reply.status_code == 403
    assert "another site" in reply.text


async def test_forms_are_bounded(stranger: httpx.AsyncClient) -> None:
    reply = await stranger.post("/ui/login", data={"password": "x" * 70_000}, headers=ORIGIN)
    assert reply.status_code == 413

    async def pieces() -> object:
        yield b"password=x"

    reply = await stranger.post("/ui/login", content=pieces(), headers=ORIGIN)
    assert reply.status_code == 411


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "a b", "evil.example:2801", "[::1"]
)
@pytest.mark.parametrize("path", ["/", "/ui", "/ui/login", "/ui/static/ui.css", "/api/x"])
async def test_another_host_is_refused_and_the_setting_named(
    stranger: httpx.AsyncClient, host: str, path: str
) -> None:
    reply = await stranger.get(path, headers={"Host": host})
    assert reply.status_code == 421
    assert "allowed_hosts" in reply.text


@pytest.mark.parametrize("path", ["/ping", "/healthz", "/readyz", "/metrics"])
async def test_machines_may_use_any_host(stranger: httpx.AsyncClient, path: str) -> None:
    assert (await stranger.get(path, headers={"Host": "10.0.0.7:2801"})).status_code == 200


async def test_alerts_come_under_any_host(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.post("/", json={"rule": "r"}, headers={"Host": "relay"})).status_code == 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1:2801", "127.0.0.1", "LOCALHOST:8080", "[::1]:2801", "localhost."]
)
async def test_this_machine_is_known(stranger: httpx.AsyncClient, host: str) -> None:
    assert (await stranger.get("/ui/login", headers={"Host": host})).status_code == 200


class TestAllowedHosts:
    @pytest.fixture
    def config_text(self) -> str:
        return "listen: 0.0.0.0:2801\nallowed_hosts: [relay, 'ops:8443', '2001:db8::1']\n"

    @pytest.mark.parametrize(
        ("host", "status"),
        [
            ("relay:2801", 200),
            ("relay", 200),
            ("ops:8443", 200),
            ("ops:2801", 421),
            ("ops", 421),
            ("[2001:db8::1]:2801", 200),
            ("0.0.0.0:2801", 421),
        ],
    )
    async def test_names_and_ports(self, stranger: httpx.AsyncClient, host: str, status: int) -> None:
        assert (await stranger.get("/ui/login", headers={"Host": host})).status_code == status

    @pytest.mark.parametrize("name", ["https://relay", "relay/ui", "*.example.com", "re lay", ""])
    def test_what_is_no_host_is_an_error(self, tmp_path: Path, name: str) -> None:
        file = tmp_path / "wrong.yaml"
        file.write_text(f"allowed_hosts: ['{name}']\n")
        with pytest.raises(ConfigError, match="is not a host"):
            load(file, {})

    async def test_the_address_that_was_connected_to(self, app: Application) -> None:
        async with browser_of(app, "http://192.0.2.7:2801") as client:
            assert (await client.get("/ui/login")).status_code == 200
            assert (await client.get("/ui/login", headers={"Host": "192.0.2.8"})).status_code == 421


@pytest.mark.parametrize(
    "path", ["/", "/ui", "/ui/login", "/ui/first", "/ui/events", "/ui/static/ui.js", "/ui/static/x", "/api/x"]
)
async def test_every_reply_has_the_headers(stranger: httpx.AsyncClient, path: str) -> None:
    reply = await stranger.get(path)
    for name, value in HEADERS.items():
        assert reply.headers[name] == value
    policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_pages_of_a_person_have_the_headers(person: httpx.AsyncClient) -> None:
    for path in ("/ui", "/ui/refused", "/ui/alerts/none", "/ui/none"):
        reply = await person.get(path)
        assert reply.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
        assert reply.headers["Cache-Control"] == "no-store"


async def test_no_link_is_printed_once_there_is_a_password(
    app: Application, person: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    await app.relay.stop()
    app.relay.workers.clear()
    capsys.readouterr()
    await app.relay.start()
    assert "token=" not in capsys.readouterr().out


def test_a_link_made_by_root_belongs_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    login.new_link(folder, login.Listen("127.0.0.1", 2801), None)
    for path in folder.iterdir():
        assert path.stat().st_uid == 65534, path.name
