"""`spoke db`."""

from __future__ import annotations

import click

from app.cli.context import Context, Progress, json_option, print_json, say


@click.group()
def db() -> None:
    """Look after the node's database.

    \b
    Example:
      spoke db rebuild
    """


@db.command()
@click.option("--force", is_flag=True, help="Also where retention has deleted the beginning of the log.")
@json_option
@click.pass_obj
def rebuild(context: Context, force: bool, as_json: bool) -> None:
    """Make sessions and call graphs anew from the log: the same rows, byte for byte.

    \b
    Example:
      spoke db rebuild

    Safe while the services run; nothing else is touched. Killing it changes nothing.
    """
    from app.services.projector import PROJECTIONS
    from storage.projections.rebuild import rebuild as replay

    progress = Progress("events")
    with context.database() as database:
        try:
            done = replay(database, PROJECTIONS, progress, force=force)
        finally:
            progress.end()
    if as_json:
        print_json({"events": done})
    else:
        say(f"{done} events projected")
