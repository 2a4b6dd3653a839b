"""What an importer makes of a file, and how it gets into the log: whole or not at all, and once."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from storage.engine import Database, Transaction
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


def raw(value: Any) -> msgspec.Raw:
    """A value as the JSON that an event carries."""
    return msgspec.Raw(msgspec.json.encode(value))


def envelope(operation_id: str, data: Any) -> msgspec.Raw:
    """The ResponseEnvelope of a tool that another program ran."""
    return raw({"data": data, "meta": {"source": "local", "operationId": operation_id}})


def tool_operation(name: object) -> str:
    """The operation id of a tool, whatever it is called.

    >>> tool_operation("mcp__github__search"), tool_operation("a b"), tool_operation(None)
    ('tool.mcp__github__search', 'tool.a_b', 'tool.none')
    """
    text = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in str(name or "none"))
    return f"tool.{text[:60]}"


def store(db: Database, imported: Imported, at: int) -> int:
    """Write those events of a session that were not written before, in one transaction; returns how many.

    An event is known by its text: what an importer makes of a file is a function of the file, so importing it again
    writes nothing, and importing it when it has grown writes what is new. A crash leaves all of it or nothing.

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
            return 0
        said = _fresh(tx, [(imported.session_id, encode(event)) for event in imported.session])
        called = _fresh(tx, [(event.request_id, encode(event)) for event in imported.calls])
        for stream, events in ((session_events.STREAM, said), (call_events.STREAM, called)):
            if events:
                db.stream(stream).append([(key, text, at) for key, text in events], tx)
    return len(said) + len(called)


def _fresh(tx: Transaction, events: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    found = []
    for key, text in events:
        tx.execute(
            "INSERT OR IGNORE INTO import_events (id) VALUES (?)",
            (hashlib.blake2b(text.encode(), digest_size=16).digest(),),
        )
        if tx.changes:
            found.append((key, text))
    return found
