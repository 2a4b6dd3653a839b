"""`spoke record`."""

from __future__ import annotations

import os
import re
import shlex

import click

from app.cli.context import PARENT_ENV, SESSION_ENV, Context, new_id, now, say
from app.cli.options import refuse_change


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--title", help="Title of the session (default: the command).")
@click.option("--session", "session_id", envvar=SESSION_ENV, help="Record into this session (SPOKE_SESSION_ID).")
@click.option("--parent", "parent_id", envvar=PARENT_ENV, hidden=True)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def record(
    context: Context, title: str | None, session_id: str | None, parent_id: str | None, command: tuple[str, ...]
) -> int:
    """Run COMMAND as a recorded call: argv, exit code, duration, and how its output begins and ends.

    \b
    Examples:
      spoke record -- make test
      spoke record --title nightly -- sh -c 'spoke record -- ls'

    Its output passes through, its exit code is the exit code. Without --session it gets a session of its own; a
    `spoke record` or `spoke call` that it starts becomes a child of its call.
    """
    from app.services.command import run_recorded
    from app.services.sessions import SessionRecorder
    from sync.calls.access import owner
    from sync.calls.events import Call
    from sync.calls.recorder import Recorder

    refuse_change(click.get_current_context())  # what follows `record` is another program's: it has no --read-only
    text = shlex.join(command)
    with context.database() as db:
        sessions = SessionRecorder(db, now, new_id)
        own = session_id is None
        session = session_id if session_id is not None else sessions.start(title or text, ours=True)
        call = Call(
            operation_id=f"command.{_name(command[0])}",
            input={"argv": list(command)},
            identity=owner(os.getuid()),
            parent_request_id=parent_id,
            session_id=session,
        )
        exit_code = None
        try:
            exit_code = run_recorded(Recorder(db, now, new_id), call, list(command))
        finally:
            if own:
                sessions.end(
                    session, "completed" if exit_code == 0 else "failed" if exit_code is not None else "aborted"
                )
    if own:
        say(f"recorded in session {session[:8]} — spoke session show {session[:8]}")
    return exit_code


def _name(program: str) -> str:
    """The program's name as the second half of an operation id."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", program.rsplit("/", 1)[-1]) or "_"
