"""What is missing is said exactly, with how to give it; and the four capabilities are enough."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sensor.probe.requirements import Facts, check_requirements, gather, problems, wanting
from tests.other_users import skip_unless_others_can_run

ALL = 1 << 39 | 1 << 38 | 1 << 19 | 1 << 2
GOOD = Facts(
    system="linux",
    arch="x86_64",
    release="6.1.0-18-amd64",
    btf=True,
    libbpf=None,
    capabilities=ALL,
    lockdown="none [integrity] confidentiality\n",
    host_pids=True,
    seccomp=False,
    memlock=8 * 1024 * 1024,
    bpf_error=0,
)


def test_a_good_machine_lacks_nothing() -> None:
    assert problems(GOOD) == wanting(GOOD) == []
    assert problems(replace(GOOD, capabilities=1 << 21)) == []  # CAP_SYS_ADMIN holds both
    assert problems(replace(GOOD, release="custom")) == []


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(GOOD, system="darwin"), "this is darwin"),
        (replace(GOOD, arch="riscv64"), "the machine is riscv64"),
        (replace(GOOD, release="5.7.19"), "the kernel is 5.7.19; the sensor needs 5.8 or newer"),
        (replace(GOOD, btf=False), "CONFIG_DEBUG_INFO_BTF=y"),
        (
            replace(GOOD, libbpf="libbpf.so.1 is not installed: apt-get install libbpf1"),
            "apt-get install libbpf1",
        ),
        (replace(GOOD, capabilities=ALL & ~(1 << 39)), "CAP_BPF is missing: run as root, or give it"),
        (replace(GOOD, capabilities=ALL & ~(1 << 38)), "cap_add: [PERFMON]"),
        (replace(GOOD, lockdown="none integrity [confidentiality]"), "boot with lockdown=integrity"),
        (replace(GOOD, host_pids=False), "a container with `pid: host`"),
        (replace(GOOD, seccomp=True, bpf_error=errno.EPERM), "refused by seccomp (EPERM)"),
        (replace(GOOD, bpf_error=errno.ENOSYS), "CONFIG_BPF_SYSCALL=y"),
        (replace(GOOD, bpf_error=errno.EPERM), "only outside user namespaces"),
        (replace(GOOD, release="5.10.0"), "ulimit -l unlimited"),
    ],
)
def test_one_thing_is_missing(facts: Facts, said: str) -> None:
    (problem,) = problems(facts)
    assert said in problem


def test_memlock_counts_only_before_it_was_accounted() -> None:
    old = replace(GOOD, release="5.10.0")
    assert problems(replace(old, memlock=-1)) == []
    assert problems(replace(old, capabilities=ALL | 1 << 24)) == []
    assert problems(replace(GOOD, release="5.11.0")) == []


def test_what_is_merely_wanted() -> None:
    (trace,) = wanting(replace(GOOD, capabilities=ALL & ~(1 << 19)))
    (read,) = wanting(replace(GOOD, capabilities=ALL & ~(1 << 2)))
    assert "CAP_SYS_PTRACE" in trace
    assert "CAP_DAC_READ_SEARCH" in read
    # Without any privilege both kinds are named, and bpf()'s refusal is explained by them alone.
    none = replace(GOOD, capabilities=0, bpf_error=errno.EPERM)
    assert [one.split()[0] for one in problems(none)] == ["CAP_BPF", "CAP_PERFMON"]


def test_this_machine_can_be_asked() -> None:
    facts = gather()
    assert facts.system == sys.platform
    assert problems(facts) == check_requirements()


# Everything is imported while it is still root: the interpreter may lie where only root can read.
_DROPPED = """
import ctypes, os, struct, sys
sys.path.insert(0, sys.argv[1])
import encodings.idna, yaml
import sensor.commands, sensor.rules
from pathlib import Path
bits, libc = int(sys.argv[2]), ctypes.CDLL(None)
libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
low, high = bits & 0xFFFFFFFF, bits >> 32
assert libc.capset(struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", low, low, 0, high, high, 0)) == 0
libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
sys.exit(sensor.commands.run(Path(sys.argv[3]), allow_inactive=True))
"""
RULE = """
- rule: Marked
  desc: the file of this test is read
  condition: evt.type in (open, openat) and fd.name = "{file}"
  output: "%fd.name %proc.name"
  priority: NOTICE
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def sensor(public: Path, capabilities: int) -> subprocess.Popen[bytes]:
    """`sensor run` as nobody with these capabilities, watching this test's children."""
    (public / "rules.yaml").write_text(RULE.format(file=public / "marked"))
    (public / "marked").write_text("x")
    config = public / "sensor.yaml"
    config.write_text(f"rules_files: [rules.yaml]\njson_output: true\nscope: {{pid: {os.getpid()}}}\n")
    root = str(Path(__file__).resolve().parents[3])
    return subprocess.Popen(
        [sys.executable, "-c", _DROPPED, root, str(capabilities), str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(public / "nobody")},
    )


def ran(public: Path, capabilities: int) -> tuple[int, bytes, bytes]:
    """Exit code, alerts and log of a run during which the marked file was read."""
    skip_unless_others_can_run()
    (public / "nobody").mkdir()
    os.chown(public / "nobody", 65534, 65534)
    process = sensor(public, capabilities)
    assert process.stderr is not None
    said = b""
    while line := process.stderr.readline():
        said += line
        if b'"watching"' in line:
            subprocess.run(["/bin/cat", str(public / "marked")], check=True, capture_output=True)
            alert = process.stdout.readline() if process.stdout is not None else b""
            process.send_signal(signal.SIGTERM)
            rest, more = process.communicate(timeout=30)
            return process.returncode, alert + rest, said + more
    return process.wait(), b"", said


@pytest.mark.bpf
def test_exactly_four_capabilities_are_enough(public: Path) -> None:
    code, alerts, said = ran(public, ALL)
    assert code == 0
    assert b"/marked cat" in alerts
    assert b"less is known" not in said


@pytest.mark.bpf
@pytest.mark.parametrize(("bit", "name"), [(39, b"CAP_BPF"), (38, b"CAP_PERFMON")])
def test_without_one_of_two_it_refuses_and_says_which(public: Path, bit: int, name: bytes) -> None:
    code, _, said = ran(public, ALL & ~(1 << bit))
    assert code == 3
    assert name + b" is missing" in said
    assert said.count(b" is missing") == 1


@pytest.mark.bpf
@pytest.mark.parametrize(("bit", "name"), [(19, b"CAP_SYS_PTRACE"), (2, b"CAP_DAC_READ_SEARCH")])
def test_without_one_of_the_others_it_runs_and_says_what_is_lost(public: Path, bit: int, name: bytes) -> None:
    code, alerts, said = ran(public, ALL & ~(1 << bit))
    assert code == 0
    assert b"/marked cat" in alerts
    assert name in said
    assert said.count(b"less is known") == 1
