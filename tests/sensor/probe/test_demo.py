"""The stream that `make run` plays where eBPF is not allowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson

ROOT = Path(__file__).resolve().parents[3]
RULES = {
    "Clear Log Activities",
    "Create Hardlink Over Sensitive Files",
    "Create Symlink Over Sensitive Files",
    "Execution from /dev/shm",
    "Fileless execution via memfd_create",
    "Find AWS Credentials",
    "Read sensitive file untrusted",
    "Remove Bulk Data from Disk",
    "Run shell untrusted",
    "Search Private Keys or Passwords",
}


def test_it_shows_ten_rules_of_the_stable_file(tmp_path: Path) -> None:
    config = tmp_path / "sensor.yaml"
    rules = ROOT / "config" / "rules" / "falco_rules.yaml"
    config.write_text(f"rules_files: [{rules}]\nallow_inactive: true\njson_output: true\n")
    recording = ROOT / "config" / "examples" / "demo.rec"
    result = subprocess.run(
        [sys.executable, "-m", "sensor.cli", "replay", str(recording), "-c", str(config)],
        capture_output=True,
        check=True,
    )
    alerts = [orjson.loads(line) for line in result.stdout.splitlines()]
    assert {one["rule"] for one in alerts} == RULES
    # The link looked harmless, the file behind it did not.
    through = next(one for one in alerts if one["output_fields"].get("outrider.fd.kernel_path"))
    assert through["output_fields"]["proc.cmdline"] == "cat /tmp/backup"
