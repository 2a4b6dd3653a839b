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
from app.cli.options import dry_run, dry_run_option, refuse_change

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
        "--gate",
        "gate_s",
        default=60,
        show_default=True,
        type=click.IntRange(1),
        help="Seconds it has to get well; then 5 more.",
    )(command)


@click.group(invoke_without_command=True)
@place_options
@click.option("--hub", is_flag=True, help="Also a hub's service, spoke-hub.")
@click.option("--no-service", is_flag=True, help="No service of a node; with --hub, a hub's alone.")
@click.option("--print", "print_", is_flag=True, help="Show what would be done, and the unit; do nothing.")
@dry_run_option
@click.option("--unit", is_flag=True, help="Print the systemd unit alone; with --hub, a hub's.")
@click.pass_context
def install(
    ctx: click.Context,
    system: bool | None,
    prefix: Path | None,
    hub: bool,
    no_service: bool,
    print_: bool,
    unit: bool,
) -> None:
    """Install this program: releases side by side, a service, completions, the manual page.

    \b
    Examples:
      spoke install --user --print     what it would do
      spoke install --user --unit > spoke.service
      spoke install --user --hub --no-service --print

    \b
    Run it with the file that you downloaded: ./spoke install
    PREFIX/lib/spoke/releases/…   this release and the one before
    PREFIX/lib/spoke/current      the one that counts
    PREFIX/bin/spoke              the command
    ~/.config/systemd/user/spoke.service, or /etc/systemd/system/spoke.service

    A hub listens as SPOKE_HUB_OPTIONS of its unit says, --host 0.0.0.0 if nothing else, and starts when there is a
    certificate: spoke hub init. What `systemctl edit spoke-hub` says is kept over upgrades.

    Another release that is there already is upgraded as by `spoke upgrade`. Again from an installed release, it writes
    service, completions and manual anew.
    """
    if ctx.invoked_subcommand is None:
        if not (print_ or unit):
            refuse_change(ctx)
        context = ctx.find_object(Context) or Context(None, None)
        _install(context, system, prefix, not no_service, hub, print_, unit)


def _install(
    context: Context, system: bool | None, prefix: Path | None, service: bool, hub: bool, print_: bool, unit: bool
) -> None:
    from app.executable import own_file
    from app.install.extras import unit as unit_of
    from app.install.gate import Gate
    from app.install.installing import install as put
    from app.install.installing import planned, steps
    from app.install.layout import choose, running
    from app.install.upgrade import resume, upgrade
    from app.systemd_unit import HUB

    layout = choose(system, prefix)
    installed = planned(layout, context.paths, service=service, hub=hub)
    if unit:
        click.echo(unit_of(layout, installed.paths, hub=hub), nl=False)
        return
    if print_:
        for step in steps(layout, installed):
            click.echo(step)
        for name in installed.units:
            text = unit_of(layout, installed.paths, hub=name == HUB)
            click.echo(f"\n# {layout.units / name}\n{text}", nl=False)
        return
    file = own_file()
    if file is None and running() != layout:
        raise CommandError(
            "this is not the one file that can be installed",
            hint="run `install` of the downloaded file; a Debian package is installed already",
            code=ExitCode.USAGE,
        )
    if dry_run():
        _try_install(layout, file, installed)
        return
    audit_before(installed.paths, "install", say, prefix=str(layout.root), version=__version__)
    resume(layout, Gate(), say)
    if file is not None and layout.current_release() is not None and layout.installed() is not None:
        said = upgrade(layout, file, None, allow_downgrade=False, gate=Gate(), now=now(), tell=say)
        if said.state == "rolled back":
            raise not_upgraded(said)
    installed = planned(layout, context.paths, service=service, hub=hub)
    release = put(layout, None if layout.current_release() else file, installed)
    say(f"installed: {release} in {layout.root}; the command is {layout.command}")
    for line in next_steps(layout, installed):
        say(line)


def _try_install(layout: Layout, file: Path | None, installed: Installed) -> None:
    from app.install.installing import refuse_foreign, steps
    from app.install.upgrade import preview, refuse_while_changing

    refuse_while_changing(layout)
    refuse_foreign(layout, file)
    if file is not None and layout.current_release() is not None and layout.installed() is not None:
        done = preview(layout, file, None, allow_downgrade=False)
        say(f"would be {done.state}: {done.current}" + (f", instead of {done.other}" if done.other else ""))
    for step in steps(layout, installed):
        click.echo(f"would: {step}")


def not_upgraded(said: Outcome) -> CommandError:
    """What a person is told of a release that did not work."""
    data = f"; the data is as in {said.backup}, what the new release wrote was moved aside" if said.restored else ""
    return CommandError(
        f"{said.other} did not work: {said.reason}. Back at {said.current}{data}",
        hint="report it; the service's log says more",
    )


def next_steps(layout: Layout, installed: Installed) -> list[str]:
    """What the person does now."""
    import os

    from app.install.installing import startable
    from app.install.service import Service
    from app.systemd_unit import HUB

    lines = []
    if str(layout.command.parent) not in os.environ.get("PATH", "").split(":"):
        lines.append(f'{layout.command.parent} is not in PATH: export PATH="{layout.command.parent}:$PATH"')
    units = installed.units
    service = Service(layout.system, units)
    if not units:
        return [*lines, "next: spoke run, or spoke install for a service"]
    if service.manager():
        lines += [f"{unit} is {state}" for unit, state in service.states().items()]
        if installed.service:
            lines.append("next: spoke join wss://HOST, or spoke status")
        if not layout.system:
            lines.append("services end when you log out, unless: loginctl enable-linger")
    else:
        places = ", ".join(str(layout.units / unit) for unit in units)
        lines.append(f"systemd does not run here, so nothing was started: in its place is {places}")
        here = "; here: spoke run" if installed.service and not layout.system else ""
        lines.append(f"next: {service.command('enable', '--now', *units)} where it runs{here}")
    if installed.hub and HUB not in startable(installed):
        lines.append(f"the hub needs a certificate: {_as_service(layout, installed)}spoke hub init --name HOST")
        lines.append(f"then: {service.command('restart', HUB)}")
    return lines


def _as_service(layout: Layout, installed: Installed) -> str:
    """What a command begins with that is to work on the data of the services."""
    from app.systemd_unit import ACCOUNT

    if not layout.system:
        return ""
    return f"sudo -u {ACCOUNT} SPOKE_DATA_DIR={installed.data_dir} SPOKE_CONFIG={installed.config_file} "


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
    from app.systemd_unit import HUB, NAME

    layout = choose(system, prefix)
    installed, current = layout.installed(), layout.current_release()
    releases = sorted(path.name for path in layout.releases.glob("[!.]*")) if layout.releases.is_dir() else []
    journal = read(layout.journal, Journal)
    states = {} if installed is None else Service(layout.system, installed.units).states()
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
                "service": states.get(NAME),
                "hub": states.get(HUB),
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
    click.echo(f"service    {_told(states.get(NAME))}")
    if installed.hub:
        click.echo(f"hub        {_told(states.get(HUB))}")
    if journal is not None:
        click.echo(f"attention  an upgrade was cut off while {journal.step}: spoke upgrade --resume")


def _told(state: str | None) -> str:
    if state is None:
        return "none: spoke install"
    return "installed; systemd does not run here" if state == "unknown" else state
