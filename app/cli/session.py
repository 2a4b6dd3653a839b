"""`spoke session`."""

from __future__ import annotations

import click

from app.cli.context import SESSION_ENV, Context, json_option, new_id, now, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.services.sessions import SessionRecorder


@click.group()
def session() -> None:
    """Start, end, list and show sessions.

    \b
    Example:
      export SPOKE_SESSION_ID=$(spoke session start "release 1.2")
      spoke record -- make build
      spoke session end
    """


@session.command()
@click.argument("title")
@click.option("--parent", "parent_id", help="The session that this one is a part of.")
@json_option
@click.pass_obj
def start(context: Context, title: str, parent_id: str | None, as_json: bool) -> None:
    """Start a session and print its id.

    \b
    Example:
      export SPOKE_SESSION_ID=$(spoke session start "release 1.2")
    """
    with context.database() as db:
        parent = _find(db, parent_id).id if parent_id is not None else None
        started = SessionRecorder(db, now, new_id).start(title, parent_id=parent)
    if as_json:
        print_json({"sessionId": started})
    else:
        click.echo(started)


@session.command()
@click.argument("session_id", metavar="[SESSION]", required=False, envvar=SESSION_ENV)
@click.option("--status", type=click.Choice(["completed", "failed", "aborted"]), default="completed", show_default=True)
@click.pass_obj
def end(context: Context, session_id: str | None, status: str) -> None:
    """End a session: SESSION, or the one in SPOKE_SESSION_ID.

    \b
    Example:
      spoke session end 3f2a --status failed
    """
    if session_id is None:
        raise click.UsageError("which session? give its id, or set SPOKE_SESSION_ID")
    with context.database() as db:
        found = _find(db, session_id)
        if found.status != "active":
            raise CommandError(f"session {found.id[:8]} has already ended ({found.status})", code=ExitCode.FAILURE)
        outcome = "completed" if status == "completed" else "failed" if status == "failed" else "aborted"
        SessionRecorder(db, now, new_id).end(found.id, outcome)
    say(f"session {found.id[:8]} {status}")
