"""`FAULTS=full` (make faults) is the long form; otherwise the short one, as in `make test`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest

FULL = os.environ.get("FAULTS") == "full"


@pytest.fixture
def full() -> bool:
    return FULL


@pytest.fixture
def seed() -> int:
    """`FAULTS_SEED=n` repeats a run."""
    return int(os.environ.get("FAULTS_SEED") or int.from_bytes(os.urandom(4), "big"))


@pytest.fixture
def proof(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says what was seen; `make faults` shows it, in `make test` it is shown when the test fails."""
    name = request.node.name

    def say(text: str) -> None:
        print(f"  {name}: {text}", flush=True)

    return say


def cannot(why: str) -> None:
    """This machine lacks something: skip, or fail where everything is demanded."""
    if os.environ.get("SERVERS") == "required":
        pytest.fail(why)
    pytest.skip(why)


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            cannot(f"{program} is not installed")
