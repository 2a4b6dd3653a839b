"""Copies of a database that is in use, by SQLite's backup API: never by reading the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import apsw

from storage.engine.connection import connect, file_of
from storage.engine.errors import CorruptError, translated
from storage.private_file import sync

STEP_PAGES = 4_096
"""Pages copied between two reports of progress: 16 MiB."""


def backup(
    path: str, target: str | os.PathLike[str], progress: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Write a verified copy of the database at `path` to `target`, which is replaced whole or not at all.

    The copy is one state of the database, with everything that was committed when this was called; writers wait only
    for as long as a step takes. It is on disk when this returns. A crash leaves at most `target` with `.partial`.

    Args:
        path: the database; it may be open here and elsewhere, and be written to.
        target: where the copy goes; its folder must exist.
        progress: called with pages done and pages in all.

    Raises:
        EngineError: the copy cannot be written, or does not pass SQLite's `integrity_check`.
    """
    final = Path(target)
    partial = final.with_name(final.name + ".partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    source = connect(path, durability="normal", query_only=True)
    try:
        with translated(str(partial)):
            copy = apsw.Connection(str(partial))
            try:
                source.execute("BEGIN")  # one state, however long the copy takes
                source.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
                with copy.backup("main", source, "main") as running:
                    while not running.done:
                        running.step(STEP_PAGES)
                        progress(running.page_count - running.remaining, running.page_count)
                copy.pragma("journal_mode", "delete")  # one file, without -wal beside it
                found = copy.pragma("integrity_check")
            finally:
                copy.close()
        if found != "ok":
            raise CorruptError(f"{partial}: the copy is damaged: {found}")
        sync(partial)
        partial.replace(final)
        sync(final.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    finally:
        source.close()


def backup_name(path: str, version: int) -> Path:
    """Where the copy before a migration goes: beside the file, with the version of the schema that it has.

    >>> str(backup_name("/data/tenant-local.db", 3))
    '/data/tenant-local.db.v3.backup'
    """
    return Path(f"{file_of(path)}.v{version}.backup")


def backups_before_migration(path: str) -> list[tuple[int, Path]]:
    """The copies that migrations of this file left beside it, oldest first: the schema's version, by its name alone."""
    file = Path(file_of(path))
    found = []
    for copy in file.parent.glob(f"{file.name}.v*.backup"):
        number = copy.name.removeprefix(f"{file.name}.v").removesuffix(".backup")
        if number.isdecimal():
            found.append((int(number), copy))
    return sorted(found)
