"""A relay whose disk is full: a real small tmpfs in a mount namespace of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.relay.process import free_port, ready

ALERT = {"rule": "r", "priority": "Error", "output": "x" * 20_000}


async def test_a_full_disk_is_said_and_gone_when_there_is_room(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = tmp_path / "relay.yaml"
    config.write_text(f"listen: 127.0.0.1:{port}\ndata_dir: disk/data\n")
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        f"mount -t tmpfs -o size=20m none {disk} && head -c 16m /dev/zero > {disk}/ballast && echo mounted"
        f' && exec "$0" -m relay.cli serve -c {config}'
    )
    with (tmp_path / "log").open("ab") as log:
        process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script, sys.executable], stdout=subprocess.PIPE, stderr=log
        )
    assert process.stdout is not None
    if process.stdout.readline() != b"mounted\n":
        pytest.skip("needs a mount namespace: " + (tmp_path / "log").read_text())
    try:
        await ready(url, process)
        good = 0
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:
            for _ in range(400):
                reply = await http.post("/", json=ALERT)
                if reply.status_code != 200:
                    break
                good += 1
            assert reply.status_code == 503
            assert reply.headers["retry-after"] == "5"
            assert "full" in reply.json()["error"]
            assert (await http.get("/readyz")).status_code == 503
            assert (await http.get("/healthz")).status_code == 200
            # Through /proc: the file system is only in the relay's namespace.
            Path(f"/proc/{process.pid}/root{disk}/ballast").unlink()
            assert (await http.get("/readyz")).status_code == 200
            assert (await http.post("/", json=ALERT)).status_code == 200
            metrics = (await http.get("/metrics")).text
            assert f'status="accepted"}} {good + 1}.0' in metrics
            assert 'status="unavailable"} 1.0' in metrics
    finally:
        process.terminate()
        assert process.wait(30) == 0, (tmp_path / "log").read_text()
    said = (tmp_path / "log").read_text()
    assert said.count("alerts cannot be stored") == 1
    assert said.count("alerts can be stored again") == 1
    assert said.count("\n") < 20, said  # a flood of lines would fill the next disk
