"""make run: the sensor where the kernel allows it, the relay and the dashboard; Ctrl-C ends all of it.

Where eBPF is not allowed, what is missing is said, and the sensor plays a recorded stream instead.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import httpx

from relay.config import ConfigError, load
from relay.ui.login import address
from sensor.probe.requirements import check_requirements

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT / "config" / "examples" / "demo.rec"


def say(text: str) -> None:
    print(f"make run: {text}", flush=True)


def command(name: str, *args: str) -> list[str]:
    return [sys.executable, "-m", f"{name}.cli", *args]


def relay_is_up(url: str, relay: subprocess.Popen[bytes]) -> bool:
    """Wait until it answers, or has ended."""
    while relay.poll() is None:
        try:
            httpx.get(f"{url}/healthz", timeout=1)
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return True
    return False


def start_sensor(config: Path) -> subprocess.Popen[bytes]:
    missing = check_requirements()
    if not missing:
        say("the sensor watches this machine; try in another shell: cat /etc/shadow")
        return subprocess.Popen(command("sensor", "run", "-c", str(config)))
    say("the sensor cannot watch this machine:")
    for one in missing:
        print(f"  - {one}", flush=True)
    say(f"playing the recorded stream {RECORDED.relative_to(ROOT)} instead")
    return subprocess.Popen(command("sensor", "replay", "--now", str(RECORDED), "-c", str(config)))


def stop(process: subprocess.Popen[bytes], seconds: float) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def watch(relay: subprocess.Popen[bytes], sensor: subprocess.Popen[bytes]) -> int:
    """Until the relay ends. A sensor that ends is said, once; the relay goes on without it."""
    told = False
    while relay.poll() is None:
        if sensor.poll() is not None and not told:
            told = True
            how = "has played all of it" if sensor.returncode == 0 else f"ended ({sensor.returncode})"
            say(f"the sensor {how}; relay and dashboard go on, Ctrl-C ends them")
        time.sleep(0.2)
    return relay.returncode


def interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--relay-config", type=Path, default=ROOT / "config" / "relay.yaml")
    parser.add_argument("--sensor-config", type=Path, default=ROOT / "config" / "sensor.yaml")
    options = parser.parse_args()
    try:
        config = load(options.relay_config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, interrupt)
    # A session of its own: Ctrl-C reaches this script only, which ends the sensor first.
    relay = subprocess.Popen(
        command("relay", "serve", "-c", str(options.relay_config)), start_new_session=True
    )
    sensor = None
    try:
        if not relay_is_up(f"http://{config.listen}", relay):
            return relay.returncode or 1
        say(f"the dashboard is at {address(config.listen, config.general.public_url)}/ui")
        sensor = start_sensor(options.sensor_config)
        return watch(relay, sensor)
    except KeyboardInterrupt:
        say("ending")
        return 0
    finally:
        if sensor is not None:
            stop(sensor, 10)
        stop(relay, 30)


if __name__ == "__main__":
    raise SystemExit(main())
