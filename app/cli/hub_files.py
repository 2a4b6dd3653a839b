"""The hub's files, as its commands open them; a hub may be running on them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from app.cli.context import Context
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.options import dry_run
from storage.delegation.authority import Opened
from storage.engine import Database
from storage.tenant_files import file_of
from storage.tenants import open_system_database


def hub_directory(context: Context) -> Path:
    """The hub's own folder inside the data directory, so that one machine can be both.

    Raises:
        CommandError: with --read-only, there is none.
    """
    folder = context.paths.hub_dir
    if dry_run():
        context.make_data_dir()
        return folder
    if context.read_only:
        if not (folder / "system.db").is_file():
            raise CommandError(
                f"{folder}: there is no hub", hint="choose the right --data-dir; spoke hub init", code=ExitCode.NO_INPUT
            )
        return folder
    context.make_data_dir()
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def system_file(context: Context) -> AbstractContextManager[Database]:
    """`system.db`, created on first use; as it is with --read-only; a rehearsal with --dry-run."""
    file = hub_directory(context) / "system.db"
    return context.opened(file, lambda: open_system_database(file, read_only=context.read_only))


def tenant_files(context: Context) -> Opened:
    """Opens a tenant's file by its slug, created on first use."""
    folder = hub_directory(context)
    return lambda slug: context.tenant_file(file_of(folder, slug))
