"""`spoke find`."""

from __future__ import annotations

import shutil

import click

from app.cli.context import Context, Progress, camel, json_option, print_json, say
from app.cli.exit_codes import ExitCode
from app.cli.projecting import project_log
from app.views.find import KINDS, found_line
from app.views.find import find as search

MAX_TEXT = 1_000


@click.command()
@click.argument("text")
@click.option(
    "--in", "kinds", type=click.Choice(KINDS), multiple=True, help="Only there; may be repeated. Default: everywhere."
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Of each kind, at most.")
@json_option
@click.pass_obj
def find(context: Context, text: str, kinds: tuple[str, ...], limit: int, as_json: bool) -> int:
    """Find TEXT in calls (operation, input, output, error), messages and events.

    \b
    Examples:
      spoke record -- make test
      spoke find make --in calls
      spoke find session.started --limit 5 --json

    The newest of each kind first. Letters of ASCII have no case. Text is compared
    as JSON writes it: quotes and line ends in TEXT are found too. Exits with 1
    when there is nothing. With --json one object a line.
    """
    if not text or len(text) > MAX_TEXT:
        raise click.UsageError(f"TEXT has between 1 and {MAX_TEXT} characters")
    width = max(60, shutil.get_terminal_size().columns)
    progress = Progress("looking through")
    number = 0
    with context.database() as db:
        project_log(db)
        with db.snapshot() as snapshot:
            for found in search(snapshot, text, kinds or KINDS, limit, progress):
                progress.end()
                number += 1
                if as_json:
                    print_json(camel(found))
                else:
                    click.echo(found_line(found, width, lambda hit: click.style(hit, bold=True, fg="yellow")))
        progress.end()
    if not number:
        say("nothing holds that text" + (f" in {', '.join(kinds)}" if kinds else ""))
    return ExitCode.OK if number else ExitCode.FAILURE
