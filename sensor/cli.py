"""The command `sensor`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from sensor import health

OK, FAILED = 0, 1
_PATH = click.Path(dir_okay=False, path_type=Path)

config_option = click.option(
    "-c",
    "--config",
    "file",
    type=_PATH,
    default=Path("config/sensor.yaml"),
    show_default=True,
    help="The configuration file.",
)
allow_inactive_option = click.option(
    "--allow-inactive",
    is_flag=True,
    help="Start although some rules cannot be live, as `allow_inactive: true`.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Watch this machine with eBPF, judge what happens by Falco's rules, and hand alerts on."""


@main.command()
@config_option
@allow_inactive_option
def run(file: Path, allow_inactive: bool) -> None:
    """Watch this machine until SIGTERM or Ctrl-C.

    Exit code 2: configuration or a rule is wrong. 3: this machine cannot be watched; what is missing is said.
    """
    from sensor import commands  # noqa: PLC0415  --help stays quick

    sys.exit(commands.run(file, allow_inactive=allow_inactive))


@main.command()
@click.argument("recording", type=_PATH, metavar="FILE")
@click.option("--pid", type=click.IntRange(min=1), help="Only this process and its descendants.")
@click.option("--cgroup", help="Only this directory of /sys/fs/cgroup, and below it.")
@click.option("--seconds", type=click.FloatRange(min=0), help="How long; else until SIGTERM or Ctrl-C.")
def record(recording: Path, pid: int | None, cgroup: str | None, seconds: float | None) -> None:
    """Record all events, as they leave the kernel, to a new FILE.

    It holds arguments and environments of processes: whoever reads it reads their secrets.
    """
    from sensor import commands  # noqa: PLC0415
    from sensor.probe import ProbeOptions  # noqa: PLC0415

    options = ProbeOptions(scope_pid=pid, scope_cgroup=cgroup)
    sys.exit(commands.record(recording, options, seconds))


@main.command()
@click.argument("recording", type=_PATH, metavar="FILE")
@config_option
@allow_inactive_option
@click.option("--now", is_flag=True, help="Move all times, so that the stream ends now.")
def replay(recording: Path, file: Path, allow_inactive: bool, now: bool) -> None:
    """Judge the stream in FILE; alerts carry the times at which it was recorded, as in Falco.

    Exit codes as `sensor run`; 3 is a FILE that cannot be replayed.
    """
    from sensor import commands  # noqa: PLC0415

    sys.exit(commands.replay(recording, file, allow_inactive=allow_inactive, now=now))


@main.command()
@click.argument("word", required=False)
def fields(word: str | None) -> None:
    """List the fields that rules can use; with WORD, those whose name has it."""
    from sensor.containers import Containers  # noqa: PLC0415  --help stays quick
    from sensor.fields import SensorFields  # noqa: PLC0415
    from sensor.processes import NoProc  # noqa: PLC0415
    from sensor.users import Users  # noqa: PLC0415

    found = [
        one for one in SensorFields(Users(NoProc()), Containers(), 0).describe() if (word or "") in one[0]
    ]
    if not found:
        raise click.ClickException(f"no field has {word!r} in its name")
    width = max(len(name) for name, _, _ in found)
    for name, kind, note in found:
        click.echo(f"{name:{width}}  {kind:7}  {note}".rstrip())


@main.command()
@click.argument("rules", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("-c", "--config", "config_file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="everything as one JSON object")
@click.option("-v", "--verbose", is_flag=True, help="show the place of each warning")
def check(rules: tuple[Path, ...], config_file: Path | None, as_json: bool, verbose: bool) -> None:
    """Check rule files: which rules are live, and why the others are not.

    RULES are files or directories; without them, those of the configuration. Exit 0: the sensor would start;
    1: something is wrong; 3: rules cannot be live, and the configuration does not allow that.
    """
    from relay.config.yaml_lines import ConfigError  # noqa: PLC0415  --help stays quick
    from sensor.rules import check as command  # noqa: PLC0415

    if not rules and config_file is None:
        raise click.UsageError("give rule files, or the configuration with -c")
    try:
        config = command.settings(rules, config_file)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    as_table = sys.stdout.isatty()
    sys.exit(command.check(config, as_json=as_json, verbose=verbose, as_table=as_table))


@main.command()
def healthy() -> None:
    """Exit 0 if the sensor of this user runs and gave a sign of life in the last 30 s, else 1."""
    try:
        problem = health.problem(health.default_file(), time.monotonic())
    except OSError as error:
        problem = str(error)
    click.echo(problem or "healthy")
    sys.exit(FAILED if problem else OK)


if __name__ == "__main__":
    main()
