"""`spoke sync`."""

from __future__ import annotations

import click

from app.cli.context import Context, camel, json_option, now, print_json
from app.views.link import link_details
from storage.process_lock import holder
from sync.spoke.status import read_status


@click.group()
def sync() -> None:
    """The link to the hub.

    \b
    Example:
      spoke sync status
    """


@sync.command()
@json_option
@click.pass_obj
def status(context: Context, as_json: bool) -> None:
    """How the link stands, stream by stream.

    \b
    Example:
      spoke sync status --json

    `unsent` are events that the hub does not have on its disk; an event counts as sent when the hub said that it has.
    """
    with context.database() as db, db.snapshot() as snapshot:
        link = read_status(snapshot)
    pid = holder(context.paths.daemon_lock)
    if as_json:
        print_json({**camel(link), "unsent": link.unsent, "daemonPid": pid})
    else:
        click.echo("\n".join(link_details(link, round(now().timestamp() * 1000), running=pid is not None)))
