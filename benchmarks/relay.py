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
from typing import Any

import httpx

from benchmarks.table import table

MEASURED, OTHERS = "0", "1"
CONNECTIONS = 32


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


def measure_bare(seconds: float) -> float:
    port = free_port()
    with process(MEASURED, "benchmarks.bare", str(port)):
        wait_for(f"http://127.0.0.1:{port}/")
        load(port, 1, "--connections", str(CONNECTIONS))
        result = load(port, seconds, "--connections", str(CONNECTIONS))
    return float(result["answered"] / result["seconds"])


def measure_ingest(seconds: float, *more: str) -> float:
    with relay({}) as (port, _):
        load(port, 1, *more)
        result = load(port, seconds, *more)
    return float(result["answered"] / result["seconds"])


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    seconds = parser.parse_args().seconds
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("two cores are needed: one for the relay, one for load and sink")

    bare = measure_bare(seconds)
    single = measure_ingest(seconds, "--connections", str(CONNECTIONS))
    batch = measure_ingest(seconds, "--connections", "8", "--batch", "100")
    client = measure_client(seconds)
    flow = measure_delivery(seconds)
    late = measure_latency(seconds, 500)
    many = measure_many(seconds)
    bare_again = measure_bare(seconds)  # the machine may have changed its mind meanwhile
    bare = (bare + bare_again) / 2
    print(
        table(
            ("one core for the relay", "measured", "beside", "ratio"),
            [
                ("bare ASGI app, one alert a POST", f"{bare:,.0f}/s", "", ""),
                ("answered after fsync, one a POST", f"{single:,.0f}/s", "bare app", f"{single / bare:.2f}"),
                ("answered after fsync, NDJSON of 100", f"{batch:,.0f}/s", "bare app", f"{batch / bare:.2f}"),
                ("outbound client alone", f"{client:,.0f}/s", "bare app", f"{client / bare:.2f}"),
                (
                    "in and out to one webhook, answered",
                    f"{flow['answered']:,.0f}/s",
                    "bare app",
                    f"{flow['answered'] / bare:.2f}",
                ),
                (
                    "in and out to one webhook, delivered",
                    f"{flow['delivered']:,.0f}/s",
                    "bare app",
                    f"{flow['delivered'] / bare:.2f}",
                ),
                ("", "", "client alone", f"{flow['delivered'] / client:.2f}"),
                (
                    "answered and not delivered / twice",
                    f"{flow['missing']:.0f} / {flow['twice']:.0f}",
                    "",
                    "",
                ),
                ("POST to webhook at 500/s, p50", f"{late['p50']:.1f} ms", "", ""),
                ("POST to webhook at 500/s, p99", f"{late['p99']:.1f} ms", "", ""),
                ("resident, at rest", f"{flow['idle']:.0f} MB", "", ""),
                ("resident, under load", f"{flow['loaded']:.0f} MB", "", ""),
                ("resident, when all was delivered", f"{flow['after']:.0f} MB", "", ""),
                ("resident, 16 webhooks at 200 alerts/s", f"{many:.0f} MB", "", ""),
            ],
        )
    )


if __name__ == "__main__":
    main()
