"""A long run at half the maximum rate: what grows? usage: python -m benchmarks.soak [--minutes 20]

Two webhooks that answer and one that accepts and never does. One row an interval: what was answered and
delivered in it, the latency from POST to webhook, and then memory, open files, threads and file sizes. Ends
by itself; sooner when the disk gets short. Exit code 1 if an answered alert was not delivered.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.relay import MEASURED, free_port, load, process, resident, sink, stats, wait_for
from benchmarks.table import table

WELL = ("one", "two")
DISK_LEFT = 2 * 2**30
"""Bytes that stay free: a soak must not fill the machine's disk."""
WARM_UP = 8.0
DRAINED_WAIT = 60.0
"""Seconds in which what is answered has to arrive when nothing more is posted."""


@dataclass(frozen=True)
class Running:
    port: int
    pid: int
    data: Path
    sink: str

    @property
    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    @property
    def private(self) -> float:
        resident, shared = Path(f"/proc/{self.pid}/statm").read_text().split()[1:3]
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def megabytes(self, name: str) -> float:
        path = self.data / name
        return path.stat().st_size / 1e6 if path.exists() else 0.0


@dataclass(frozen=True)
class Sample:
    """One interval: counts and times of it, sizes at its end."""

    minute: float
    answered: float  # a second
    delivered: float  # a second, to each of the outputs that answer
    p50: float  # ms
    p99: float
    resident: float  # MB
    private: float  # MB of it: without the pages of the journal that are mapped
    files: int
    threads: int
    wal: float  # MB
    journal: float


@contextmanager
def hanging() -> Iterator[str]:
    """Accepts whatever comes, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):  # closed: the end
                while True:
                    held.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        server.shutdown(socket.SHUT_RDWR)
        for one in held:
            one.close()


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    """A relay on a new journal in `folder`, with its destinations."""
    port = free_port()
    data = folder / "data"
    with sink() as good, hanging() as bad:
        outputs = {name: {"type": "webhook", "url": f"{good}/{name}"} for name in WELL}
        outputs["hangs"] = {"type": "webhook", "url": bad}
        config = folder / "relay.yaml"
        config.write_text(
            json.dumps({"listen": f"127.0.0.1:{port}", "data_dir": str(data), "outputs": outputs})
        )
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with process(MEASURED, "relay.cli", "serve", "-c", str(config), **quiet) as child:
            wait_for(f"http://127.0.0.1:{port}/ping")
            yield Running(port, child.pid, data, good)


def arrived(run: Running, expected: int) -> tuple[int, float]:
    """Deliveries until there are so many, or time is up; and when the last came."""
    count, last = 0, 0.0
    stop = time.monotonic() + DRAINED_WAIT
    while count < expected and time.monotonic() < stop:
        time.sleep(0.2)
        now = stats(run.sink)
        count += now["count"]
        last = max(last, now["last"])
    return count, last


def measure_maximum(folder: Path) -> float:
    """Alerts a second, posted as fast as they are answered, until each output that answers has them."""
    with running(folder) as run:
        load(run.port, 1)
        time.sleep(1)
        stats(run.sink)
        begun = time.time()
        sent = load(run.port, WARM_UP)["sent"]
        count, last = arrived(run, sent * len(WELL))
        return float(count / len(WELL) / (last - begun))


def soak(run: Running, rate: float, minutes: float, every: float) -> tuple[list[Sample], int]:
    """The samples, and how many deliveries are missing in the end."""
    samples: list[Sample] = []
    sent = count = 0
    begun = time.monotonic()
    print(
        f"\n{'min':>6} {'answered/s':>11} {'delivered/s':>11} {'p50':>6} {'p99':>7}  RSS  files threads WAL"
    )
    while time.monotonic() - begun < minutes * 60:
        if shutil.disk_usage(run.data).free < DISK_LEFT:
            print("the disk gets short: the soak ends here")
            break
        started = time.monotonic()
        result = load(run.port, min(every, minutes * 60 - (started - begun)), "--rate", str(rate))
        took = time.monotonic() - started
        now = stats(run.sink)
        sent += result["sent"]
        count += now["count"]
        one = Sample(
            (time.monotonic() - begun) / 60,
            result["sent"] / took,
            now["count"] / len(WELL) / took,
            now["ms"].get("p50", 0.0),
            now["ms"].get("p99", 0.0),
            resident(run.pid),
            run.private,
            run.open_files,
            run.threads,
            run.megabytes("journal.db-wal"),
            run.megabytes("journal.db"),
        )
        samples.append(one)
        print(
            f"{one.minute:6.1f} {one.answered:11.0f} {one.delivered:11.0f} {one.p50:6.1f} {one.p99:7.1f}"
            f" {one.resident:5.0f} {one.private:4.0f} {one.files:5} {one.threads:5} {one.wal:6.1f}",
            flush=True,
        )
    count += arrived(run, sent * len(WELL) - count)[0]
    return samples, sent * len(WELL) - count


def report(samples: Sequence[Sample]) -> str:
    """First third beside last third: what is not flat is seen in the ratio."""
    third = max(1, len(samples) // 3)
    rows = []
    for name, unit in (
        ("answered", "/s"),
        ("delivered", "/s"),
        ("p50", "ms"),
        ("p99", "ms"),
        ("resident", "MB"),
        ("private", "MB"),
        ("files", ""),
        ("threads", ""),
        ("wal", "MB"),
        ("journal", "MB"),
    ):
        values = [float(getattr(one, name)) for one in samples]
        first, last = median(values[:third]), median(values[-third:])
        ratio = f"{last / first:.2f}" if first else ""
        rows.append(
            (name, f"{first:,.1f} {unit}", f"{last:,.1f} {unit}", f"{max(values):,.1f} {unit}", ratio)
        )
    return table(("median of", "first third", "last third", "highest", "last/first"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--every", type=float, default=60.0, help="seconds of one interval")
    parser.add_argument("--rate", type=float, default=0.0, help="alerts a second; default: half the maximum")
    parser.add_argument("--folder", type=Path, help="where the journals lie meanwhile; default: a temporary")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="outrider-soak-", dir=options.folder) as folder:
        rate = options.rate
        if not rate:
            calibration = Path(folder, "maximum")
            calibration.mkdir()
            rate = measure_maximum(calibration) / 2
            shutil.rmtree(calibration)
        print(
            f"{rate:.0f} alerts a second for {options.minutes:g} minutes to two webhooks and one that hangs"
        )
        with running(Path(folder)) as run:
            samples, missing = soak(run, rate, options.minutes, options.every)
    print("\n" + report(samples))
    print(f"\nanswered and not delivered: {missing}")
    raise SystemExit(1 if missing > 0 else 0)


if __name__ == "__main__":
    main()
