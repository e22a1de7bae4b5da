"""`docker compose up` as users run it: order, privileges, alerts on their way, ends, crashes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.stack import Stack, alertmanager, eventually, run, why_not

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(1200)]

SHADOW = "Read sensitive file untrusted"
CAPABILITIES = {"DAC_READ_SEARCH": 2, "SYS_PTRACE": 19, "PERFMON": 38, "BPF": 39}
"""linux/capability.h"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if problem := why_not():
        pytest.skip(problem)
    directory = tmp_path_factory.mktemp("deploy")
    directory.chmod(0o755)
    one = Stack(directory)
    one.configure()
    try:
        one.up()
        yield one
    finally:
        print(one.compose("logs", "--no-color", "relay", "sensor"))
        one.remove()


def in_image(stack: Stack, script: str) -> str:
    return run(["docker", "run", "--rm", "--network", "none", stack.image, "sh", "-c", script])


def status_of(stack: Stack, service: str) -> dict[str, str]:
    """/proc/PID/status of the service's main process."""
    pid = stack.inspect(service)["State"]["Pid"]
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def read_shadow() -> str:
    """Do it on this machine. Returns what marks the alert as ours."""
    mark = f"/nonexistent/{uuid.uuid4().hex}"
    subprocess.run(["cat", "/etc/shadow", mark], capture_output=True, check=False)
    return mark


def post(stack: Stack, client: httpx.Client) -> str:
    """Post one alert. Returns its uuid once the relay said 200; raises httpx.HTTPError before."""
    alert = {"uuid": str(uuid.uuid4()), "rule": "Test of deployment", "priority": "Notice", "output": "x"}
    client.post(f"{stack.url('relay')}/", json=alert).raise_for_status()
    return alert["uuid"]


def delivered(stack: Stack, wanted: set[str]) -> bool:
    return wanted <= {one["alert"].get("uuid") for one in stack.received()}


def test_the_image_has_what_it_needs_and_no_more(
    stack: Stack, record_property: Callable[[str, object], None]
) -> None:
    tools = "for one in gcc cc clang make git pip pip3; do command -v $one && exit 1; done; true"
    in_image(stack, tools)
    stray = "find /src /wheels /opt/build /opt/outrider -name tests -o -name test_*.py 2>/dev/null; true"
    assert "outrider/lib" not in "".join(
        line for line in in_image(stack, stray).splitlines() if re.search(r"/(relay|sensor|condition)/", line)
    )
    [image] = json.loads(run(["docker", "image", "inspect", stack.image]))
    assert image["Config"]["User"] == "outrider"
    record_property("image_bytes", image["Size"])
    assert "Usage" in in_image(stack, "relay --help && sensor --help && relay check")


def test_the_sensor_waited_for_a_healthy_relay(stack: Stack) -> None:
    events = stack.events("start", "health_status")
    assert events.index(("relay", "health_status: healthy")) < events.index(("sensor", "start"))
    assert ("sensor", "health_status: healthy") in events


def test_the_relay_may_nothing(stack: Stack) -> None:
    status, found = status_of(stack, "relay"), stack.inspect("relay")
    assert status["Uid"].split() == ["10001"] * 4
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert found["HostConfig"]["ReadonlyRootfs"] is True
    published = [one for ports in found["NetworkSettings"]["Ports"].values() for one in ports or []]
    assert {one["HostIp"] for one in published} == {"127.0.0.1"}


def test_the_sensor_may_four_things(stack: Stack) -> None:
    status, found = status_of(stack, "sensor"), stack.inspect("sensor")
    four = sum(1 << number for number in CAPABILITIES.values())
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == four
    assert status["NoNewPrivs"] == "1"
    host = found["HostConfig"]
    assert not host["Privileged"]
    assert host["ReadonlyRootfs"] is True
    assert (host["PidMode"], host["CgroupnsMode"]) == ("host", "host")
    assert not any(found["NetworkSettings"]["Ports"].values())


def test_the_sensor_reaches_the_relay_only(stack: Stack) -> None:
    connect = "import socket; socket.create_connection(('relay', 2801), timeout=3)"
    stack.compose("exec", "-T", "sensor", "python3", "-c", connect)

    def ways_out(service: str) -> list[str]:
        routes = Path(f"/proc/{stack.inspect(service)['State']['Pid']}/net/route").read_text()
        return [line for line in routes.splitlines() if line.split()[1] == "00000000"]

    assert not ways_out("sensor")
    assert ways_out("relay")


def test_the_log_has_a_link_that_opens_the_dashboard(stack: Stack) -> None:
    log = stack.compose("logs", "--no-color", "relay")
    [token] = set(re.findall(r"http://127\.0\.0\.1:2801/ui/first\?token=([\w-]+)", log))
    password = uuid.uuid4().hex
    with httpx.Client(base_url=stack.url("relay"), follow_redirects=True) as browser:
        assert browser.get("/ui").url.path == "/ui/login"
        form = {"token": token, "password": password, "again": password}
        page = browser.post("/ui/first", data=form)
        assert (page.status_code, page.url.path) == (200, "/ui")
        assert "hook" in page.text


def test_a_sensitive_file_read_on_the_host_arrives(
    stack: Stack, record_property: Callable[[str, object], None]
) -> None:
    mark = read_shadow()
    found = stack.alert_with(mark, SHADOW)
    alert = found["alert"]
    assert alert["priority"] == "Warning"
    assert alert["hostname"] == socket.gethostname()
    assert alert["output_fields"]["fd.name"] == "/etc/shadow"
    assert alert["output_fields"]["container.id"] == "host"
    assert alert["output_fields"]["user.name"] == "root"
    record_property("ms_from_event_to_webhook", (found["at_ns"] - alert["output_fields"]["evt.time"]) / 1e6)


@pytest.mark.skipif(alertmanager() is None, reason="there is no Alertmanager on this machine")
def test_it_is_at_alertmanager_too(stack: Stack) -> None:
    mark = read_shadow()

    def look() -> list[dict[str, Any]]:
        alerts = httpx.get(f"{stack.url('alertmanager')}/api/v2/alerts").raise_for_status().json()
        return [one for one in alerts if mark in json.dumps(one["annotations"])]

    [alert] = eventually(look, "the alert at Alertmanager")
    assert alert["labels"]["rule"] == SHADOW


def test_a_shell_in_a_container_arrives(stack: Stack) -> None:
    mark = uuid.uuid4().hex
    container = stack.inspect("sink")["Id"]
    ours, theirs = pty.openpty()  # docker gives a terminal only to a terminal
    try:
        subprocess.run(
            ["docker", "exec", "-it", container, "sh", "-c", f": {mark}; cat /etc/hostname"],
            stdin=theirs, stdout=theirs, stderr=theirs, check=True, timeout=60,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    alert = stack.alert_with(mark, "Terminal shell in container")["alert"]
    assert alert["output_fields"]["container.id"] == container[:12]


def test_a_crash_of_the_relay_loses_nothing(stack: Stack) -> None:
    """kill -9 while alerts are posted and the webhook hangs; Docker starts the relay again.

    What was answered 200 is owed to the webhook by the journal alone. The sensor's alert of then comes too.
    """
    answered: set[str] = set()
    enough, over = threading.Event(), threading.Event()

    def keep_posting() -> None:
        with httpx.Client() as client:
            while not over.is_set():
                try:
                    answered.add(post(stack, client))
                except httpx.HTTPError:
                    over.wait(0.1)
                if len(answered) > 50:
                    enough.set()

    stack.compose("pause", "sink")
    poster = threading.Thread(target=keep_posting)
    poster.start()
    try:
        assert enough.wait(60)
        before = stack.inspect("relay")
        os.kill(before["State"]["Pid"], signal.SIGKILL)
        mark = read_shadow()
        eventually(
            lambda: stack.inspect("relay")["State"].get("Health", {}).get("Status") == "healthy",
            "a healthy relay after the crash",
        )
    finally:
        over.set()
        poster.join()
        stack.compose("unpause", "sink")
    assert stack.inspect("relay")["RestartCount"] == before["RestartCount"] + 1
    eventually(lambda: delivered(stack, answered), "every alert that was answered 200, at the webhook")
    stack.alert_with(mark, SHADOW)


def test_the_journal_outlives_its_container(stack: Stack) -> None:
    with httpx.Client() as client:
        mine = post(stack, client)
    eventually(lambda: delivered(stack, {mine}), "the alert at the webhook")
    before = stack.inspect("relay")["Id"]
    stack.compose("down")
    stack.up()
    assert stack.inspect("relay")["Id"] != before
    count = (
        "import sqlite3; db = sqlite3.connect('file:/var/lib/outrider/journal.db?mode=ro', uri=True); "
        f"print(db.execute('SELECT count(*) FROM alert WHERE id = ?', ('{mine}',)).fetchone()[0])"
    )
    assert stack.compose("exec", "-T", "relay", "python3", "-c", count).strip() == "1"
    with httpx.Client() as client:
        later = post(stack, client)
    eventually(lambda: delivered(stack, {later}), "an alert after the restart, at the new webhook")
    assert not delivered(stack, {mine})  # once was enough


def test_stop_ends_both_with_zero(stack: Stack) -> None:
    stack.compose("stop")
    for service in ("relay", "sensor"):
        state = stack.inspect(service)["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", 0), service
    stack.up()
