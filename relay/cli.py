"""The command `relay`."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import click
import orjson

from relay import outputs
from relay.config import ConfigError, RelayConfig, load
from relay.routing import Routing

CONFIG_ERROR = 2
START_ERROR = 3

config_option = click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("config/relay.yaml"),
    show_default=True,
    help="The configuration file.",
)


def _load(file: Path) -> RelayConfig:
    try:
        return load(file)
    except ConfigError as error:
        click.echo(str(error), err=True)
        count = len(error.problems)
        click.echo(f"{count} problem{'s' if count > 1 else ''}; nothing was started", err=True)
        sys.exit(CONFIG_ERROR)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="outrider", prog_name="relay")
def main() -> None:
    """Takes alerts, keeps them, delivers them, and says what became of each."""


@main.command()
@config_option
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
def serve(file: Path, log_level: str) -> None:
    """Run the relay until SIGTERM or Ctrl-C."""
    from relay import server  # noqa: PLC0415 other commands start faster without it

    sys.exit(server.run(_load(file), log_level))


@main.command()
@config_option
def check(file: Path) -> None:
    """Check the configuration, and show the outputs it has. Exit code 2 if something is wrong."""
    config = _load(file)
    click.echo(f"{file}: good; listens on {config.listen}, keeps its journal in {config.data_dir}")
    for name, settings in config.outputs.items():
        match = f"  match: {settings.match}" if settings.match else ""
        off = "" if settings.enabled else "  (not enabled)"
        click.echo(f"  {name:20} {settings.type:14}{match}{off}")
        for caution in Routing.of(settings).cautions():
            click.echo(f"    warning: match, {caution}")
    if not config.outputs:
        click.echo("  no outputs: alerts are kept and shown on the dashboard only")


@main.command()
@config_option
def login_link(file: Path) -> None:
    """Print a one-time link that sets the dashboard's password; the relay may run meanwhile.

    It works for an hour. Whoever uses it ends every session and the old password.
    """
    from relay.ui import login  # noqa: PLC0415

    config = _load(file)
    try:
        click.echo(login.new_link(config.data_dir, config.listen, config.general.public_url))
    except (OSError, sqlite3.Error) as error:
        click.echo(f"{config.data_dir}: {error}", err=True)
        sys.exit(START_ERROR)


@main.command(name="outputs")
@click.argument("type_name", required=False, type=click.Choice(outputs.TYPES))
def show_outputs(type_name: str | None) -> None:
    """List the types of outputs, or the settings of one."""
    if type_name is None:
        for name in outputs.TYPES:
            click.echo(f"{name:14} {(outputs.load(name).settings_type.__doc__ or '').splitlines()[0]}")
        return
    for name, field in outputs.load(type_name).settings_type.model_fields.items():
        needed = "required" if field.is_required() else f"default: {_shown(field.default)}"
        click.echo(f"{name:24} {field.description or ''} ({needed})")


def _shown(default: Any) -> str:
    if default is None or default == "" or default == {}:
        return "none"
    return str(default).lower() if isinstance(default, bool) else str(default)


@main.command()
@config_option
@click.argument("name")
def test(file: Path, name: str) -> None:
    """Send one test alert to an output now, without the journal; says what it answered."""
    config = _load(file)
    if name not in config.outputs:
        raise click.BadParameter(f"{name!r}; the configuration has {', '.join(config.outputs) or 'none'}")
    outcome = asyncio.run(_try(config, name))
    click.echo(f"{name}: {outcome}")
    sys.exit(0 if type(outcome).__name__ == "Delivered" else 1)


async def _try(config: RelayConfig, name: str) -> Any:
    from relay.alert import Alert  # noqa: PLC0415
    from relay.app import test_alert  # noqa: PLC0415
    from relay.outputs.base import Batch  # noqa: PLC0415

    now = time.time_ns()
    body = test_alert(now)
    said = orjson.loads(body)
    alert = Alert(
        seq=0,
        id=f"test-{now}",
        time_ns=now,
        received_ns=now,
        priority=7,
        rule=said["rule"],
        source=said["source"],
        hostname="",
        raw=body,
    )
    output = outputs.create(name, config.outputs[name], config.general.public_url)
    await output.start()
    try:
        return (await output.deliver(Batch([alert], f"test-{now}")))[0]
    finally:
        await output.close()


if __name__ == "__main__":
    main()
