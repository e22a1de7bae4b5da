"""The outbound client alone: relay.http posting one alert at a time. usage: client.py URL SECONDS TASKS"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

from benchmarks.alerts import Alerts
from relay.http import ClientOptions, HttpClient
from relay.outputs.base import Request


async def main(url: str, seconds: float, tasks: int) -> None:
    client = HttpClient(ClientOptions())
    alerts = Alerts()
    stop = time.perf_counter() + seconds
    done = 0

    async def post() -> None:
        nonlocal done
        while time.perf_counter() < stop:
            body = next(alerts)
            headers = {"Content-Type": "application/json"}
            response = await client.send(Request("POST", url, headers, body, range(1)), 10.0)
            done += response.status == 200

    start = time.perf_counter()
    await asyncio.gather(*(post() for _ in range(tasks)))
    print(json.dumps({"delivered": done, "seconds": time.perf_counter() - start}))
    await client.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
