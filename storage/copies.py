"""What a file knows of its copies: which backup was made last, and whether it is one itself."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from storage.engine import Snapshot, Transaction

Note = TypeVar("Note", bound=msgspec.Struct)

BACKUP = "last_backup"
RESTORED = "restored"
"""Facts of a tenant file (`node_facts`); a hub's system file has the second one in `hub_facts`."""


class BackupNote(msgspec.Struct, frozen=True, rename="camel"):
    """The last backup that was made of this file: when (unix ms), where to, and the newest event in it."""

    at_ms: int
    file: str
    offset: int


class RestoredNote(msgspec.Struct, frozen=True, rename="camel"):
    """This file is a copy: made at `copy_ms` on `host`, put here at `at_ms` (unix ms) from `source`, by whom (`by`)."""

    at_ms: int
    copy_ms: int
    host: str
    source: str
    by: str = ""


class Grown(msgspec.Struct, frozen=True, rename="camel"):
    """What came into the log since a backup; `bytes` are those of keys and payloads."""

    since_ms: int
    events: int
    bytes: int


def note_backup(tx: Transaction, note: BackupNote) -> None:
    """Write down that a backup is on the disk."""
    _write(tx, "node_facts", BACKUP, msgspec.json.encode(note))


def note_restored(tx: Transaction, note: RestoredNote, table: str = "node_facts") -> None:
    """Write down that this file is a copy."""
    _write(tx, table, RESTORED, msgspec.json.encode(note))


def last_backup(source: Snapshot | Transaction) -> BackupNote | None:
    """The last backup made of this file; None when there was none that it knows of."""
    return _read(source, BACKUP, BackupNote)


def restored_from(source: Snapshot | Transaction, table: str = "node_facts") -> RestoredNote | None:
    """What this file was restored from; None when it is no copy."""
    return _read(source, RESTORED, RestoredNote, table)


def grown_since(source: Snapshot | Transaction, note: BackupNote) -> Grown:
    """What a backup made now has that the last one has not."""
    ((events, size),) = source.rows(
        "SELECT count(*), coalesce(sum(length(CAST(payload AS BLOB)) + coalesce(length(CAST(key AS BLOB)), 0)), 0)"
        " FROM _honker_stream WHERE offset > ?",
        (note.offset,),
    )
    return Grown(note.at_ms, events, size)


def _write(tx: Transaction, table: str, name: str, value: bytes) -> None:
    tx.execute(
        f"INSERT INTO {table} (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value.decode()),
    )


def _read(source: Snapshot | Transaction, name: str, kind: type[Note], table: str = "node_facts") -> Note | None:
    rows = source.rows(f"SELECT value FROM {table} WHERE name = ?", (name,))
    return msgspec.json.decode(rows[0][0], type=kind) if rows else None
