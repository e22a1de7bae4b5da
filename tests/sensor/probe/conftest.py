"""Tests marked `bpf` load eBPF into this kernel; where that is not possible they say why."""

from __future__ import annotations

import os

import pytest

from sensor.probe.requirements import check_requirements


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("bpf") is None:
        return
    missing = check_requirements()
    if missing and os.environ.get("SERVERS") == "required":
        pytest.fail(f"eBPF is not possible here: {'; '.join(missing)}")
    if missing:
        pytest.skip("; ".join(missing))
