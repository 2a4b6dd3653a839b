"""The hub's files, as its commands open them; a hub may be running on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.cli.context import Context
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from storage.delegation.authority import Opened
from storage.engine import Database
from storage.tenant_files import file_of
from storage.tenants import open_system_database, open_tenant_database


def hub_directory(context: Context) -> Path:
    """The hub's own folder inside the data directory, so that one machine can be both.

    Raises:
        CommandError: with --read-only, there is none.
    """
    folder = context.paths.hub_dir
    if context.read_only:
        if not (folder / "system.db").is_file():
            raise CommandError(
                f"{folder}: there is no hub", hint="choose the right --data-dir; spoke hub init", code=ExitCode.NO_INPUT
            )
        return folder
    context.make_data_dir()
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextmanager
def system_file(context: Context) -> Iterator[Database]:
    """`system.db`, created on first use; as it is with --read-only."""
    db = open_system_database(hub_directory(context) / "system.db", read_only=context.read_only)
    try:
        yield db
    finally:
        db.close()


def tenant_files(context: Context) -> Opened:
    """Opens a tenant's file by its slug, created on first use."""
    folder = hub_directory(context)

    @contextmanager
    def opened(slug: str) -> Iterator[Database]:
        db = open_tenant_database(file_of(folder, slug), max_bytes=context.max_bytes)
        try:
            yield db
        finally:
            db.close()

    return opened
