"""What every output is: its settings, its limits, the batch it gets and the outcomes it answers.

An output knows neither journal nor worker: it renders a batch for its destination, sends it, and reads
the reply. `Outcome` is a closed set; the worker in `relay.delivery` decides what follows from each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeAlias

from relay.alert import Alert


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination has it. `confirmed`: it said so after storing or showing it; else it only accepted."""

    confirmed: bool = True
    receipt: str | None = None  # the destination's own name for it: a message id, a timestamp
    ref: str | None = None  # kept for this output and given back in Batch.refs (a thread, an alias)


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again later; the fault may pass (5xx, time-out, refused connection, name not resolved)."""

    why: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """The destination asked for a pause of `after` seconds. Not charged as a failure."""

    after: float
    why: str = "throttled"


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The worker splits the batch; a single alert is rendered once more within the hard limit."""

    why: str
    reply: str | None = None  # as in Rejected


@dataclass(frozen=True, slots=True)
class Parked:
    """The configuration is wrong (401, 403, 404 of a URL that is the target, certificate refused).

    Never for what an alert can bring about: its writer could stop the output.
    """

    why: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """This alert will never pass."""

    why: str
    reply: str | None = None  # at most 4 KiB of what the destination said


Outcome: TypeAlias = Delivered | Retry | Throttled | TooLarge | Parked | Rejected


@dataclass(frozen=True, slots=True)
class Batch:
    """Alerts for one request, in the order of their sequence."""

    alerts: Sequence[Alert]
    delivery_id: str  # the same over all attempts: the destination's idempotency key
    attempt: int = 1  # 1 is the first
    deadline: float = 0.0  # seconds, on the clock of time.monotonic(); 0: none
    group: str | None = None
    refs: Mapping[str, str] = field(default_factory=dict)  # alert id -> Delivered.ref of earlier
    shrink: bool = False  # render within the hard limit: an earlier attempt was TooLarge


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may hold, and the pace the destination wants unless the user says otherwise."""

    alerts: int = 1
    bytes: int = 1_000_000
    pace: float | None = None  # requests a second; None: as fast as it answers
    burst: int = 1
    concurrency: int = 1
    timeout: float = 10.0  # seconds for one request, connect to last byte
    pace_key: str | None = None  # outputs with the same key share the pace (one webhook URL)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, ready to send, and which alerts of the batch (by index) it carries."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    alerts: range


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. `body` is at most 64 KiB."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Output(Protocol):
    """One instance per entry under `outputs:` in relay.yaml."""

    type: ClassVar[str]
    name: str
    limits: Limits
    settings: Any  # an OutputSettings of the output's own (relay.config.settings)

    async def start(self) -> None:
        """Open clients. Must not fail because the destination is away."""
        ...

    async def deliver(self, batch: Batch) -> Sequence[Outcome]:
        """Send, and answer one outcome per alert, in order. Never raises for a destination's fault."""
        ...

    async def close(self) -> None: ...
