"""`spoke logs`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import click

from app.cli.context import Context, camel, json_option, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.views.log_lines import LEVELS, LogLine, log_line, parse_log

POLL_S = 0.5


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on with new entries until ^C.")
@click.option(
    "--level",
    type=click.Choice([level.lower() for level in LEVELS]),
    default="debug",
    help="Only entries at least so grave.",
)
@click.option("--count", "-n", type=click.IntRange(min=1), default=100, show_default=True, help="The newest so many.")
@click.option("--file", type=click.Path(path_type=Path), help="Another log.")
@json_option
@click.pass_obj
def logs(context: Context, follow: bool, level: str, count: int, file: Path | None, as_json: bool) -> None:
    """What the services of this node told: [log] file of the configuration, else the log of the terminal UI, or FILE.

    \b
    Example:
      spoke logs --level warning || true

    `spoke run` logs to its stderr: with systemd, `journalctl -u spoke` has it.
    """
    path = file or context.settings().log.file or context.paths.log_file
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError as error:
        raise CommandError(
            f"{path}: there is no log",
            hint="the terminal UI writes it while it runs the services; `spoke run` logs to stderr or the journal",
            code=ExitCode.FAILURE,
        ) from error
    least = LEVELS.index(level.upper())
    shown = [entry for entry in parse_log(lines) if entry.severity >= least]
    for entry in shown[-count:]:
        _print(entry, as_json)
    if not shown and not follow:
        say("nothing to show at that level")
    if follow:
        showing = False  # whether a line that goes on with the last entry is of one that is shown
        for line in _new_lines(path):
            (entry,) = parse_log([line])
            showing = entry.severity >= least if entry.logger else showing
            if showing:
                _print(entry, as_json)


def _print(entry: LogLine, as_json: bool) -> None:
    if as_json:
        print_json(camel(entry))
    else:
        click.echo("\n".join(log_line(entry)))


def _new_lines(path: Path) -> Iterator[str]:
    """Lines as they are written; a file that was cut or replaced is read from its beginning."""
    file = path.open(encoding="utf-8", errors="replace")
    file.seek(0, 2)
    while True:
        line = file.readline()
        if line:
            yield line
            continue
        time.sleep(POLL_S)
        try:
            fresh = path.stat()
        except FileNotFoundError:
            continue  # between two files of a rotation
        if fresh.st_ino != os.fstat(file.fileno()).st_ino or fresh.st_size < file.tell():
            file.close()
            file = path.open(encoding="utf-8", errors="replace")
