"""What the relay does with one core, beside what would be possible. usage: python -m benchmarks.relay

Two cores are needed: one for what is measured, one for load and sink. Everything runs on loopback, ends by
itself, and leaves nothing behind. Times of different machines do not compare; the ratios do.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import httpx

from benchmarks.table import table

MEASURED, OTHERS = "0", "1"
CONNECTIONS = 32


class Rate(NamedTuple):
    per_second: float
    cpu: float  # microseconds of the measured process for one alert


def command(core: str, *args: str) -> list[str]:
    return ["taskset", "-c", core, sys.executable, "-m", *args]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(core: str, *args: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(command(core, *args), text=True, **options)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_for(url: str) -> None:
    for _ in range(200):
        try:
            httpx.get(url, timeout=1)
        except httpx.HTTPError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nothing answers at {url}")


def load(port: int, seconds: float, *more: str) -> dict[str, Any]:
    args = ("benchmarks.load", f"127.0.0.1:{port}", "--seconds", str(seconds), *more)
    said = subprocess.run(command(OTHERS, *args), check=True, capture_output=True, text=True).stdout
    result: dict[str, Any] = json.loads(said)
    if result["other"]:
        raise SystemExit(f"load: {result['other']} replies were not 200")
    return result


@contextmanager
def sink() -> Iterator[str]:
    with process(OTHERS, "benchmarks.sink", stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        yield f"http://127.0.0.1:{int(child.stdout.readline())}"


@contextmanager
def relay(outputs: dict[str, str]) -> Iterator[tuple[int, int]]:
    """A relay on a new journal; yields its port and process id."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="outrider-bench-") as folder:
        named = {name: {"type": "webhook", "url": url} for name, url in outputs.items()}
        config = Path(folder, "relay.yaml")
        config.write_text(
            json.dumps(
                {"listen": f"127.0.0.1:{port}", "data_dir": str(Path(folder, "data")), "outputs": named}
            )
        )
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with process(MEASURED, "relay.cli", "serve", "-c", str(config), **quiet) as child:
            wait_for(f"http://127.0.0.1:{port}/ping")
            yield port, child.pid


def resident(pid: int) -> float:
    """MB (10^6 bytes) of memory that the process holds now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu(pid: int) -> float:
    """Seconds of CPU that the process has used, system calls included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def paced(port: int, pid: int, seconds: float, *more: str) -> Rate:
    """After a second to warm up. Rate times CPU below one core: something else limits the rate."""
    load(port, 1, *more)
    before = cpu(pid)
    result = load(port, seconds, *more)
    used = cpu(pid) - before
    return Rate(result["answered"] / result["seconds"], used / result["sent"] * 1e6)


def stats(url: str) -> dict[str, Any]:
    result: dict[str, Any] = httpx.get(f"{url}/stats").json()
    return result


def drained(url: str, expected: int) -> dict[str, Any]:
    """The sink's figures, once all is there or nothing more comes."""
    total: dict[str, Any] = {"count": 0, "unique": 0, "first": 0.0, "last": 0.0}
    while total["unique"] < expected:
        time.sleep(1)
        now = stats(url)
        if not now["count"]:
            break
        total["count"] += now["count"]
        total["unique"] += now["unique"]
        total["first"] = total["first"] or now["first"]
        total["last"] = now["last"]
    return total


def measure_bare(seconds: float) -> Rate:
    port = free_port()
    with process(MEASURED, "benchmarks.bare", str(port)) as child:
        wait_for(f"http://127.0.0.1:{port}/")
        return paced(port, child.pid, seconds, "--connections", str(CONNECTIONS))


def measure_ingest(seconds: float, *more: str) -> Rate:
    with relay({}) as (port, pid):
        return paced(port, pid, seconds, *more)


def measure_sqlite(seconds: float) -> float:
    said = subprocess.run(
        command(MEASURED, "benchmarks.commits", str(seconds)), check=True, capture_output=True, text=True
    ).stdout
    return float(said)


def measure_client(seconds: float) -> float:
    with sink() as url:
        args = ("benchmarks.client", f"{url}/hook", str(seconds), str(CONNECTIONS))
        said = subprocess.run(command(MEASURED, *args), check=True, capture_output=True, text=True).stdout
    result = json.loads(said)
    return float(result["delivered"] / result["seconds"])


def measure_delivery(seconds: float) -> dict[str, float]:
    """As much as one webhook takes while alerts are posted without a pause, until all has arrived."""
    with sink() as url, relay({"hook": f"{url}/hook"}) as (port, pid):
        idle = resident(pid)
        result = load(port, seconds, "--connections", str(CONNECTIONS))
        loaded = resident(pid)
        during = stats(url)
        rest = drained(url, result["sent"] - during["unique"])
        arrived = during["unique"] + rest["unique"]
        last = rest["last"] or during["last"]
        return {
            "answered": result["answered"] / result["seconds"],
            "delivered": arrived / (last - during["first"]),
            "missing": result["sent"] - arrived,
            "twice": during["count"] + rest["count"] - arrived,
            "idle": idle,
            "loaded": loaded,
            "after": resident(pid),
        }


def measure_latency(seconds: float, rate: int) -> dict[str, float]:
    with sink() as url, relay({"hook": f"{url}/hook"}) as (port, _):
        load(port, 1, "--rate", str(rate))
        time.sleep(0.5)
        stats(url)
        load(port, seconds, "--rate", str(rate))
        time.sleep(0.5)
        figures: dict[str, float] = stats(url)["ms"]
        return figures


def measure_many(seconds: float) -> float:
    with sink() as url, relay({f"hook-{n}": f"{url}/hook" for n in range(16)}) as (port, pid):
        load(port, seconds, "--rate", "200")
        return resident(pid)


def round_(seconds: float) -> dict[str, float]:
    """Everything once, each figure right after or before its baseline."""
    single_args = ("--connections", str(CONNECTIONS))
    batch_args = ("--connections", "8", "--batch", "100")
    bare = measure_bare(seconds)
    single = measure_ingest(seconds, *single_args)
    batch = measure_ingest(seconds, *batch_args)
    rows = measure_sqlite(seconds)
    client = measure_client(seconds)
    flow = measure_delivery(seconds)
    late = measure_latency(seconds, 500)
    return {
        "bare": bare.per_second,
        "bare cpu": bare.cpu,
        "single": single.per_second,
        "single cpu": single.cpu,
        "single/bare": single.per_second / bare.per_second,
        "single/bare cpu": bare.cpu / single.cpu,
        "batch": batch.per_second,
        "rows": rows,
        "batch/rows": batch.per_second / rows,
        "client": client,
        "answered/bare": flow["answered"] / bare.per_second,
        "delivered/bare": flow["delivered"] / bare.per_second,
        "delivered/client": flow["delivered"] / client,
        "many": measure_many(seconds),
        "p50": late["p50"],
        "p99": late["p99"],
        **flow,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of everything; medians are printed")
    options = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("two cores are needed: one for the relay, one for load and sink")

    rounds = [round_(options.seconds) for _ in range(options.rounds)]
    m = {name: median(one[name] for one in rounds) for name in rounds[0]}
    worst = {name: max(one[name] for one in rounds) for name in ("missing", "twice")}
    rows = [
        ("bare ASGI app, one alert a POST", f"{m['bare']:,.0f}/s", f"{m['bare cpu']:.0f} µs CPU", ""),
        ("answered after fsync, one a POST", f"{m['single']:,.0f}/s", "bare app", f"{m['single/bare']:.2f}"),
        ("", f"{m['single cpu']:.0f} µs CPU", "bare app", f"{m['single/bare cpu']:.2f}"),
        ("SQLite alone, commits of 100 rows", f"{m['rows']:,.0f}/s", "", ""),
        ("answered after fsync, NDJSON of 100", f"{m['batch']:,.0f}/s", "SQLite", f"{m['batch/rows']:.2f}"),
        ("outbound client alone", f"{m['client']:,.0f}/s", "", ""),
        ("to one webhook, answered", f"{m['answered']:,.0f}/s", "bare app", f"{m['answered/bare']:.2f}"),
        ("to one webhook, delivered", f"{m['delivered']:,.0f}/s", "bare app", f"{m['delivered/bare']:.2f}"),
        ("", "", "client alone", f"{m['delivered/client']:.2f}"),
        ("answered, not delivered / twice", f"{worst['missing']:.0f} / {worst['twice']:.0f}", "", ""),
        ("POST to webhook at 500/s, p50", f"{m['p50']:.1f} ms", "", ""),
        ("POST to webhook at 500/s, p99", f"{m['p99']:.1f} ms", "", ""),
        ("resident, at rest", f"{m['idle']:.0f} MB", "", ""),
        ("resident, under load", f"{m['loaded']:.0f} MB", "", ""),
        ("resident, when all was delivered", f"{m['after']:.0f} MB", "", ""),
        ("resident, 16 webhooks, 200 alerts/s", f"{m['many']:.0f} MB", "", ""),
    ]
    print(table((f"one core, median of {options.rounds}", "measured", "beside", "ratio"), rows))
    if m["bare cpu"] * m["bare"] < 0.9e6:
        share = m["bare cpu"] * m["bare"] / 1e4
        print(f"\nThe bare app used {share:.0f} % of its core: load, or another program, limited its rate;")
        print("the ratio of the CPU times says more than that of the rates.")


if __name__ == "__main__":
    main()
