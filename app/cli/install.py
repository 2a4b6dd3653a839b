"""`spoke install`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from app import __version__
from app.audit import audit_before
from app.cli.context import Context, json_option, now, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from app.install.layout import Installed, Layout
    from app.install.upgrade import Outcome

Command = TypeVar("Command", bound=Callable[..., Any])


def place_options(command: Command) -> Command:
    """--user, --system, --prefix: which installation."""
    for option in (
        click.option("--prefix", type=click.Path(path_type=Path), help="Instead of /usr/local or ~/.local."),
        click.option("--system/--user", default=None, help="For the machine, or for you. root: the machine."),
    ):
        command = option(command)
    return command


def gate_option(command: Command) -> Command:
    """--gate: how long a release has to show that it works."""
    return click.option(
        "--gate", "gate_s", default=60, show_default=True, type=click.IntRange(1), help="Seconds it has to work."
    )(command)


@click.group(invoke_without_command=True)
@place_options
@click.option("--no-service", is_flag=True, help="Only the program, no systemd unit.")
@click.option("--print", "print_", is_flag=True, help="Show what would be done, and the unit; do nothing.")
@click.option("--unit", is_flag=True, help="Print the systemd unit alone.")
@click.pass_context
def install(
    ctx: click.Context, system: bool | None, prefix: Path | None, no_service: bool, print_: bool, unit: bool
) -> None:
    """Install this program: releases side by side, a service, completions, the manual page.

    \b
    Examples:
      spoke install --user --print     what it would do
      spoke install --user --unit > spoke.service

    \b
    Run it with the file that you downloaded: ./spoke install
    PREFIX/lib/spoke/releases/…   this release and the one before
    PREFIX/lib/spoke/current      the one that counts
    PREFIX/bin/spoke              the command
    ~/.config/systemd/user/spoke.service, or /etc/systemd/system/spoke.service

    Another release that is there already is upgraded as by `spoke upgrade`. Again from an installed release, it writes
    service, completions and manual anew.
    """
    if ctx.invoked_subcommand is None:
        _install(ctx.find_object(Context) or Context(None, None), system, prefix, not no_service, print_, unit)


def _install(
    context: Context, system: bool | None, prefix: Path | None, service: bool, print_: bool, unit: bool
) -> None:
    from app.executable import own_file
    from app.install.extras import unit as unit_of
    from app.install.installing import install as put
    from app.install.installing import planned, steps
    from app.install.layout import choose, running
    from app.install.upgrade import Gate, resume, upgrade

    layout = choose(system, prefix)
    installed = planned(layout, context.paths, service=service)
    if unit:
        click.echo(unit_of(layout, installed), nl=False)
        return
    if print_:
        for step in steps(layout, installed):
            click.echo(step)
        if service:
            click.echo(f"\n# {layout.unit}\n{unit_of(layout, installed)}", nl=False)
        return
    file = own_file()
    if file is None and running() != layout:
        raise CommandError(
            "this is not the one file that can be installed",
            hint="run `install` of the downloaded file; a Debian package is installed already",
            code=ExitCode.USAGE,
        )
    audit_before(installed.paths, "install", say, prefix=str(layout.root), version=__version__)
    resume(layout, Gate(), say)
    if file is not None and layout.current_release() is not None and layout.installed() is not None:
        said = upgrade(layout, file, None, allow_downgrade=False, gate=Gate(), now=now(), tell=say)
        if said.state == "rolled back":
            raise not_upgraded(said)
    release = put(layout, None if layout.current_release() else file, planned(layout, context.paths, service=service))
    say(f"installed: {release} in {layout.root}; the command is {layout.command}")
    for line in _next(layout, installed):
        say(line)


def not_upgraded(said: Outcome) -> CommandError:
    """What a person is told of a release that did not work."""
    data = f"; the data is as in {said.backup}, what the new release wrote was moved aside" if said.restored else ""
    return CommandError(
        f"{said.other} did not work: {said.reason}. Back at {said.current}{data}",
        hint="report it; the service's log says more",
    )


def _next(layout: Layout, installed: Installed) -> list[str]:
    """What the person does now."""
    import os

    from app.install.service import Service

    lines = []
    if str(layout.command.parent) not in os.environ.get("PATH", "").split(":"):
        lines.append(f'{layout.command.parent} is not in PATH: export PATH="{layout.command.parent}:$PATH"')
    service = Service(layout.system)
    if not installed.service:
        lines.append("next: spoke run, or spoke install for a service")
    elif service.manager():
        lines.append(f"the service is {service.state()}; next: spoke join wss://HOST, or spoke status")
        if not layout.system:
            lines.append("it ends when you log out, unless: loginctl enable-linger")
    else:
        lines.append(f"systemd does not run here, so the service was not started: {layout.unit} is in its place")
        here = "" if layout.system else "; here: spoke run"
        lines.append(f"next: {service.command('enable', '--now', 'spoke')} where it runs{here}")
    return lines


@install.command()
@place_options
@json_option
def status(system: bool | None, prefix: Path | None, as_json: bool) -> None:
    """What is installed: releases, the service, an upgrade that was cut off.

    \b
    Example:
      spoke install status
    """
    from app.install.layout import choose, read
    from app.install.service import Service
    from app.install.upgrade import Journal

    layout = choose(system, prefix)
    installed, current = layout.installed(), layout.current_release()
    releases = sorted(path.name for path in layout.releases.glob("[!.]*")) if layout.releases.is_dir() else []
    journal = read(layout.journal, Journal)
    state = Service(layout.system).state() if installed is not None and installed.service else None
    if as_json:
        print_json(
            {
                "version": __version__,
                "prefix": str(layout.prefix),
                "system": layout.system,
                "current": current,
                "previous": None if installed is None else installed.previous,
                "releases": releases,
                "backup": None if installed is None else installed.backup,
                "service": state,
                "cutOff": None if journal is None else journal.step,
            }
        )
        return
    click.echo(f"program    {__version__}")
    if installed is None or current is None:
        click.echo(f"installed  nothing in {layout.root}: spoke install")
        return
    click.echo(f"installed  {current} in {layout.root}, {'for the machine' if layout.system else 'for you'}")
    click.echo(f"before     {installed.previous or 'nothing to go back to'}")
    if installed.backup is not None:
        click.echo(f"backup     {installed.backup}")
    click.echo(f"service    {_told(state)}")
    if journal is not None:
        click.echo(f"attention  an upgrade was cut off while {journal.step}: spoke upgrade --resume")


def _told(state: str | None) -> str:
    if state is None:
        return "none: spoke install"
    return "installed; systemd does not run here" if state == "unknown" else state
