"""The command `sensor`."""

from __future__ import annotations

import sys
import time

import click

from sensor import health

OK, FAILED = 0, 1


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Watch this machine with eBPF, judge what happens by Falco's rules, and hand alerts on."""


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
