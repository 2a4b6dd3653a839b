"""`spoke import`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from app.cli.context import Context, Progress, json_option, now, print_json
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.views.text import of


@click.group(name="import")
def import_() -> None:
    """Import sessions from the logs of agent tools.

    \b
    Example:
      spoke import swe-agent runs/*.traj
    """


@import_.command(name="swe-agent")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def swe_agent(context: Context, files: tuple[Path, ...], as_json: bool) -> None:
    """Import SWE-agent trajectories, one session a file.

    \b
    Example:
      spoke import swe-agent runs/*.traj

    Every file is read and checked before anything is written; a file that was imported before is left alone.
    """
    from app.importers.imported import ImportFailedError, store
    from app.importers.swe_agent import read

    progress = Progress("reading")
    sessions = []
    try:
        for number, file in enumerate(files, 1):
            sessions.append(read(_bytes(file), file.stem))
            progress(number, len(files))
    except ImportFailedError as error:
        raise CommandError(f"{error}; nothing was imported", hint=error.hint, code=ExitCode.DATA) from error
    finally:
        progress.end()
    results: list[dict[str, Any]] = []
    with context.database() as db:
        for imported in sessions:
            new = store(db, imported, int(now().timestamp()))
            calls = sum(1 for event in imported.calls if type(event).__name__ == "CallRequested")
            results.append({"name": imported.name, "sessionId": imported.session_id, "calls": calls, "new": new})
    if as_json:
        print_json(results)
    else:
        for result in results:
            note = "" if result["new"] else "  (was there already)"
            click.echo(f"{str(result['sessionId'])[:8]}  {of(result['calls'], 'call'):>9}  {result['name']}{note}")


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CommandError(
            f"{file}: {error.strerror}; nothing was imported", hint="check the path", code=ExitCode.NO_INPUT
        ) from error
