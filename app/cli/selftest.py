"""`spoke selftest`."""

from __future__ import annotations

import click

from app.cli.context import print_json
from app.cli.exit_codes import ExitCode


@click.command(hidden=True)
@click.option("--schemas", is_flag=True, help="Print which databases this program reads: what upgrades ask.")
def selftest(schemas: bool) -> int:
    """Import and use everything that is shipped, once.

    \b
    Example:
      spoke selftest
    """
    if schemas:
        from storage.migrations import system, tenant

        print_json({"tenant": len(tenant.MIGRATIONS), "system": len(system.MIGRATIONS)})
        return ExitCode.OK
    from app.selftest import run

    return ExitCode.BUG if run(click.echo) else ExitCode.OK
