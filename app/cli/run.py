"""`spoke run`."""

from __future__ import annotations

import asyncio
import logging

import click

from app.cli.context import Context, say
from storage.engine import Database
from storage.process_lock import ProcessLock


@click.command()
@click.pass_obj
def run(context: Context) -> None:
    """Run the services of this node in the foreground until SIGTERM or ^C: projections, queues, schedules, the link.

    \b
    Example:
      spoke run

    One process per data directory. Killing it at any moment loses nothing.
    """
    settings = context.settings()
    context.make_data_dir()
    log_to_stderr()
    with ProcessLock(context.paths.daemon_lock), context.database() as db:
        hub = settings.hub.url or "no hub: spoke join wss://HOST"
        say(f"spoke runs on {context.paths.data_dir} ({hub}); local API: {context.paths.socket}; ^C stops it")
        asyncio.run(_serve(db, context))


async def _serve(db: Database, context: Context) -> None:
    from app.services.node import run_node
    from app.services.sd_notify import notifying, own_manager, writer_of
    from app.services.signals import stop_on_signals

    stop = stop_on_signals()
    async with notifying(writer_of(db), stop, own_manager()):
        await run_node(db, context.settings(), context.paths, stop)


def log_to_stderr() -> None:
    """What happens, a line each, on stderr; never payloads."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("websockets", "watchfiles"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
