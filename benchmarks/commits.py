"""SQLite alone: commits of 100 rows of an alert's body, WAL and fsync as in the journal.

usage: commits.py SECONDS. Prints rows a second.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.alerts import Alerts
from relay.journal.schema import connect

ROWS = 100


def main(seconds: float) -> float:
    alerts = Alerts()
    with tempfile.TemporaryDirectory(prefix="outrider-bench-") as folder:
        database = connect(Path(folder, "rows.db"))
        database.execute("CREATE TABLE row (seq INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, body BLOB)")
        rows = 0
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            database.execute("BEGIN IMMEDIATE")
            bodies = [next(alerts) for _ in range(ROWS)]
            database.executemany(
                "INSERT INTO row (uuid, body) VALUES (?, ?)",
                [(body[-34:-2].decode(), body) for body in bodies],
            )
            database.execute("COMMIT")
            rows += ROWS
        rate = rows / (time.perf_counter() - start)
        database.close()
    return rate


if __name__ == "__main__":
    print(main(float(sys.argv[1])))
