"""`session-events` -> sessions, messages and parts.

A message or an end whose start has not come makes the session under its id; the start fills in the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from storage.engine import Event, Transaction
from storage.events.envelope import EventShapeError
from storage.events.session_events import STREAM, SessionEnded, SessionMessage, SessionStarted, decode
from storage.projections.projection import Projection, reject


def milliseconds(timestamp: str | None) -> int | None:
    """Return an ISO-8601 time as unix milliseconds; None stays None.

    Raises:
        ValueError: it is not ISO-8601.
    """
    return None if timestamp is None else round(datetime.fromisoformat(timestamp).timestamp() * 1000)


def apply(tx: Transaction, events: Sequence[Event]) -> None:
    """Apply a batch of events, in log order, to the rows."""
    for event in events:
        try:
            decoded = decode(event)
            at_ms = milliseconds(decoded.timestamp)
        except (EventShapeError, ValueError, OverflowError) as error:
            reject(tx, event, str(error))
            continue
        _ensure(tx, decoded.session_id, event)
        match decoded:
            case SessionStarted():
                _start(tx, decoded, at_ms, event)
            case SessionMessage():
                _say(tx, decoded, event)
            case SessionEnded():
                tx.execute(
                    "UPDATE sessions SET status = ?, ended_at = ?, updated_at = ? WHERE id = ? AND status = 'active'",
                    (decoded.status, at_ms, event.created_at, decoded.session_id),
                )


def _ensure(tx: Transaction, session_id: str, event: Event) -> None:
    """Make the session's row if there is none. Its slug is its id, unless another session has taken that as its own."""
    if tx.rows("SELECT 1 FROM sessions WHERE id = ?", (session_id,)):
        return
    slug, number = session_id, event.offset
    while tx.rows("SELECT 1 FROM sessions WHERE slug = ?", (slug,)):
        slug, number = f"{session_id}~{number}", number + 1
    tx.execute(
        "INSERT INTO sessions (id, slug, title, source, status, position, created_at, updated_at)"
        " VALUES (?, ?, ?, '', 'active', ?, ?, ?)",
        (session_id, slug, session_id, event.offset, event.created_at, event.created_at),
    )


def _start(tx: Transaction, started: SessionStarted, at_ms: int | None, event: Event) -> None:
    if started.parent_id is not None:
        _ensure(tx, started.parent_id, event)
    # source is '' only until the start has come: a second start of the same session changes nothing
    taken = tx.rows("SELECT 1 FROM sessions WHERE slug = ? AND id <> ?", (started.slug, started.session_id))
    tx.execute(
        "UPDATE sessions SET title = ?, source = ?, slug = coalesce(?, slug), parent_id = ?, started_at = ?,"
        " updated_at = ? WHERE id = ? AND source = ''",
        (
            started.title,
            started.source,
            None if taken else started.slug,
            started.parent_id,
            at_ms,
            event.created_at,
            started.session_id,
        ),
    )


def _say(tx: Transaction, message: SessionMessage, event: Event) -> None:
    tx.execute(
        "INSERT OR IGNORE INTO messages (id, session_id, role, agent, position, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            message.message_id,
            message.session_id,
            message.role,
            message.agent,
            event.offset,
            event.created_at,
            event.created_at,
        ),
    )
    tx.executemany(
        "INSERT OR IGNORE INTO parts (id, message_id, session_id, type, data, position, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                part.part_id,
                message.message_id,
                message.session_id,
                part.type,
                bytes(part.data).decode(),
                number,
                event.created_at,
                event.created_at,
            )
            for number, part in enumerate(message.parts)
        ],
    )


SESSIONS = Projection("projector@spoke", STREAM, apply)
