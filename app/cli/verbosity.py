"""What -v says, on stderr: where things are, who runs the services, which files are opened, how long it took."""

from __future__ import annotations

import time
import traceback

import click

from app.cli.context import Context, say
from app.cli.options import how_verbose
from app.redact import redact
from storage.process_lock import holder

_BEGAN, _EXPLAINED = "spoke.verbose_began", "spoke.verbose_explained"


def begin(root: click.Context) -> None:
    """Note when this command began, and say at its end how long it took. What else there is to say waits until the
    whole command line is read: a -q may come."""
    if _BEGAN not in root.meta:
        root.meta[_BEGAN] = time.monotonic()
        root.call_on_close(lambda: _end(root))


def explain(about: str, text: str) -> None:
    """One line, without secrets, after those that say where this command works."""
    explain_where()
    say(f"{about:<9} {redact(text)}")


def explain_where() -> None:
    """Say once which configuration and data are used, and who runs the services; the second -v shows the log too."""
    ctx = click.get_current_context()
    context = ctx.find_root().obj
    if _EXPLAINED in ctx.meta or not how_verbose() or not isinstance(context, Context):
        return
    ctx.meta[_EXPLAINED] = True
    if how_verbose() > 1:
        from app import logs

        logs.set_up(logs.Logging(level="debug"))
    paths = context.paths
    explain("config", f"{paths.config_file}{'' if paths.config_file.is_file() else ' (not there)'}")
    explain("data", f"{paths.data_dir}{'' if paths.data_dir.is_dir() else ' (not there yet)'}")
    pid = holder(paths.daemon_lock)
    if pid is None:
        explain("services", "no process runs them here; this command works on the files itself")
    else:
        explain("services", f"process {pid}, socket {paths.socket}; this command works on the files beside it")


def _end(root: click.Context) -> None:
    with root.scope(cleanup=False):
        if how_verbose():
            explain("took", f"{time.monotonic() - root.meta[_BEGAN]:.3f} s")


def trace(error: BaseException) -> str:
    """An error with all its causes, without secrets: what -v adds to the line."""
    return redact("".join(traceback.format_exception(error)).rstrip())
