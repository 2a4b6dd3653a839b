"""`spoke selftest`."""

from __future__ import annotations

import click

from app.cli.exit_codes import ExitCode


@click.command(hidden=True)
def selftest() -> int:
    """Import and use everything that is shipped, once.

    \b
    Example:
      spoke selftest
    """
    from app.selftest import run

    return ExitCode.BUG if run(click.echo) else ExitCode.OK
