"""`spoke logs`."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from typing import TextIO

import click

from app.cli.context import Context, as_wanted, camel, json_option, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.views.log_lines import LEVELS, LogLine, log_line, parse_log

POLL_S = 0.5
SINCE = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on with new entries until ^C.")
@click.option(
    "--level",
    type=click.Choice([level.lower() for level in LEVELS]),
    default="debug",
    help="Only entries at least so grave.",
)
@click.option("--count", "-n", type=click.IntRange(min=1), default=100, show_default=True, help="The newest so many.")
@click.option("--since", type=click.DateTime(SINCE), help="Only entries from then on, in local time.")
@click.option("--file", type=click.Path(path_type=Path), help="Another log.")
@json_option
@click.pass_obj
def logs(
    context: Context, follow: bool, level: str, count: int, since: datetime | None, file: Path | None, as_json: bool
) -> None:
    """What the services of this node told: [log] file of the configuration, else the log of the terminal UI, or FILE.

    \b
    Example:
      spoke logs --level warning || true

    `spoke run` logs to its stderr: with systemd, `journalctl -u spoke` has it.
    """
    path = file or context.settings().log.file or context.paths.log_file
    least = LEVELS.index(level.upper())
    since_ms = None if since is None else since.astimezone().timestamp() * 1000

    def wanted(entry: LogLine) -> bool:
        recent = since_ms is None or (entry.at_ms is not None and entry.at_ms >= since_ms)
        return entry.severity >= least and recent

    try:
        log = path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError as error:
        raise CommandError(
            f"{path}: there is no log",
            hint="the terminal UI writes it while it runs the services; `spoke run` logs to stderr or the journal",
            code=ExitCode.FAILURE,
        ) from error
    with log:
        shown = deque(filter(wanted, parse_log(log)), maxlen=count)
        for entry in shown:
            _print(entry, as_json)
        if not follow:
            if not shown:
                say("nothing to show at that level")
            return
        showing = False  # whether a line that goes on with the last entry is of one that is shown
        for line in _new_lines(path, log):
            (entry,) = parse_log([line])
            showing = wanted(entry) if entry.logger else showing
            if showing:
                _print(entry, as_json)


def _print(entry: LogLine, as_json: bool) -> None:
    if as_json:
        print_json(camel(entry))
    else:
        click.echo("\n".join(log_line(entry, as_wanted())))


def _new_lines(path: Path, file: TextIO) -> Generator[str, None, None]:
    """Whole lines as they are written behind what was read of `file`; a file that was cut or replaced is read from its
    beginning.
    """
    line = ""
    try:
        while True:
            line += file.readline()
            if line.endswith("\n"):
                yield line
                line = ""
                continue
            time.sleep(POLL_S)
            try:
                fresh = path.stat()
                if fresh.st_ino == os.fstat(file.fileno()).st_ino and fresh.st_size >= file.tell():
                    continue
                following = path.open(encoding="utf-8", errors="replace")
            except FileNotFoundError:
                continue  # between two files of a rotation
            yield from (line + file.read()).splitlines()  # what was written between the last look and the rotation
            file.close()
            file, line = following, ""
    finally:
        file.close()
