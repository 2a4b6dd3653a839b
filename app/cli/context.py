"""What every command needs: where things are, and the node's database, opened when it is asked for."""

from __future__ import annotations

import json
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.options import as_told, dry_run, how_verbose, interactive, quiet, read_only, time_format
from app.paths import Paths, resolve
from app.storage_limit import configured_limit
from app.views.camel import camel as camel
from storage.engine import Database
from storage.process_lock import ProcessLock, refuse_held
from storage.replacing import waits
from storage.tenants import open_tenant_database, rehearse_database

if TYPE_CHECKING:
    from app.config import Settings

SESSION_ENV = "SPOKE_SESSION_ID"
PARENT_ENV = "SPOKE_PARENT_REQUEST_ID"


class Context:
    """One invocation of `spoke`."""

    def __init__(self, data_dir: Path | None, config_file: Path | None, flags: tuple[str, ...] = ()) -> None:
        self.paths: Paths = resolve(data_dir, config_file)
        self._flags = flags
        self._rehearsed: dict[Path, Database] = {}

    @property
    def flags(self) -> tuple[str, ...]:
        """`TABLE.KEY=VALUE` of the command line: what wins over every other configuration."""
        return (*self._flags, "log.level=debug") if how_verbose() > 1 else self._flags

    @property
    def read_only(self) -> bool:
        """Whether nothing may be changed (--read-only)."""
        return read_only()

    @property
    def max_bytes(self) -> int | None:
        """How much a tenant's file may hold (`storage.max_bytes`)."""
        return configured_limit(self.paths, self.flags)

    def settings(self) -> Settings:
        """The configuration; reading it costs pydantic, so only commands that need it ask."""
        from app.config import load

        if how_verbose():
            from app.cli.verbosity import explain_where

            explain_where()
        self._finish_restore()
        return load(self.paths, self.flags)

    def make_data_dir(self) -> None:
        """Create the data directory (0700).

        Raises:
            CommandError: it cannot be made, or nothing may be.
        """
        if self.read_only:
            raise CommandError(
                "this would change something, and --read-only was said", hint="leave it out", code=ExitCode.DENIED
            )
        if dry_run():
            self._finish_restore()
            return
        try:
            self.paths.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise CommandError(
                f"{self.paths.data_dir}: cannot create the data directory: {error.strerror}",
                hint="choose another one with --data-dir or SPOKE_DATA_DIR",
                code=ExitCode.CANNOT_CREATE,
            ) from error
        self._finish_restore()

    def _finish_restore(self) -> None:
        """A restore that was cut off after it had been decided goes on before anybody opens what it replaces."""
        if not waits(self.paths.data_dir):
            return
        if self.read_only or dry_run():
            raise CommandError(
                f"{self.paths.data_dir}: a restore was interrupted, and has to be finished first",
                hint="any command without --read-only or --dry-run does that",
                code=ExitCode.TEMPORARY,
            )
        from app.restore import finish_restore

        if finish_restore(self.paths):
            say("a restore that was interrupted is finished now")

    def databases(self) -> tuple[Path, ...]:
        """The database files that are here.

        Raises:
            CommandError: there is none.
        """
        self._finish_restore()
        files = self.paths.databases
        if not files:
            raise self._none_here(self.paths.data_dir)
        return files

    @staticmethod
    def _none_here(where: Path) -> CommandError:
        return CommandError(
            f"{where}: there is no database",
            hint="choose the right --data-dir or SPOKE_DATA_DIR",
            code=ExitCode.NO_INPUT,
        )

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The node's tenant file, created on first use, closed at the end; with --read-only as it is.

        With --dry-run it is a rehearsal, the same one each time until the command ends.

        Raises:
            CommandError: with --read-only, there is none.
        """
        if dry_run():
            self._finish_restore()
        elif self.read_only:
            self._finish_restore()
            if not self.paths.tenant_db.is_file():
                raise self._none_here(self.paths.tenant_db)
        else:
            self.make_data_dir()
        with self.tenant_file(self.paths.tenant_db) as db:
            yield db

    def tenant_file(self, path: Path) -> AbstractContextManager[Database]:
        """A tenant's file, the node's or one of a hub's; its folder is there."""
        return self.opened(path, lambda: open_tenant_database(path, read_only=self.read_only, max_bytes=self.max_bytes))

    @contextmanager
    def opened(self, path: Path, open_: Callable[[], Database]) -> Iterator[Database]:
        """What `open_` opens, closed at the end; with --dry-run a rehearsal of the file instead."""
        if dry_run():
            yield self._rehearsal(path)
            return
        self._explain_open(path)
        db = open_()
        try:
            yield db
        finally:
            db.close()

    def _rehearsal(self, path: Path) -> Database:
        """A database on which nothing stays of what is done; it is closed when the command ends."""
        if path not in self._rehearsed:
            self._explain_open(path)
            db = self._rehearsed[path] = rehearse_database(path, max_bytes=self.max_bytes)
            click.get_current_context().find_root().call_on_close(db.close)
        return self._rehearsed[path]

    @contextmanager
    def alone(self, lock: Path) -> Iterator[None]:
        """Nobody else has this lock meanwhile; with --dry-run nobody has it now.

        Raises:
            LockHeldError: another process has it.
        """
        if dry_run():
            refuse_held(lock)
            yield
            return
        with ProcessLock(lock):
            yield

    def _explain_open(self, path: Path) -> None:
        """Say which file is opened, and how, where -v was said."""
        if how_verbose():
            from app.cli.verbosity import explain

            how = "to try it, then all is undone" if dry_run() else "to read" if self.read_only else "to read and write"
            explain("opens", f"{path}, {how}")


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def relative(at_ms: float | None) -> str:
    """A moment, as long ago as it is, unless --time-format wants it otherwise."""
    from app.views.times import when  # costs 15 ms, which plain commands do without

    return when(at_ms, int(now().timestamp() * 1000), time_format() or "relative")


def as_wanted() -> Callable[[float | None], str] | None:
    """Writes moments as --time-format wants them; None where it was not said: then commands do as they always do."""
    return None if time_format() is None else relative


def new_id() -> str:
    """A fresh id for a call, a session, a message."""
    return str(uuid.uuid4())


_UNSHOWN = re.compile(
    "[\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0001-\U000e007f]"
)
"""What a terminal would obey or hide (the controls below 0x20 JSON escapes itself), and halves of surrogate pairs."""


def shown_json(text: str) -> str:
    """JSON with what a terminal would obey or hide written as `\\uXXXX`: the same document."""
    return text if text.isascii() and "\x7f" not in text else _UNSHOWN.sub(lambda one: json.dumps(one[0])[1:-1], text)


def print_json(value: Any) -> None:
    """Print a document for programs, on one line: UTF-8 kept, but nothing that a terminal would obey."""
    click.echo(shown_json(json.dumps(as_told(value), ensure_ascii=False, separators=(",", ":"))))


def say(text: str) -> None:
    """Talk to the person: on stderr, so that stdout stays data; --quiet silences it."""
    if quiet():
        return
    if not text.isascii() or not text.replace("\n", "").isprintable():
        from app.views.text import safe  # costs 15 ms, which plain commands do without

        text = "\n".join(map(safe, text.split("\n")))  # names of sessions and streams may be anybody's
    click.echo(text, err=True)


def confirm(question: str, why: str, *, yes: bool) -> None:
    """Ask before what cannot be taken back, unless `yes` was said, or --dry-run, which takes nothing.

    Raises:
        CommandError: nobody can be asked; the message is `why`.
        click.Abort: the answer was no.
    """
    if yes or dry_run():
        return
    if not interactive():
        raise CommandError(why, hint="say --yes", code=ExitCode.USAGE)
    click.confirm(question, abort=True, err=True)


class Progress:
    """Progress on stderr: a line that is rewritten on a terminal, elsewhere a line every ten seconds; not with --quiet.

    With a total it says how long it will still take, from how fast it went so far. `unit` is how many make one of what
    is shown (1e6 with the label "MB").
    """

    REDRAW_S, LINE_S = 0.1, 10.0

    def __init__(self, label: str, unit: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._label = label
        self._unit = unit
        self._clock = clock
        self._rewrites = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._quiet = quiet()
        self._drawn = False
        self._began = clock()
        self._next = self._began + (0 if self._rewrites else self.LINE_S)

    def __call__(self, done: int, total: int | None = None) -> None:
        """Show how far it is."""
        at = self._clock()
        if self._quiet or at < self._next:
            return
        self._next = at + (self.REDRAW_S if self._rewrites else self.LINE_S)
        text = progress_line(self._label, done, total, at - self._began, self._unit)
        sys.stderr.write(f"\r\x1b[K{text} " if self._rewrites else f"{text}\n")
        sys.stderr.flush()
        self._drawn = True

    def end(self) -> None:
        """Clear the line."""
        if self._drawn and self._rewrites:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False


def progress_line(label: str, done: int, total: int | None, elapsed_s: float, unit: int = 1) -> str:
    """How far something is, and how long the rest takes if it goes on like this.

    >>> progress_line("MB", 250_000_000, 1_000_000_000, 30, 1_000_000)
    'MB 250/1000 25 %, 1m30s left'
    >>> progress_line("events", 7, None, 1)
    'events 7'
    """
    if not total:
        return f"{label} {done // unit}"
    line = f"{label} {done // unit}/{total // unit} {100 * done // total} %"
    if elapsed_s < 1 or not 0 < done < total:
        return line  # too early to tell
    from app.views.text import duration  # costs 15 ms, which plain commands do without

    return f"{line}, {duration(elapsed_s * 1000 * (total - done) / done)} left"


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
