"""`spoke import`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.context import Context, Progress, json_option, now, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.options import dry_run, dry_run_option, told
from app.views.text import of

if TYPE_CHECKING:
    from app.importers.imported import Imported, Reader
    from storage.engine import Database

SETTLE_MS = 1_000
"""With --watch: what is written within so long is imported together."""

watch_option = click.option("--watch", is_flag=True, help="Go on until ^C: import what comes as it comes.")


@click.group(name="import")
def import_() -> None:
    """Import sessions from the logs of agent tools.

    \b
    Example:
      spoke import swe-agent runs/*.traj

    Importing again writes only what is new: every event is in the log once,
    however often its file is read. With --dry-run other programs wait with what
    they want to write until it has ended.
    """


@import_.command(name="swe-agent")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@watch_option
@dry_run_option
@json_option
@click.pass_obj
def swe_agent(context: Context, paths: tuple[Path, ...], watch: bool, as_json: bool) -> None:
    """Import SWE-agent trajectories (*.traj, or folders), one session a file.

    \b
    Example:
      spoke import swe-agent runs/*.traj

    With --watch, a trajectory is imported when it says how it ended.
    """
    from app.importers.swe_agent import has_ended, read

    def sessions(path: Path) -> Iterable[Imported]:
        data = path.read_bytes()
        return [] if watch and not has_ended(data) else [read(data, path.stem)]

    _run(context, paths, ".traj", sessions, watch=watch, as_json=as_json)


@import_.command(name="claude-code")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@watch_option
@dry_run_option
@json_option
@click.pass_obj
def claude_code(context: Context, paths: tuple[Path, ...], watch: bool, as_json: bool) -> None:
    """Import Claude Code transcripts (*.jsonl, or folders).

    \b
    Example:
      spoke import claude-code transcripts

    Without PATHS it imports ~/.claude/projects. Tools become calls, sub-agents
    sessions below the session that started them.
    """
    from app.importers.claude_code import read

    def sessions(path: Path) -> Iterable[Imported]:
        return read(path.read_bytes(), path.stem, _now_ms())

    _run(context, paths or (Path.home() / ".claude" / "projects",), ".jsonl", sessions, watch=watch, as_json=as_json)


@import_.command()
@click.argument("database", required=False, type=click.Path(path_type=Path))
@watch_option
@dry_run_option
@json_option
@click.pass_obj
def opencode(context: Context, database: Path | None, watch: bool, as_json: bool) -> None:
    """Import the sessions of opencode's DATABASE, or of a folder that holds it.

    \b
    Example:
      spoke import opencode opencode.db

    Without DATABASE it imports $XDG_DATA_HOME/opencode/opencode.db.
    """
    from app.importers.imported import QUIET_MS
    from app.importers.opencode import read

    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    path = database or data / "opencode"
    since_ms = 0

    def sessions(path: Path) -> Iterable[Imported]:
        nonlocal since_ms
        at_ms = _now_ms()
        yield from read(path, at_ms, since_ms=since_ms)
        since_ms = at_ms - 2 * QUIET_MS  # what was changed before then was over by now, and is imported

    path = path / "opencode.db" if path.is_dir() else path
    _run(context, (path,), path.suffix, sessions, watch=watch, as_json=as_json)


def _now_ms() -> int:
    return int(now().timestamp() * 1000)


def _run(context: Context, paths: tuple[Path, ...], suffix: str, reader: Reader, *, watch: bool, as_json: bool) -> None:
    if watch and dry_run():
        raise click.UsageError("--watch goes on until ^C: --dry-run is for what is there now")
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise CommandError(
            f"{missing[0]}: there is no such file or folder", hint="check the path", code=ExitCode.NO_INPUT
        )
    with context.database() as db:
        if watch:
            with suppress(KeyboardInterrupt):  # the way to end it; a session that is being written is taken back whole
                for files in _changes([path.resolve() for path in paths], suffix):
                    _import(db, files, reader, as_json=as_json, only_new=True)
            return
        bad = _import(db, _files(paths, suffix), reader, as_json=as_json, only_new=False)
    if bad:
        raise CommandError(
            f"{of(bad, 'file')} could not be imported; everything else {told('was', 'would be')}",
            hint="see above; check that it is the right file for this importer, and complete",
            code=ExitCode.DATA,
        )


def _files(paths: Iterable[Path], suffix: str) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += sorted(path.rglob(f"*{suffix}")) if path.is_dir() else [path]
    return found


def _changes(paths: list[Path], suffix: str) -> Iterator[list[Path]]:
    """All files, then those that were changed, again and again until ^C. A database's log (-wal) counts for it."""
    import watchfiles

    roots = {path if path.is_dir() else path.parent for path in paths}
    started = False
    for changes in watchfiles.watch(
        *roots,
        watch_filter=None,
        debounce=SETTLE_MS,
        step=SETTLE_MS // 4,
        rust_timeout=SETTLE_MS,
        yield_on_timeout=True,
        recursive=any(path.is_dir() for path in paths),
    ):
        if not started:  # the watch stands: nothing that is written from here on is missed
            started = True
            say("watching; ^C ends it")
            yield _files(paths, suffix)
            continue
        touched = {Path(text.removesuffix("-wal")) for _, text in changes}
        wanted = [path for path in touched if any(path.is_relative_to(one) for one in paths)]
        # A new folder may have got files before it was watched.
        found = {file for file in _files(wanted, suffix) if file.suffix == suffix and file.is_file()}
        if found:
            yield sorted(found)


def _import(db: Database, files: list[Path], reader: Reader, *, as_json: bool, only_new: bool) -> int:
    """Import what can be imported, and say what cannot; returns how many files could not."""
    from app.importers.imported import ImportFailedError, store
    from storage.events.call_events import CallRequested

    progress, bad = Progress("files"), 0
    results: list[dict[str, Any]] = []
    try:
        for number, path in enumerate(files, 1):
            try:
                for imported in reader(path):
                    new = store(db, imported, int(now().timestamp()))
                    calls = sum(isinstance(event, CallRequested) for event in imported.calls)
                    result: dict[str, Any] = {"name": imported.name, "sessionId": imported.session_id, "calls": calls}
                    results.append({**result, "newEvents": new, "new": new > 0})
            except (ImportFailedError, OSError) as error:
                progress.end()
                say(f"{path}: {error.strerror if isinstance(error, OSError) else error}")
                bad += 1
            progress(number, len(files))
    finally:
        progress.end()
    shown = [result for result in results if result["new"] or not only_new]
    if as_json and (shown or not only_new):
        print_json(shown)
    elif not as_json:
        for result in shown:
            would = told("", f"  ({of(result['newEvents'], 'new event')} would be imported)")
            note = would if result["new"] else "  (was there already)"
            click.echo(f"{str(result['sessionId'])[:8]}  {of(result['calls'], 'call'):>9}  {result['name']}{note}")
    return bad
