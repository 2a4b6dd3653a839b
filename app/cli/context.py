"""What every command needs: where things are, and the node's database, opened when it is asked for."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.paths import Paths, resolve
from app.views.camel import camel as camel
from storage.engine import Database
from storage.tenants import open_tenant_database

if TYPE_CHECKING:
    from app.config import Settings

SESSION_ENV = "SPOKE_SESSION_ID"
PARENT_ENV = "SPOKE_PARENT_REQUEST_ID"


class Context:
    """One invocation of `spoke`."""

    def __init__(self, data_dir: Path | None, config_file: Path | None, flags: tuple[str, ...] = ()) -> None:
        self.paths: Paths = resolve(data_dir, config_file)
        self.flags = flags
        """`TABLE.KEY=VALUE` of the command line: what wins over every other configuration."""

    def settings(self) -> Settings:
        """The configuration; reading it costs pydantic, so only commands that need it ask."""
        from app.config import load

        return load(self.paths, self.flags)

    def make_data_dir(self) -> None:
        """Create the data directory (0700).

        Raises:
            CommandError: it cannot be made.
        """
        try:
            self.paths.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise CommandError(
                f"{self.paths.data_dir}: cannot create the data directory: {error.strerror}",
                hint="choose another one with --data-dir or SPOKE_DATA_DIR",
                code=ExitCode.CANNOT_CREATE,
            ) from error

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The node's tenant file, created on first use, closed at the end."""
        self.make_data_dir()
        db = open_tenant_database(self.paths.tenant_db)
        try:
            yield db
        finally:
            db.close()


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def new_id() -> str:
    """A fresh id for a call, a session, a message."""
    return str(uuid.uuid4())


def print_json(value: Any) -> None:
    """Print a document for programs: one line, UTF-8 kept."""
    click.echo(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def say(text: str) -> None:
    """Talk to the person: on stderr, so that stdout stays data."""
    click.echo(text, err=True)


class Progress:
    """Progress on stderr: a line that is rewritten on a terminal, silence elsewhere."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn = False

    def __call__(self, done: int, total: int | None = None) -> None:
        """Show how far it is."""
        if self._shown:
            of = f"/{total} {100 * done // max(1, total)} %" if total else ""
            sys.stderr.write(f"\r{self._label} {done}{of} ")
            sys.stderr.flush()
            self._drawn = True

    def end(self) -> None:
        """Clear the line."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
