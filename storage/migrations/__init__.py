"""Numbered, append-only, forward migrations of a file's own tables.

`PRAGMA user_version` holds the number of the last one applied (Honker leaves it at 0). A published migration is never
edited; a change is a new one. Before an older file is migrated a copy of it is made beside it (`….vN.backup`).
"""

from __future__ import annotations

from collections.abc import Sequence

from storage.backup import backup, backup_name, backups_before_migration
from storage.engine import Database, Transaction
from storage.engine.errors import EngineError


class NewerFileError(EngineError):
    """The file was written by a newer version of Spoke."""

    hint = "upgrade this program; the file was not touched"


class OlderFileError(EngineError):
    """The file was written by an older version of Spoke, and may not be migrated now."""

    hint = (
        "any command without --read-only or --dry-run brings it up to this version, after a copy; so does `spoke run`"
    )


def check_current(db: Database, migrations: Sequence[str]) -> None:
    """Let pass only a file that needs no migration; nothing is written.

    Raises:
        NewerFileError, OlderFileError: it is of another version.
    """
    version = int(db.query("PRAGMA user_version")[0]["user_version"])
    if version > len(migrations):
        raise NewerFileError(f"{db.path}: {newer(db.path, version, len(migrations))}")
    if version < len(migrations):
        raise OlderFileError(f"{db.path}: schema version {version}, this program needs {len(migrations)}")


def schema_version(tx: Transaction) -> int:
    """Return the number of the last migration applied to the file."""
    return int(tx.rows("PRAGMA user_version")[0][0])


def newer(path: str, version: int, latest: int) -> str:
    """What is said of a file that is too new: both versions, and the copy to go back to, when there is one."""
    usable = [copy for number, copy in backups_before_migration(path) if number <= latest]
    back = f"; its copy from before that is {usable[-1]}" if usable else ""
    return f"schema version {version}, this program knows {latest}{back}"


def migrate(db: Database, migrations: Sequence[str]) -> int:
    """Apply the migrations that the file lacks, each in a transaction of its own; returns how many there were.

    A crash leaves the file at the last complete migration; opening it again goes on from there. Two processes that
    open a new file at once take turns.

    Raises:
        NewerFileError: the file has more migrations than this program knows.
        EngineError: the backup or a migration failed; the file is at the last complete migration.
    """
    version = int(db.query("PRAGMA user_version")[0]["user_version"])
    if version > len(migrations):
        raise NewerFileError(f"{db.path}: {newer(db.path, version, len(migrations))}")
    if 0 < version < len(migrations):
        backup(db.path, backup_name(db.path, version))
    applied = 0
    for number in range(version + 1, len(migrations) + 1):
        with db.transaction() as tx:
            if schema_version(tx) < number:  # the other process may have been faster
                tx.execute(migrations[number - 1])
                tx.execute(f"PRAGMA user_version = {number}")
                applied += 1
    return applied
