"""Delivery: one worker per output takes alerts from its lanes and records what became of each."""

from relay.delivery.clock import Clock, SystemClock
from relay.delivery.status import Status, WorkerState
from relay.delivery.worker import Worker

__all__ = ["Clock", "Status", "SystemClock", "Worker", "WorkerState"]
