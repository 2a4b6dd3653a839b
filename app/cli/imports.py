"""`spoke import`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from app.cli.context import Context, Progress, json_option, now, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.views.text import of

if TYPE_CHECKING:
    from app.importers.imported import Imported
    from storage.engine import Database

QUIET_S = 3_600
"""A transcript that nobody has written to for so long is of a session that is over."""

Reader: TypeAlias = Callable[[Path], Iterable["Imported"]]

watch_option = click.option("--watch", is_flag=True, help="Go on until ^C: import what comes as it comes.")


@click.group(name="import")
def import_() -> None:
    """Import sessions from the logs of agent tools.

    \b
    Example:
      spoke import swe-agent runs/*.traj

    Importing again writes only what is new: every event is in the log once, however often its file is read.
    """


@import_.command(name="swe-agent")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@watch_option
@json_option
@click.pass_obj
def swe_agent(context: Context, files: tuple[Path, ...], watch: bool, as_json: bool) -> None:
    """Import SWE-agent trajectories (*.traj, or folders of them), one session a file.

    \b
    Example:
      spoke import swe-agent runs/*.traj
    """
    from app.importers.swe_agent import read

    _run(context, files, ".traj", lambda path: [read(path.read_bytes(), path.stem)], watch=watch, as_json=as_json)


@import_.command(name="claude-code")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@watch_option
@json_option
@click.pass_obj
def claude_code(context: Context, paths: tuple[Path, ...], watch: bool, as_json: bool) -> None:
    """Import Claude Code transcripts (*.jsonl, or folders of them); ~/.claude/projects if no PATH is given.

    \b
    Example:
      spoke import claude-code transcripts

    Tools become calls, sub-agents sessions below the session that started them.
    """
    from app.importers.claude_code import read

    def sessions(path: Path) -> Iterable[Imported]:
        quiet = now().timestamp() - path.stat().st_mtime > QUIET_S
        return read(path.read_bytes(), path.stem, quiet=quiet)

    _run(context, paths or (Path.home() / ".claude" / "projects",), ".jsonl", sessions, watch=watch, as_json=as_json)


@import_.command()
@click.argument("database", required=False, type=click.Path(path_type=Path))
@watch_option
@json_option
@click.pass_obj
def opencode(context: Context, database: Path | None, watch: bool, as_json: bool) -> None:
    """Import the sessions of opencode's DATABASE; $XDG_DATA_HOME/opencode/opencode.db if none is given.

    \b
    Example:
      spoke import opencode opencode.db
    """
    from app.importers.opencode import read

    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    path = database or data / "opencode" / "opencode.db"
    _run(
        context,
        (path,),
        path.suffix,
        lambda path: read(path, int(now().timestamp() * 1000)),
        watch=watch,
        as_json=as_json,
    )


def _run(context: Context, paths: tuple[Path, ...], suffix: str, reader: Reader, *, watch: bool, as_json: bool) -> None:
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise CommandError(f"{missing[0]}: there is none", hint="check the path", code=ExitCode.NO_INPUT)
    with context.database() as db:
        bad = _import(db, list(_files(paths, suffix)), reader, as_json=as_json, quiet=False)
        if watch:
            say("watching; ^C ends it")
            for changed in _changes(paths, suffix):
                _import(db, changed, reader, as_json=as_json, quiet=True)
    if bad:
        raise CommandError(
            f"{of(bad, 'file')} could not be imported, see above; everything else was",
            hint="check that they are the right files for this importer, and complete",
            code=ExitCode.DATA,
        )


def _files(paths: Iterable[Path], suffix: str) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.rglob(f"*{suffix}"))
        else:
            yield path


def _changes(paths: tuple[Path, ...], suffix: str) -> Iterator[list[Path]]:
    """The files that were changed, again and again. What a database writes beside itself counts for it."""
    import watchfiles

    roots = {path if path.is_dir() else path.parent for path in paths}
    named = {path for path in paths if not path.is_dir()}
    for changes in watchfiles.watch(*roots, raise_interrupt=False, watch_filter=None):
        touched = {Path(text.removesuffix("-wal")) for _, text in changes}
        found = {path for path in touched if path in named or any(path.is_relative_to(p) for p in paths if p.is_dir())}
        existing = sorted(path for path in found if path.suffix == suffix and path.is_file())
        if existing:
            yield existing


def _import(db: Database, files: list[Path], reader: Reader, *, as_json: bool, quiet: bool) -> int:
    from app.importers.imported import ImportFailedError, store

    progress, bad = Progress("files"), 0
    results: list[dict[str, Any]] = []
    try:
        for number, path in enumerate(files, 1):
            try:
                for imported in reader(path):
                    events = store(db, imported, int(now().timestamp()))
                    calls = sum(1 for event in imported.calls if type(event).__name__ == "CallRequested")
                    results.append(
                        {
                            "name": imported.name,
                            "sessionId": imported.session_id,
                            "calls": calls,
                            "newEvents": events,
                            "new": events > 0,
                        }
                    )
            except (ImportFailedError, OSError) as error:
                progress.end()
                say(f"{path}: {error.strerror if isinstance(error, OSError) else error}")
                bad += 1
            progress(number, len(files))
    finally:
        progress.end()
    shown = [result for result in results if result["new"]] if quiet else results
    if as_json and (shown or not quiet):
        print_json(shown)
    elif not as_json:
        for result in shown:
            note = "" if result["new"] else "  (was there already)"
            click.echo(f"{str(result['sessionId'])[:8]}  {of(result['calls'], 'call'):>9}  {result['name']}{note}")
    return bad
