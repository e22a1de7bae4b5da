"""The bodies of `sensor run`, `sensor record` and `sensor replay`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

import click
import structlog

from relay.config.yaml_lines import ConfigError
from relay.log import configure
from sensor import health
from sensor.app import Sensor, channels_of
from sensor.assembly import Host, assemble, boot_epoch_ns, live_host, recorded_host
from sensor.config import SensorConfig, load
from sensor.outputs.channel import Channel
from sensor.probe import Probe, ProbeError, ProbeOptions
from sensor.probe.live import LiveProbe
from sensor.probe.recorder import Recorder
from sensor.probe.replay import ReplayProbe
from sensor.probe.requirements import check_wanted
from sensor.rules import Engine, RulesError, RuleSet, load_rules, render
from sensor.table import BY_EVENT

OK, FAILED, CONFIG_ERROR, CANNOT_WATCH = 0, 1, 2, 3
"""Exit codes: 2, configuration or a rule is wrong; 3, this machine cannot be watched, and what is missing."""

log = structlog.get_logger("sensor")


class RefusedError(Exception):
    """The command ends here; the message is for a person."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run needs beside its probe."""

    config: SensorConfig
    host: Host
    rules: RuleSet
    channels: list[Channel]

    def sensor(self, probe: Probe, heartbeat: health.Heartbeat | None = None) -> Sensor:
        """The parts around the probe, which is open."""
        engine = Engine(self.rules, self.host.fields, self.config.rule_matching)
        drawn = partial(render, self.config)
        return assemble(self.config, self.host, probe, engine, drawn, self.channels, heartbeat)


def run(file: Path, *, allow_inactive: bool) -> int:
    """Watch this machine until SIGTERM or Ctrl-C; the exit code."""
    return _ended(lambda: _run(file, allow_inactive=allow_inactive))


def replay(recording: Path, file: Path, *, allow_inactive: bool, now: bool) -> int:
    """Judge a recorded stream; the exit code."""
    return _ended(lambda: _replay(recording, file, allow_inactive=allow_inactive, now=now))


def record(recording: Path, options: ProbeOptions, seconds: float | None) -> int:
    """Write raw events to a new file until SIGTERM, Ctrl-C, or for so many seconds; the exit code."""
    return _ended(lambda: _record(recording, options, seconds))


def _ended(body: Callable[[], None]) -> int:
    try:
        body()
    except RefusedError as error:
        click.echo(str(error), err=True)
        return error.code
    return OK


def _run(file: Path, *, allow_inactive: bool) -> None:
    stop = _until_told()
    config = _configured(file)
    host = live_host()
    prepared = _prepare(config, host, allow_inactive=allow_inactive)
    probe = LiveProbe(options_of(config, prepared.rules), boot_epoch_ns())
    try:
        heartbeat = health.Heartbeat(health.default_file())
    except OSError as error:
        raise RefusedError(FAILED, str(error)) from error
    _open(probe)
    for one in check_wanted():
        log.warning("less is known", why=one)
    host.table.seed()
    _say(prepared, scope=_scope(config), events=sorted(prepared.rules.events & set(BY_EVENT)))
    prepared.sensor(probe, heartbeat).run(stop)


def _replay(recording: Path, file: Path, *, allow_inactive: bool, now: bool) -> None:
    stop = _until_told()
    config = _configured(file)
    probe = ReplayProbe(recording, now=now)
    _open(probe)
    prepared = _prepare(config, recorded_host(probe.boot_epoch_ns), allow_inactive=allow_inactive)
    _say(prepared, recording=str(recording))
    prepared.sensor(probe).run(stop, until_empty=True)


def _configured(file: Path) -> SensorConfig:
    try:
        config = load(file)
    except ConfigError as error:
        raise RefusedError(CONFIG_ERROR, f"{error}\nnothing was started") from error
    configure(config.log_level)
    return config


def _prepare(config: SensorConfig, host: Host, *, allow_inactive: bool) -> Prepared:
    try:
        rules = load_rules(config, host.fields)
        channels = channels_of(config)
    except RulesError as error:
        raise RefusedError(CONFIG_ERROR, f"{error}\nnothing was started") from error
    except (OSError, ValueError) as error:  # a certificate
        raise RefusedError(CONFIG_ERROR, f"http_output: {error}") from error
    if rules.left_out and not (allow_inactive or config.allow_inactive):
        told = "\n".join(f"  {one.name}: {one.why}" for one in rules.left_out)
        raise RefusedError(
            CONFIG_ERROR,
            f"{len(rules.left_out)} rules cannot be live:\n{told}\n"
            "nothing was started; `allow_inactive: true` or --allow-inactive starts without them",
        )
    host.table.keep_env = rules.needs_env
    return Prepared(config, host, rules, channels)


def options_of(config: SensorConfig, rules: RuleSet) -> ProbeOptions:
    """Only what some live rule could use leaves the kernel."""
    wanted = rules.events & set(BY_EVENT)
    return ProbeOptions(
        syscalls=wanted,
        scope_cgroup=str(config.scope.cgroup) if config.scope.cgroup is not None else None,
        scope_pid=config.scope.pid,
        ring_bytes=config.buf_size,
        failed_exec=bool(wanted & {"execve", "execveat"}),
    )


def _open(probe: Probe | Recorder) -> None:
    try:
        probe.open()
    except ProbeError as error:
        lines = "\n".join(f"  - {line}" for line in str(error).splitlines())
        raise RefusedError(CANNOT_WATCH, f"the sensor cannot start:\n{lines}") from error


def _say(prepared: Prepared, **what: object) -> None:
    rules = prepared.rules
    live, out, off = len(rules.live), len(rules.left_out), len(rules.disabled)
    log.info("watching", **what, rules_live=live, rules_left_out=out, rules_off=off, hash=rules.hash[:12])
    for one in rules.left_out:
        log.warning("rule left out", rule=one.name, why=one.why)


def _scope(config: SensorConfig) -> str:
    if config.scope.cgroup is not None:
        return f"cgroup {config.scope.cgroup}"
    return f"process {config.scope.pid}" if config.scope.pid is not None else "this machine"


def _until_told() -> threading.Event:
    stop = threading.Event()

    def told(signum: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, told)
    return stop


def _record(recording: Path, options: ProbeOptions, seconds: float | None) -> None:
    configure()
    stop = _until_told()
    recorder = Recorder(recording, options)
    _open(recorder)
    log.info("recording", file=str(recording), seconds=seconds)
    try:
        recorder.run(stop, seconds)
    except OSError as error:
        raise RefusedError(FAILED, f"{recording}: {error.strerror}") from error
    log.info("recorded", file=str(recording), events=recorder.records, lost=recorder.lost)
