"""`spoke demo`."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.context import say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode


@click.command()
@click.option(
    "--calls",
    default=50_000,
    show_default=True,
    type=click.IntRange(min=1_000),
    help="Calls in the backlog; each is two events.",
)
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Keep the files here (an empty folder).")
def demo(calls: int, folder: Path | None) -> int:
    """Watch it work, with real processes on this machine: offline, sync, SIGKILL, resume, compare.

    \b
    Example:
      spoke demo --calls 10000

    Exits with 0 when every event arrived exactly once.
    """
    from app.demo import DemoFailedError, run

    try:
        good = run(calls, folder, say)
    except DemoFailedError as error:
        raise CommandError(str(error), hint=error.hint) from error
    return ExitCode.OK if good else ExitCode.FAILURE
