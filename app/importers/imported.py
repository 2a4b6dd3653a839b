"""What an importer makes of a file, and how it gets into the log: whole or not at all, and once."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from storage.engine import Database, Transaction
from storage.events import call_events, session_events
from storage.events.call_events import AnyCallEvent
from storage.events.envelope import encode
from storage.events.session_events import AnySessionEvent, SessionMessage
from storage.projections.sessions import milliseconds

MAX_BYTES = 268_435_456
"""No file of an agent is read that is larger: it is held in memory as a whole."""

QUIET_MS = 3_600_000
"""Logs do not say that a session is over. One to which nobody has added anything for so long is."""

MAX_ERROR = 2_000
"""Characters that are kept of the error of a tool: often it is its whole output."""

MAX_TITLE = 80

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


Reader: TypeAlias = Callable[[Path], Iterable[Imported]]
"""Reads the sessions of a file; raises ImportFailedError or OSError."""


def digest_of(data: bytes) -> str:
    """The identity of a file: SHA-256 of its bytes, as hex."""
    return hashlib.sha256(data).hexdigest()


def derived_id(*parts: str) -> str:
    """An id that depends on nothing but its parts."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))


def title_of(text: object) -> str:
    """What somebody said as a title: one line, its beginning; empty if it is no text.

    >>> title_of("  Fix\\nit "), title_of(None)
    ('Fix it', '')
    """
    words = " ".join(text.split()) if isinstance(text, str) else ""
    return words if len(words) <= MAX_TITLE else f"{words[: MAX_TITLE - 1]}…"


def time_of(text: str | None) -> str | None:
    """A time of a log, if it is one that a calendar has.

    >>> time_of("2026-01-02T03:04:05.678Z"), time_of("yesterday"), time_of("0001-01-01T00:00:00")
    ('2026-01-02T03:04:05.678Z', None, None)
    """
    try:
        return text if milliseconds(text) is not None else None
    except (ValueError, OverflowError):
        return None


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

    An event is known by what it is about and what it says of it (this call begins, this message is said), not by its
    text: a log that is read again writes nothing, one that has grown writes what is new, and a title that was changed
    later makes no second event. A crash leaves all of it or nothing.

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
        said = [(event.session_id, encode(event)) for event in imported.session if _is_new(tx, event)]
        called = [(event.request_id, encode(event)) for event in imported.calls if _is_new(tx, event)]
        for stream, events in ((session_events.STREAM, said), (call_events.STREAM, called)):
            if events:
                db.stream(stream).append([(key, text, at) for key, text in events], tx)
    return len(said) + len(called)


def _is_new(tx: Transaction, event: AnySessionEvent | AnyCallEvent) -> bool:
    match event:
        case SessionMessage():
            about = event.message_id
        case session_events.SessionEvent():
            about = event.session_id
        case call_events.CallEvent():
            about = event.request_id
    identity = f"{event.__struct_config__.tag}\x1f{about}".encode()
    tx.execute(
        "INSERT OR IGNORE INTO import_events (id) VALUES (?)", (hashlib.blake2b(identity, digest_size=16).digest(),)
    )
    return tx.changes > 0
