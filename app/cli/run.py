"""`spoke run`."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import click

from app import logs
from app.cli.context import Context, say
from app.services.draining import leave_if_needed
from app.storage_limit import obey
from storage.engine import Database
from storage.process_lock import ProcessLock

if TYPE_CHECKING:
    from app.config import Settings


@click.command()
@click.pass_obj
def run(context: Context) -> None:
    """Run the services of this node in the foreground until SIGTERM or ^C: projections, queues, schedules, the link.

    \b
    Example:
      spoke run

    One process per data directory. Killing it at any moment loses nothing. A
    changed configuration is taken at once; SIGHUP reads it again. SIGTERM lets
    what runs end, for 25 s at most; a second one ends it now.
    """
    settings = context.settings()
    context.make_data_dir()
    logs.set_up(logs.Logging.of(settings))
    with ProcessLock(context.paths.daemon_lock), context.database() as db:
        hub = settings.hub.url or "no hub: spoke join wss://HOST"
        say(f"spoke runs on {context.paths.data_dir} ({hub}); local API: {context.paths.socket}; ^C stops it")
        asyncio.run(_serve(db, context, settings))


async def _serve(db: Database, context: Context, settings: Settings) -> None:
    from app.services.node import run_node
    from app.services.reload import Reloading
    from app.services.sd_notify import notifying, own_manager, writer_of
    from app.services.signals import asked_by_hangup, stop_on_signals

    stop = stop_on_signals()
    reloading = Reloading(
        context.paths,
        settings,
        flags=context.flags,
        asked=asked_by_hangup(),
        on_log=logs.set_up,
        on_change=partial(obey, db),
    )
    async with notifying(writer_of(db), stop, own_manager()):
        await run_node(db, context.paths, reloading, stop)
        leave_if_needed(db)
