"""What keeps the relay from starting is one line, and exit code 3; a signal that ends it is 0."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.other_users import skip_unless_others_can_run


@contextmanager
def serving(config: Path, *prefix: str) -> Iterator[subprocess.Popen[str]]:
    command = [*prefix, sys.executable, "-m", "relay.cli", "serve", "-c", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def config_in(directory: Path) -> Path:
    file = directory / "relay.yaml"
    file.write_text("listen: 127.0.0.1:0\ndata_dir: data\n")
    return file


def why_not(process: subprocess.Popen[str]) -> str:
    """The one thing that a relay which cannot start says."""
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3
    [line] = said.splitlines()
    told = json.loads(line)
    assert told["event"] == "cannot start"
    return str(told["why"])


def test_a_second_relay_on_the_same_directory_is_told_who_holds_it(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    with serving(config) as first:
        assert first.stderr is not None
        assert json.loads(first.stderr.readline())["event"] == "ready"
        with serving(config) as second:
            assert f"in use by process {first.pid} " in why_not(second)
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0


def test_a_directory_of_another_user_is_said_with_what_to_do(tmp_path: Path) -> None:
    skip_unless_others_can_run()
    config = config_in(tmp_path)
    (tmp_path / "data").mkdir(mode=0o777)
    (tmp_path / "data").chmod(0o777)
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    without = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--reuid=12345", "--clear-groups")
    with serving(config, *without) as process:
        assert f"chown -R 12345:0 {tmp_path / 'data'}" in why_not(process)
