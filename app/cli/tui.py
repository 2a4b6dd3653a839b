"""`spoke tui`, and `spoke` alone."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app import logs
from app.cli.context import Context
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.options import colored, say_read_only
from app.services.supervisor import Service
from app.storage_limit import obey
from storage.engine import Database
from storage.process_lock import LockHeldError, ProcessLock, holder

if TYPE_CHECKING:
    from app.config import Settings

FPS, SSH_FPS = 4.0, 2.0


@click.command()
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII alone (also SPOKE_ASCII=1, [ui] ascii).")
@click.option(
    "--read-only",
    is_flag=True,
    expose_value=False,
    callback=lambda ctx, _, value: say_read_only(ctx, value),
    help="Look, change nothing: verbs that write are disabled, nothing is run, files are opened without write access.",
)
@click.option("--theme", help="A theme for this time ([ui] theme makes it stay).")
@click.pass_obj
def tui(context: Context, ascii_only: bool, theme: str | None) -> None:
    """Open the terminal UI.

    \b
    Example:
      spoke tui

    Without a running daemon it runs the services of this node itself, until it is closed; with one, or another
    terminal UI, it shows what they do. `?` shows the keys, `:` everything that can be done. NO_COLOR is respected;
    without a UTF-8 locale it draws with ASCII.
    """
    open_tui(context, ascii_only=ascii_only, theme=theme)


def open_tui(context: Context, *, ascii_only: bool = False, theme: str | None = None) -> None:
    """Run the TUI on this terminal until it is closed."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandError(
            "the terminal UI needs a terminal", hint="use `spoke status`, `spoke session show`", code=ExitCode.USAGE
        )
    settings = context.settings()
    read_only = context.read_only
    if not read_only:
        context.make_data_dir()
    encoding = (sys.stdout.encoding or "").lower()
    ascii_only = ascii_only or bool(os.environ.get("SPOKE_ASCII")) or "utf" not in encoding
    if colored() is False:
        os.environ["NO_COLOR"] = "1"
    elif colored():
        os.environ.pop("NO_COLOR", None)
    os.environ.pop("TEXTUAL_COLOR_SYSTEM", None)  # Textual dies of a value that it does not know
    # While the screen is ours, what happens goes into a file of our own; read-only runs no services and keeps no log.
    file = Path(os.devnull) if read_only else context.paths.log_file
    logs.set_up(replace(logs.Logging.of(settings), file=file, max_bytes=1_000_000, keep=1))
    with ExitStack() as stack:
        lock = ProcessLock(context.paths.daemon_lock)
        alone = False  # a daemon, or another TUI, runs the services
        if not read_only:
            with suppress(LockHeldError):
                stack.enter_context(lock)
                alone = True
        db = stack.enter_context(context.database())
        _run(context, db, settings, ascii_only=ascii_only, alone=alone, read_only=read_only, theme=theme)


def _run(
    context: Context,
    db: Database,
    settings: Settings,
    *,
    ascii_only: bool,
    alone: bool,
    read_only: bool,
    theme: str | None,
) -> None:
    from app.services.operating import Operating
    from app.services.outputs import Calling
    from app.tui.app import SpokeApp
    from app.tui.appearance import Appearance

    paths = context.paths

    def appearance(said: Settings) -> Appearance:
        return Appearance(
            ascii_only=ascii_only or said.ui.ascii,
            theme=theme or said.ui.theme,
            keys=said.keys,
            pager_json=said.ui.pager_json,
            themes=paths.themes,
            reread=reread,
            config_file=paths.config_file,
        )

    def reread() -> Appearance:
        said = context.settings()
        obey(db, said)
        return appearance(said)

    service: Service | None = None
    if alone:
        from app.services.node import run_node
        from app.services.reload import Reloading

        service = partial(run_node, db, paths, Reloading(paths, settings, flags=context.flags))
    operating = Operating(db, settings, paths)
    fps = settings.ui.max_fps or (SSH_FPS if os.environ.get("SSH_TTY") else FPS)
    app = SpokeApp(
        db,
        node_name=settings.name,
        service=service,
        daemon_running=lambda: holder(paths.daemon_lock) is not None,
        operate=None if read_only else operating.execute,
        calling=Calling(db, settings, paths, operating, lambda: service is None),
        appearance=appearance(settings),
        read_only=read_only,
        hub_dir=paths.hub_dir if paths.hub_dir.is_dir() else None,
        log_file=paths.log_file,
        repaint_s=1 / fps,
        sparing="SSH_TTY" in os.environ,
    )
    app.run(mouse=settings.ui.mouse)
    if app.failure is not None:
        raise CommandError(
            f"the terminal UI ended with an error: {app.failure}",
            hint="please report it" if read_only else f"{paths.log_file} has the details; please report them",
            code=ExitCode.BUG,
        )
