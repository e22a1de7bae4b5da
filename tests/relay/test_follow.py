"""The configuration's files are followed: written, swapped by a link, half-written; and SIGHUP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.config import ConfigError, RelayConfig, load
from relay.config.files import identity
from relay.reload import POLL_SECONDS, Reloader, Watch
from tests.relay.delivery.fakes import FakeClock


def test_a_change_is_said_once_when_it_stays(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text("a")
    watch = Watch({file: identity(file)})
    assert not watch.changed()
    file.write_text("ab")
    assert not watch.changed(), "somebody may be writing"
    file.write_text("abc")
    assert not watch.changed()
    assert watch.changed()
    assert not watch.changed()


def test_a_file_that_appears_and_one_that_goes(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    watch = Watch({file: identity(file)})
    assert not watch.changed()
    file.write_text("x")
    assert [watch.changed() for _ in range(3)] == [False, True, False]
    file.unlink()
    assert [watch.changed() for _ in range(3)] == [False, True, False]


def test_a_mounted_secret_changes_by_a_link_that_leads_elsewhere(tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "token").write_text("same size")
        os.utime(tmp_path / version / "token", ns=(0, 0))
    (tmp_path / "..data").symlink_to("1")
    secret = tmp_path / "token"
    secret.symlink_to("..data/token")
    watch = Watch({secret: identity(secret)})
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").rename(tmp_path / "..data")
    assert [watch.changed() for _ in range(3)] == [False, True, False]


def test_what_was_written_while_it_was_read_is_a_change(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text("listen: 127.0.0.1:1")
    config = load(file, {})
    file.write_text("listen: 127.0.0.1:22")
    watch = Watch(config.files)
    assert [watch.changed() for _ in range(3)] == [False, True, False]


def test_every_file_that_is_named_is_known_also_of_a_bad_configuration(tmp_path: Path) -> None:
    file, secret = tmp_path / "relay.yaml", tmp_path / "missing"
    file.write_text(f"outputs: {{x: {{type: webhook, url_file: {secret}, tls: {{ca_file: /none}}}}}}")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert caught.value.files == {file: identity(file), secret: None, Path("/none"): None}


class Followed:
    """A reloader on a clock of the test's own."""

    def __init__(self, file: Path) -> None:
        self.clock = FakeClock()
        self.taken: list[RelayConfig] = []
        self.refused: list[ConfigError] = []
        self.reloader = Reloader(load(file, {}), self.clock, self._take, self._refuse)

    async def _take(self, config: RelayConfig) -> None:
        self.taken.append(config)

    async def _refuse(self, error: ConfigError) -> None:
        self.refused.append(error)

    async def until(self, taken: int, refused: int = 0) -> None:
        async with asyncio.timeout(30):
            while (len(self.taken), len(self.refused)) != (taken, refused):
                await self.clock.advance(POLL_SECONDS)
                await asyncio.sleep(0.001)  # files are looked at in a thread


@pytest.fixture
async def followed(tmp_path: Path) -> AsyncIterator[Followed]:
    (tmp_path / "secret").write_text("http://127.0.0.1:9/one")
    file = tmp_path / "relay.yaml"
    file.write_text(f"outputs: {{x: {{type: webhook, url_file: {tmp_path / 'secret'}}}}}")
    made = Followed(file)
    await made.reloader.start()
    yield made
    await made.reloader.stop()


async def test_a_secret_that_changes_is_taken(followed: Followed, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("http://127.0.0.1:9/other")
    await followed.until(taken=1)
    assert followed.taken[0].outputs["x"].url.get_secret_value().endswith("/other")  # type: ignore[attr-defined]


async def test_a_bad_file_is_refused_once_and_its_repair_taken(followed: Followed, tmp_path: Path) -> None:
    late = tmp_path / "late"
    (tmp_path / "relay.yaml").write_text(f"outputs: {{y: {{type: webhook, url_file: {late}}}}}")
    await followed.until(taken=0, refused=1)
    for _ in range(5):
        await followed.clock.advance(POLL_SECONDS)
        await asyncio.sleep(0.001)
    assert len(followed.refused) == 1
    late.write_text("http://127.0.0.1:9/late")  # the file itself was right
    await followed.until(taken=1, refused=1)
    assert list(followed.taken[0].outputs) == ["y"]


async def test_what_is_read_at_the_start_only_stays(followed: Followed, tmp_path: Path) -> None:
    text = "listen: 127.0.0.1:1\ndata_dir: other\ndedup_window: 1h\ncustom_fields: {a: b}\n"
    (tmp_path / "relay.yaml").write_text(text)
    followed.reloader.ask()
    await followed.until(taken=1)
    [config] = followed.taken
    assert (config.listen.port, str(config.general.data_dir)) == (2801, "data")
    assert config.general.dedup_window == 172800.0
    assert config.general.custom_fields == {"a": "b"}


def test_sighup_reloads_a_relay_and_does_not_end_it(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text("listen: 127.0.0.1:0\ndata_dir: data\n")
    command = [sys.executable, "-m", "relay.cli", "serve", "-c", str(file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            told = (json.loads(line)["event"] for line in process.stderr if line.startswith("{"))
            assert next(told) == "ready"
            file.write_text("listen: 127.0.0.1:0\ndata_dir: data\nwrong: 1\n")
            process.send_signal(signal.SIGHUP)
            assert next(told).startswith("configuration is refused")
            file.write_text("listen: 127.0.0.1:0\ndata_dir: data\ncustom_fields: {a: b}\n")
            process.send_signal(signal.SIGHUP)
            assert next(told) == "configuration is taken"
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
