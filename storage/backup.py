"""Copies of a database that is in use, by SQLite's backup API: never by reading the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw

from storage.engine.connection import connect, file_of
from storage.engine.errors import CorruptError, EngineError, translated
from storage.private_file import sync

STEP_PAGES = 4_096
"""Pages copied between two reports of progress: 16 MiB."""
KEEP_COPIES = 2
"""Of each database, so many copies from before migrations are kept: the way back, and the one before."""


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


@dataclass(frozen=True, slots=True)
class MigrationCopy:
    """A copy from before a migration; `kept` is whether `prune_copies` leaves it."""

    file: Path
    schema_version: int
    bytes: int
    kept: bool


def migration_copies(path: str, keep: int) -> list[MigrationCopy]:
    """The copies that migrations of this file left, oldest first. The `keep` newest that can be opened are kept.

    So is what cannot be opened, or has another schema than its name says: it is not known what that is.
    """
    found = backups_before_migration(path)
    sound = [(number, copy) for number, copy in found if _schema_of(copy) == number]
    doomed = sound[: max(0, len(sound) - keep)]
    return [
        MigrationCopy(copy, number, copy.stat().st_size, kept=(number, copy) not in doomed) for number, copy in found
    ]


def prune_copies(copies: list[MigrationCopy]) -> None:
    """Remove those that are not kept.

    Raises:
        OSError: one cannot be removed.
    """
    for copy in copies:
        if not copy.kept:
            copy.file.unlink(missing_ok=True)
            sync(copy.file.parent)


def _schema_of(copy: Path) -> int | None:
    try:
        connection = connect(str(copy), durability="normal", query_only=True)
        try:
            with translated(str(copy)):
                return int(connection.pragma("user_version"))
        finally:
            connection.close()
    except EngineError:
        return None
