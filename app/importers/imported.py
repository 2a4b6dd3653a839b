"""What an importer makes of a file, and how it gets into the log: whole or not at all, and once."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from storage.engine import Database
from storage.events import call_events, session_events
from storage.events.call_events import AnyCallEvent
from storage.events.envelope import encode
from storage.events.session_events import AnySessionEvent

NAMESPACE = uuid.UUID("6f0e3b0a-3f0a-5d7e-9a51-5a1f2c6d7e80")
"""Ids of imported things are derived from the content, so that the same file gives the same ids everywhere."""


class ImportFailedError(Exception):
    """The file is not what the importer reads; nothing of it was written."""

    hint = "check that it is the right file for this importer, and complete"


@dataclass(frozen=True, slots=True)
class Imported:
    """One session, ready to be written. Calls and session events are in the order in which they happened."""

    digest: str
    source: str
    name: str
    session_id: str
    session: Sequence[AnySessionEvent]
    calls: Sequence[AnyCallEvent]


def digest_of(data: bytes) -> str:
    """The identity of a file: SHA-256 of its bytes, as hex."""
    return hashlib.sha256(data).hexdigest()


def derived_id(*parts: str) -> str:
    """An id that depends on nothing but its parts."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))


def store(db: Database, imported: Imported, at: int) -> bool:
    """Write a session's events, all in one transaction; False when the same bytes were imported before.

    Args:
        db: the tenant file.
        imported: what to write.
        at: when it is imported, unix seconds: the events' place in the log, not the time of what happened.
    """
    with db.transaction() as tx:
        tx.execute(
            "INSERT OR IGNORE INTO imports (digest, source, name, session_id, created_at) VALUES (?, ?, ?, ?, ?)",
            (imported.digest, imported.source, imported.name, imported.session_id, at),
        )
        if not tx.changes:
            return False
        db.stream(session_events.STREAM).append(
            [(imported.session_id, encode(event), at) for event in imported.session], tx
        )
        db.stream(call_events.STREAM).append([(event.request_id, encode(event), at) for event in imported.calls], tx)
    return True
