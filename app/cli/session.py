"""`spoke session`."""

from __future__ import annotations

import shutil

import click

from app.cli.context import SESSION_ENV, Context, as_wanted, camel, json_option, new_id, now, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.projecting import project
from app.cli.session_export import diff, export
from app.cli.session_live import ascii_option, depth_option, fold_option, replay, watch
from app.services.sessions import SessionRecorder
from app.views.calls import read_calls
from app.views.messages import conversation, read_messages
from app.views.report import session_json, session_line, title_line, waterfall_lines
from app.views.sessions import SessionRow, find_session, list_sessions
from app.views.waterfall import call_tree, critical_path, folds
from storage.engine import Database
from storage.events.session_events import EndStatus

STATUSES: dict[str, EndStatus] = {"completed": "completed", "failed": "failed", "aborted": "aborted"}


@click.group()
def session() -> None:
    """Start, end, list, show, watch, replay, export and compare sessions.

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
@click.option("--status", type=click.Choice(list(STATUSES)), default="completed", show_default=True)
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
        SessionRecorder(db, now, new_id).end(found.id, STATUSES[status])
    say(f"session {found.id[:8]} {status}")


@session.command(name="list")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@json_option
@click.pass_obj
def list_(context: Context, limit: int, as_json: bool) -> None:
    """List the newest sessions first.

    \b
    Example:
      spoke session list --limit 10
    """
    with context.database() as db:
        project(db)
        with db.snapshot() as snapshot:
            rows = list_sessions(snapshot, limit)
    if as_json:
        print_json([session_json(row) for row in rows])
    elif not rows:
        say("no sessions yet — record one: spoke record -- ls")
    for row in () if as_json else rows:
        click.echo(session_line(row, shutil.get_terminal_size().columns, when=as_wanted()))


@session.command()
@click.argument("session_id", metavar="[SESSION]", required=False, envvar=SESSION_ENV)
@click.option("--width", type=click.IntRange(min=40), help="Columns to draw in (default: the terminal's).")
@click.option("--critical", is_flag=True, help="Mark with * the calls that the end waited for.")
@click.option("--messages", is_flag=True, help="Show what was said instead: messages, tools, results.")
@depth_option
@fold_option
@ascii_option
@json_option
@click.pass_obj
def show(
    context: Context,
    session_id: str | None,
    width: int | None,
    critical: bool,
    messages: bool,
    depth: int | None,
    fold: str | None,
    ascii_only: bool,
    as_json: bool,
) -> None:
    """Show a session as a waterfall of its calls: SESSION, or the newest.

    \b
    Examples:
      spoke session show
      spoke session show 3f2a --critical --depth 3
      spoke session show 3f2a --messages
    """
    now_ms = now().timestamp() * 1000
    with context.database() as db:
        project(db)
        with db.snapshot() as snapshot:
            if session_id is None:
                newest = list_sessions(snapshot, 1)
                if not newest:
                    raise CommandError("no sessions yet", hint="record one: spoke record -- ls")
                found = newest[0]
            else:
                found = find_session(snapshot, session_id)
            calls = read_calls(snapshot, found.id)
            said = read_messages(snapshot, found.id, calls) if messages else []
    tree = call_tree(calls)
    path = critical_path(tree, now_ms) if critical else frozenset[str]()
    if as_json:
        more = {"messages": camel(said)} if messages else {}
        marked = {"criticalPath": [call.request_id for call in calls if call.request_id in path]} if critical else {}
        print_json({**session_json(found), "calls": camel(calls), **marked, **more})
        return
    columns = width or shutil.get_terminal_size().columns
    if messages:
        click.echo(title_line(found, tree, columns, ascii_only=ascii_only).rstrip())
        by_id = {call.request_id: call for call in calls}
        for line in conversation(said, by_id, columns, ascii_only=ascii_only, when=as_wanted()):
            click.echo(line.text)
        if not said:
            say("nothing was said in this session: its calls are at `spoke session show`")
        return
    hidden = folds(tree, depth, ok=fold == "ok")
    click.echo(
        "\n".join(waterfall_lines(found, tree, now_ms, columns, folded=hidden, critical=path, ascii_only=ascii_only))
    )
    if critical and not tree.timed and calls:
        say("no critical path: when the calls of this session began is not known")


def _find(db: Database, prefix: str) -> SessionRow:
    project(db)
    with db.snapshot() as snapshot:
        return find_session(snapshot, prefix)


for command in (watch, replay, export, diff):
    session.add_command(command)
