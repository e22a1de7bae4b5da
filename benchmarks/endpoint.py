"""Any relay that speaks the protocol, flat out and at fixed rates; of several outputs one hangs.

usage: python -m benchmarks.endpoint [--start COMMAND --address HOST:PORT [--pid PID]] [--outputs 1,4,16]

Without --start it is this relay, on a new journal. COMMAND is split as a shell would, and run on the measured
core, anew for each row. In it `{urls}` stands for the addresses that take the alerts, with commas between,
`{url}` for the first of them, `{hanging}` for one that accepts and never answers (nothing with one output),
and `{port}` for the port of --address. Alerts go to `/`; their `uuid` and `output_fields` have to arrive as
they were sent. SIGTERM ends it. --pid: watch this process instead of the one that was started.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.relay import CONNECTIONS, MEASURED, free_port, load, resident, sink, stats, wait_for
from benchmarks.soak import hanging
from benchmarks.table import table

DRAINED_WAIT = 10.0
"""Seconds without an arrival, after which what has not come counts as lost."""
SAMPLE = 0.25
RATES = (500, 2000)
COMMITS_MS = (0, 5, 20)


@dataclass(frozen=True)
class Endpoint:
    """How to start what is measured; `start` empty: this relay."""

    start: str
    address: str
    pid: int


@dataclass
class Memory:
    """Resident MB of a process over time, sampled by a thread of its own."""

    pid: int
    samples: list[float] = field(default_factory=list)

    @contextmanager
    def watched(self) -> Iterator[None]:
        over = threading.Event()

        def sample() -> None:
            with contextlib.suppress(OSError, IndexError):  # it ended: the load says so
                while not over.wait(SAMPLE):
                    self.samples.append(resident(self.pid))

        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def __str__(self) -> str:
        """At the start, the quarters and the end."""
        last = len(self.samples) - 1
        return " ".join(f"{self.samples[last * at // 4]:.0f}" for at in range(5)) if self.samples else ""


@contextmanager
def started(
    endpoint: Endpoint, good: Sequence[str], bad: str | None, under: Sequence[str] = ()
) -> Iterator[tuple[int, int]]:
    """Yields its port and the process to watch; `under` is put before its command."""
    with tempfile.TemporaryDirectory(prefix="outrider-bench-") as folder:
        port = int(endpoint.address.rpartition(":")[2]) if endpoint.start else free_port()
        if endpoint.start:
            named = {"{urls}": ",".join(good), "{url}": good[0], "{hanging}": bad or "", "{port}": str(port)}
            words = [_filled(word, named) for word in shlex.split(endpoint.start)]
        else:
            words = _this_relay(Path(folder), port, good, bad)
        child = subprocess.Popen(
            ["taskset", "-c", MEASURED, *under, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/ping")
            yield port, endpoint.pid or child.pid
        finally:
            # The group: strace alone would leave what it runs.
            os.killpg(child.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _filled(word: str, named: dict[str, str]) -> str:
    for name, value in named.items():
        word = word.replace(name, value)
    return word


def _this_relay(folder: Path, port: int, good: Sequence[str], bad: str | None) -> list[str]:
    urls = {f"hook-{number}": url for number, url in enumerate(good)} | ({"hangs": bad} if bad else {})
    outputs = {name: {"type": "webhook", "url": url} for name, url in urls.items()}
    settings = {"listen": f"127.0.0.1:{port}", "data_dir": str(folder / "data"), "outputs": outputs}
    config = folder / "relay.yaml"
    config.write_text(json.dumps(settings))
    return [sys.executable, "-m", "relay.cli", "serve", "-c", str(config)]


def arrived(url: str, expected: int) -> dict[str, Any]:
    """The sink's figures once all is there, or nothing more comes."""
    total: dict[str, Any] = {"count": 0, "unique": 0, "first": 0.0, "last": 0.0, "ms": {}}
    newest = time.monotonic()
    while total["unique"] < expected and time.monotonic() - newest < DRAINED_WAIT:
        now = stats(url)
        if now["count"]:
            newest = time.monotonic()
            total["count"] += now["count"]
            total["unique"] += now["unique"]
            total["first"] = total["first"] or now["first"]
            total["last"] = now["last"]
            # At a fixed rate all comes with the first look; flat out the wait grows and is not shown.
            total["ms"] = total["ms"] or now["ms"]
        time.sleep(0.2)
    return total


def measure(endpoint: Endpoint, outputs: int, rate: int, seconds: float) -> tuple[str, ...]:
    """A row: `outputs` of which one hangs, if there are several; `rate` 0 is flat out."""
    with sink() as url, hanging() as bad:
        good = [f"{url}/{number}" for number in range(max(1, outputs - 1))]
        with started(endpoint, good, bad if outputs > 1 else None) as (port, pid):
            warm = load(port, 1, "--rate", "100")["sent"]
            arrived(url, warm * len(good))
            memory = Memory(pid)
            with memory.watched():
                begun = time.time()
                more = ("--rate", str(rate)) if rate else ("--connections", str(CONNECTIONS))
                result = load(port, seconds, *more)
                there = arrived(url, result["sent"] * len(good))
    took = max(there["last"] - begun, 0.001)
    ms = there["ms"] if rate else {}
    return (
        f"{outputs} output{'s' * (outputs > 1)}, {f'{rate}/s' if rate else 'flat out'}",
        f"{result['answered'] / result['seconds']:,.0f}",
        f"{there['unique'] / len(good) / took:,.0f}",
        f"{took:.1f}",
        " / ".join(f"{ms[name]:.1f}" for name in ("p50", "p99", "p100")) if ms else "",
        str(result["sent"] * len(good) - there["unique"]),
        str(there["count"] - there["unique"]),
        str(memory),
    )


def measure_serial(endpoint: Endpoint, milliseconds: int, seconds: float) -> tuple[str, str]:
    """One sender that waits for each reply, as Falco does; strace makes each fsync longer."""
    delay = f"inject=fsync,fdatasync:delay_exit={milliseconds * 1000}"
    strace = ["strace", "-f", "-I", "1", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]
    if milliseconds:
        strace += ["-e", delay]
    with sink() as url, started(endpoint, [f"{url}/0"], None, strace) as (port, _):
        load(port, 1, "--connections", "1")
        result = load(port, seconds, "--connections", "1")
    return f"fsync longer by {milliseconds} ms", f"{result['answered'] / result['seconds']:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--start", default="", help="command of another relay")
    parser.add_argument("--address", default="", help="where that relay listens, HOST:PORT on loopback")
    parser.add_argument("--pid", type=int, default=0, help="process whose memory is watched")
    parser.add_argument("--outputs", default="1,4,16")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    options = parser.parse_args()
    if options.start and not options.address:
        parser.error("--start needs --address")
    endpoint = Endpoint(options.start, options.address, options.pid)

    counts = [int(word) for word in options.outputs.split(",")]
    rows = [measure(endpoint, count, rate, options.seconds) for rate in (0, *RATES) for count in counts]
    head = ("one core", "answered/s", "delivered/s each", "all there, s", "p50 / p99 / max ms")
    print(table((*head, "lost", "twice", "MB over time"), rows))
    if shutil.which("strace"):
        serial = [measure_serial(endpoint, late, options.seconds) for late in COMMITS_MS]
        print("\n" + table(("one serial sender", "answered/s"), serial))
    else:
        print("\none serial sender with slow commits: not measured, strace is missing")


if __name__ == "__main__":
    main()
