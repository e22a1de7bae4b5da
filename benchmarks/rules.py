"""Microseconds an event that the stable rules take: `python -m benchmarks.rules`.

The events are made by hand, as the probe would hand them over: what a quiet host and a busy container do, and
one of each thing that a rule speaks of. Each figure is the best of several rounds, so that a busy machine
counts less; the first round warms the caches of names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from benchmarks.table import table
from sensor.assembly import recorded_host
from sensor.config import SensorConfig
from sensor.event import Ancestor, Event, Exec, File, Socket, Task
from sensor.rules import Engine, load_rules

RULES = Path(__file__).parents[1] / "config" / "rules" / "falco_rules.yaml"
NOW = 1_795_440_789_679_463_601
CONTAINER = "/system.slice/docker-" + "3ad7b26ded6d" * 5 + "8e7b.scope"

_TASK = Task(
    pid=100,
    tid=100,
    start_ns=1_000_000_007,
    comm="worker",
    uid=1000,
    gid=1000,
    loginuid=-1,
    pgid=100,
    sid=50,
    session_comm="bash",
    tty=0,
    vpid=100,
    vtid=100,
    vpgid=100,
    cap_effective=0,
    cap_permitted=0,
    cap_inheritable=0,
    mnt_ns=1,
    pid_ns=2,
    cgroup_id=3,
    cgroup="/user.slice/session-1.scope",
    ancestors=(
        Ancestor(50, 500_000_007, "bash"),
        Ancestor(40, 400_000_007, "sshd"),
        Ancestor(1, 7, "systemd"),
    ),
    ancestors_cut=False,
)


def _task(comm: str, **changes: Any) -> Task:
    return replace(_TASK, comm=comm, **changes)


def _open(path: str, comm: str = "worker", flags: int = 1, **changes: Any) -> Event:
    detail = File(3, path, path, path, flags, 0, 8, 9)
    return Event("openat", NOW, 1, 0, _task(comm, **changes), 3, detail)


def _exec(*argv: str, **changes: Any) -> Event:
    comm = argv[0].rpartition("/")[2]
    detail = Exec(argv, (), argv[0], f"/usr/bin/{comm}", "/root", False, False, False, False, 7, 8, 9)
    return Event("execve", NOW, 1, 0, _task(comm, **changes), 0, detail)


def _connect(address: str, port: int, comm: str = "worker", **changes: Any) -> Event:
    detail = Socket(3, 2, 6, ("10.0.0.5", 40_000), (address, port), None, False)
    return Event("connect", NOW, 1, 0, _task(comm, **changes), 0, detail)


def _plain(type_: str, **params: Any) -> Event:
    return Event(type_, NOW, 1, 0, _TASK, 0, None, params)


STREAMS: dict[str, list[Event]] = {
    "open, uninteresting": [_open(f"/usr/lib/x86_64-linux-gnu/lib{number}.so.6") for number in range(8)],
    "open for writing": [_open(f"/var/lib/app/{number}.tmp", flags=0x106) for number in range(8)],
    "open /etc/shadow by a trusted program": [_open("/etc/shadow", "sshd"), _open("/etc/pam.d/su", "su")],
    "open /etc/shadow by cat": [_open("/etc/shadow", "cat")],
    "exec, uninteresting": [_exec("ls", "-l"), _exec("make", "all"), _exec("gcc", "-c", "a.c", "-o", "a.o")],
    "exec of a shell": [_exec("sh", "-c", "true"), _exec("bash")],
    "exec of a shell in a container": [_exec("bash", cgroup=CONTAINER, tty=34816)],
    "exec of find": [_exec("find", "/", "-name", "*.txt")],
    "connect": [_connect("93.184.216.34", 443), _connect("10.0.0.9", 5432), _connect("127.0.0.1", 80)],
    "ptrace, symlink, link": [
        _plain("ptrace", request=7),
        _plain("symlink", target="/tmp/a", linkpath="/tmp/b"),
        _plain("link", oldpath="/srv/a", newpath="/srv/b"),
    ],
}


def measure(match: Callable[[Event], object], events: Sequence[Event], seconds: float) -> float:
    """Microseconds an event, the best of the rounds that fit into the time."""
    events = list(events) * max(1, 2000 // len(events))
    best = float("inf")
    end = time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        for event in events:
            match(event)
        best = min(best, time.perf_counter() - start)
    return best / len(events) * 1e6


@click.command()
@click.option("--rules", type=click.Path(exists=True, path_type=Path), default=RULES, show_default=True)
@click.option("--seconds", default=1.0, show_default=True, help="for each line")
def main(rules: Path, seconds: float) -> None:
    """Print what judging one event costs, for each kind of event and for all of them together."""
    host = recorded_host(0)
    config = SensorConfig(rules_files=[rules])
    start = time.perf_counter()
    rule_set = load_rules(config, host.fields)
    loaded = time.perf_counter()
    engine = Engine(rule_set, host.fields)
    built = time.perf_counter()
    mixed = [event for events in STREAMS.values() for event in events]
    for event in mixed:
        host.table.observe(event)
    rows = []
    for name, events in {**STREAMS, "all of these, mixed": mixed}.items():
        hits = sum(bool(engine.match(event)) for event in events)
        rows.append((name, f"{hits}/{len(events)}", f"{measure(engine.match, events, seconds):.2f}"))
    click.echo(f"{len(rule_set.live)} rules live, {len(rule_set.left_out)} left out")
    click.echo(f"loaded in {(loaded - start) * 1e3:.0f} ms, compiled in {(built - loaded) * 1e3:.0f} ms\n")
    click.echo(table(["events", "that match", "µs an event"], rows))


if __name__ == "__main__":
    main()
