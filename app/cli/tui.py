"""`spoke tui`, and `spoke` alone."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path

import click

from app.cli.context import Context
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.options import colored
from app.services.supervisor import Service
from storage.engine import Database
from storage.process_lock import LockHeldError, ProcessLock, holder


@click.command()
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII alone (also SPOKE_ASCII=1).")
@click.pass_obj
def tui(context: Context, ascii_only: bool) -> None:
    """Open the terminal UI: overview, sessions, streams.

    \b
    Example:
      spoke tui

    Without a running daemon it runs the services of this node itself, until it is closed. NO_COLOR is respected;
    without a UTF-8 locale it draws with ASCII.
    """
    open_tui(context, ascii_only=ascii_only)


def open_tui(context: Context, *, ascii_only: bool = False) -> None:
    """Run the TUI on this terminal until it is closed."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandError(
            "the terminal UI needs a terminal", hint="use `spoke status`, `spoke session show`", code=ExitCode.USAGE
        )
    settings = context.settings()
    context.make_data_dir()
    encoding = (sys.stdout.encoding or "").lower()
    ascii_only = ascii_only or bool(os.environ.get("SPOKE_ASCII")) or "utf" not in encoding
    if colored() is False:
        os.environ["NO_COLOR"] = "1"
    elif colored():
        os.environ.pop("NO_COLOR", None)
    log_to_file(context.paths.log_file)
    with ExitStack() as stack:
        lock = ProcessLock(context.paths.daemon_lock)
        try:
            stack.enter_context(lock)
            alone = True
        except LockHeldError:
            alone = False  # a daemon, or another TUI, runs the services
        db = stack.enter_context(context.database())
        _run(context, db, settings.name, ascii_only=ascii_only, alone=alone)


def log_to_file(path: Path) -> None:
    """While the screen is ours, what happens goes into a file; it is cut at 1 MB, one older one is kept."""
    handler = RotatingFileHandler(path, maxBytes=1_000_000, backupCount=1, encoding="utf-8")
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", handlers=[handler]
    )
    logging.getLogger("websockets").setLevel(logging.WARNING)


def _run(context: Context, db: Database, name: str, *, ascii_only: bool, alone: bool) -> None:
    from app.tui.app import SpokeApp

    service: Service | None = None
    if alone:
        from app.services.node import run_node

        service = partial(run_node, db, context.settings(), context.paths)
    app = SpokeApp(
        db,
        node_name=name,
        service=service,
        daemon_running=lambda: holder(context.paths.daemon_lock) is not None,
        ascii_only=ascii_only,
    )
    app.run()
    if app.return_code:
        raise CommandError("the terminal UI ended with an error", hint="run it again with SPOKE_DEBUG=1")
