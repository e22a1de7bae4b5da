"""Falco's stable rules, unmodified, on real doings of this machine, and on things that only resemble them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.scoped import Sensor, Shell

pytestmark = pytest.mark.bpf

MEMFD = """
import os, sys
fd = os.memfd_create("x")
with open(sys.argv[1], "rb") as program: os.write(fd, program.read())
if os.fork() == 0: os.execve(f"/proc/self/fd/{fd}", ["true"], {})
os.wait()
"""
TRACE_ME = """
import ctypes, os
if os.fork() == 0:
    ctypes.CDLL(None).ptrace(int(os.environ["REQUEST"]), 0, 0, 0)
    os._exit(0)
os.wait()
"""
ATTACH = """
import ctypes, os, signal, time
child = os.fork()
if child == 0:
    signal.pause()
ctypes.CDLL(None).ptrace(int(os.environ["REQUEST"]), child, 0, 0)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
"""


RUN = "import subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)"


@dataclass(frozen=True, slots=True)
class Case:
    """`act` fires the rule, `lookalike` does not. `{dir}` is a directory of the test's."""

    rule: str
    act: str
    lookalike: str
    fields: dict[str, object]


CASES = [
    Case(
        "Read sensitive file untrusted",
        "cat /etc/shadow >/dev/null",
        "cat /etc/passwd >/dev/null; test -r /etc/shadow; ls -l /etc/shadow >/dev/null",
        {
            "fd.name": "/etc/shadow",
            "proc.name": "cat",
            "proc.cmdline": "cat /etc/shadow",
            "user.name": "root",
        },
    ),
    Case(
        "Directory traversal monitored file read",
        # A shell's child may do this: here the shell's grandchild does.
        "{python} {dir}/run.py cat {dir}/../../../../../../../../etc/passwd",
        "{python} {dir}/run.py cat /etc/passwd {dir}/../{name}/notes; cat {dir}/../../../../../etc/passwd",
        {"fd.name": "/etc/passwd", "proc.pname": "{python_name}"},
    ),
    Case(
        "Create Symlink Over Sensitive Files",
        "ln -s /etc/shadow {dir}/soft",
        "ln -s /etc/hostname {dir}/soft2; ln -s shadow {dir}/soft3",
        {"evt.arg.target": "/etc/shadow", "evt.arg.linkpath": "{dir}/soft"},
    ),
    Case(
        "Create Hardlink Over Sensitive Files",
        '{python} -c \'import os; os.link("/etc/shadow", "{dir}/none/hard")\'',
        "ln {dir}/notes {dir}/hard",
        {"evt.arg.oldpath": "/etc/shadow"},
    ),
    Case(
        "Clear Log Activities",
        ": > {dir}/syslog",
        ": >> {dir}/syslog; : > {dir}/notes; cat {dir}/syslog",
        {"fd.name": "{dir}/syslog", "proc.name": "bash"},
    ),
    Case(
        "Remove Bulk Data from Disk",
        "shred --version",
        "rm -f {dir}/none",
        {"proc.name": "shred"},
    ),
    Case(
        "Search Private Keys or Passwords",
        "grep -r 'BEGIN RSA PRIVATE' {dir}",
        "grep -r 'BEGIN PUBLIC' {dir}; echo BEGIN RSA PRIVATE",
        {"proc.name": "grep"},
    ),
    Case(
        "Find AWS Credentials",
        "find {dir} -path .aws/credentials",
        "find {dir} -path .aws/config",
        {"proc.name": "find", "proc.cwd": "{dir}/"},
    ),
    Case(
        "Execution from /dev/shm",
        "{shm}/tool",
        "{dir}/tool; cat {shm}/tool >/dev/null",
        {"proc.exepath": "{shm}/tool", "proc.pname": "bash"},
    ),
    Case(
        "Fileless execution via memfd_create",
        "{python} {dir}/memfd.py {dir}/tool",
        "{python} -c 'import os; os.memfd_create(\"x\")'; {dir}/tool",
        {"proc.pname": "{python_name}"},
    ),
    Case(
        "PTRACE anti-debug attempt",
        "REQUEST=0 {python} {dir}/trace_me.py",
        "REQUEST=3 {python} {dir}/trace_me.py",
        {"proc.name": "{python_name}"},
    ),
    Case(
        "PTRACE attached to process",
        "REQUEST=16 {python} {dir}/attach.py",
        "REQUEST=2 {python} {dir}/attach.py",
        {"proc.name": "{python_name}"},
    ),
    Case(
        "Run shell untrusted",
        "{dir}/nginx -c 'sh -c true; true'",
        "{dir}/tool; sh -c true",
        {"proc.name": "sh", "proc.pname": "nginx"},
    ),
    Case(
        "System user interactive",
        "{dir}/sshd -c 'setpriv --reuid=daemon --regid=daemon --clear-groups /usr/bin/id; true'",
        "setpriv --reuid=daemon --regid=daemon --clear-groups /usr/bin/id; {dir}/sshd -c 'id; true'",
        {"user.name": "daemon", "proc.name": "id"},
    ),
]


@dataclass(frozen=True, slots=True)
class Stage:
    sensor: Sensor
    shell: Shell
    words: dict[str, str]

    def fill(self, text: str) -> str:
        for name, value in self.words.items():
            text = text.replace(f"{{{name}}}", value)
        return text


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("stage")
    directory.chmod(0o755)
    shm = Path(f"/dev/shm/outrider-test-{os.getpid()}")
    shm.mkdir()
    (directory / "notes").write_text("nothing\n")
    for name, text in (("memfd", MEMFD), ("trace_me", TRACE_ME), ("attach", ATTACH), ("run", RUN)):
        (directory / f"{name}.py").write_text(text)
    for place in (directory / "tool", shm / "tool"):
        shutil.copy("/bin/true", place)
    for name in ("nginx", "sshd"):
        shutil.copy("/bin/bash", directory / name)
    python = os.path.realpath(sys.executable)
    shell = Shell(directory)
    words = {
        "dir": str(directory),
        "name": directory.name,
        "shm": str(shm),
        "python": python,
        "python_name": Path(python).name[:15],
    }
    try:
        with Sensor(directory, shell.pid) as sensor:
            yield Stage(sensor, shell, words)
    finally:
        shell.close()
        shutil.rmtree(shm)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_fires_for_the_deed_alone(stage: Stage, case: Case) -> None:
    """The sentinel after the look-alike tells that the look-alike was judged, and found harmless."""
    stage.shell.run(stage.fill(case.lookalike))
    stage.shell.run("cat /etc/shadow >/dev/null")
    before = stage.sensor.until("Read sensitive file untrusted")
    assert [alert["rule"] for alert in before] == ["Read sensitive file untrusted"]

    stage.shell.run(stage.fill(case.act))
    alert = stage.sensor.until(case.rule)[-1]
    for field, value in case.fields.items():
        wanted = stage.fill(value) if isinstance(value, str) else value
        assert alert["output_fields"].get(field, "not in the alert") == wanted
    assert alert["source"] == "syscall"
    assert alert["output"].split(" ", 2)[1] == alert["priority"]


def test_only_the_scope_is_watched(stage: Stage) -> None:
    """What this process does, which is not below the shell, is nobody's business."""
    Path("/etc/shadow").read_bytes()
    stage.shell.run("cat /etc/shadow >/dev/null")
    (alert,) = stage.sensor.until("Read sensitive file untrusted")
    assert alert["output_fields"]["proc.name"] == "cat"
