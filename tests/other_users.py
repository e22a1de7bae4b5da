"""Tests that become another user need an interpreter and a checkout that others may read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def skip_unless_others_can_run() -> None:
    """Skip where only root can change who it is, or where the checkout lies in a home that is closed."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]
    tried = subprocess.run(
        [*nobody, sys.executable, "-c", "import relay, sensor"], cwd=ROOT, capture_output=True, check=False
    )
    if tried.returncode != 0:
        pytest.skip(f"other users cannot read {sys.executable} or {ROOT}")
