"""`spoke uninstall`."""

from __future__ import annotations

import socket
from pathlib import Path

import click

from app.audit import audit_before
from app.cli.context import confirm, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.install import place_options
from app.cli.options import dry_run, dry_run_option, interactive, told


@click.command()
@place_options
@click.option("--purge", is_flag=True, help="Also the data and the configuration. Asks for this machine's name.")
@click.option("--name", help="This machine's name, where nobody can be asked: for --purge.")
@dry_run_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def uninstall(system: bool | None, prefix: Path | None, purge: bool, name: str | None, yes: bool) -> None:
    """Remove what `spoke install` installed; the data stays, unless --purge.

    \b
    Example:
      spoke uninstall --prefix /opt --dry-run || echo "nothing is there"

    Lists what goes, then asks. The account of a service of the machine stays, so that no later one gets its number.
    """
    from app.install.installing import going, refuse_while_in_use
    from app.install.installing import uninstall as remove
    from app.install.layout import choose

    layout = choose(system, prefix)
    installed = layout.installed()
    if installed is None:
        raise CommandError(f"nothing is installed in {layout.root}", hint="name its --prefix", code=ExitCode.NO_INPUT)
    for path in going(layout, installed, purge=purge):
        say(f"{told('goes', 'would go')}: {path}")
    if dry_run():
        refuse_while_in_use(layout, installed, purge=purge)
        say("nothing would stay" if purge else f"would stay: {installed.data_dir}, {installed.config_file}")
        return
    if purge:
        _same_machine(name)
    else:
        say(f"stays: {installed.data_dir}, {installed.config_file}")
        confirm("Remove this?", "nobody can be asked whether to remove it", yes=yes)
    if not purge:
        audit_before(installed.paths, "uninstall", say, prefix=str(layout.root))
    remove(layout, installed, purge=purge)
    say("removed" if purge else "removed; the data is still there")


def _same_machine(name: str | None) -> None:
    here = socket.gethostname()
    if name is None:
        if not interactive():
            raise CommandError("--purge needs this machine's name", hint=f"--name {here}", code=ExitCode.USAGE)
        name = click.prompt(f"The data goes for good. Type this machine's name ({here})", err=True)
    if name != here:
        raise CommandError(f"this machine is {here}, not {name}; nothing was removed", code=ExitCode.USAGE)
