"""Where the commands of the hub find its files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.cli.context import Context
from storage.engine import Database
from storage.tenants import open_system_database


def hub_directory(context: Context) -> Path:
    """The hub's own folder inside the data directory, so that one machine can be both."""
    context.make_data_dir()
    folder = context.paths.hub_dir
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextmanager
def system_file(context: Context) -> Iterator[Database]:
    """The hub's `system.db`, created on first use, closed at the end."""
    db = open_system_database(hub_directory(context) / "system.db")
    try:
        yield db
    finally:
        db.close()
