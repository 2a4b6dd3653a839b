"""`spoke session export` and `spoke session diff`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from app.cli.context import SESSION_ENV, Context, camel, json_option, now, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.projecting import project
from app.views.calls import read_calls
from app.views.report import session_json
from app.views.sessions import find_session, list_sessions
from app.views.text import of, safe
from app.views.waterfall import call_tree
from storage.engine import Snapshot

FORMAT_NAMES = ("otlp", "chrome", "mermaid", "json", "html")


@click.command()
@click.argument("session_id", metavar="[SESSION]", envvar=SESSION_ENV)
@click.option("--format", "format_name", type=click.Choice(FORMAT_NAMES), required=True, help="What to write.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="The file (default: stdout).")
@click.pass_obj
def export(context: Context, session_id: str, format_name: str, output: Path | None) -> None:
    """Write a session in a format of other programs.

    \b
    Examples:
      spoke session export 3f2a --format chrome -o trace.json    ui.perfetto.dev
      spoke session export 3f2a --format otlp -o spans.json      otel-tui, Jaeger
      spoke session export 3f2a --format mermaid                 Markdown
      spoke session export 3f2a --format html -o session.html    a browser
      spoke session export 3f2a --format json                    all of it

    Where an imported log knows no times, calls stand in log order behind the moment of the import; the file says so.
    """
    from app.views.exports import FORMATS, read_trace

    with context.database() as db:
        project(db)
        with db.snapshot() as snapshot:
            trace = read_trace(snapshot, session_id, now().timestamp() * 1000)
    text = FORMATS[format_name].render(trace)
    if output is None:
        click.echo(text, nl=not text.endswith("\n"))
    else:
        _write(output, text)
        say(f"{output}: {of(len(trace.tree.calls), 'call')}, for {FORMATS[format_name].opens_in}")


def _write(file: Path, text: str) -> None:
    """Raises CommandError when it cannot be written."""
    try:
        file.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise CommandError(
            f"{file}: cannot be written: {error.strerror}", hint="choose another file", code=ExitCode.CANNOT_CREATE
        ) from error


@click.command()
@click.argument("before")
@click.argument("after", required=False)
@click.option(
    "--percent",
    type=click.FloatRange(min=0),
    default=20.0,
    show_default=True,
    help="Slower or faster is what differs by more than this, and by a millisecond.",
)
@click.option("--ascii", "ascii_only", is_flag=True, help="Print ASCII alone.")
@json_option
@click.pass_obj
def diff(context: Context, before: str, after: str | None, percent: float, ascii_only: bool, as_json: bool) -> None:
    """Compare the calls of the session BEFORE with those of AFTER, or of the newest session.

    \b
    Examples:
      spoke session diff 3f2a
      spoke session diff 3f2a 3f2a --json

    Calls are the same if they have the same path: the operations that led to them, and their number among the calls of
    their operation there.
    """
    from app.views.diff import diff as differences
    from app.views.diff import difference_line

    with context.database() as db:
        project(db)
        with db.snapshot() as snapshot:
            first = find_session(snapshot, before)
            second = find_session(snapshot, _newest(snapshot) if after is None else after)
            trees = [call_tree(read_calls(snapshot, session.id)) for session in (first, second)]
    found = differences(trees[0], trees[1], percent)
    if as_json:
        print_json({"before": session_json(first), "after": session_json(second), "differences": camel(found)})
        return
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for difference in found:
        click.echo(difference_line(difference, columns, ascii_only=ascii_only))
    same = f"{of(len(trees[0].calls), 'call')} before, {of(len(trees[1].calls), 'call')} after"
    say(f"{safe(first.id[:8])} -> {safe(second.id[:8])}: {of(len(found), 'difference')} ({same})")


def _newest(snapshot: Snapshot) -> str:
    return list_sessions(snapshot, 1)[0].id
