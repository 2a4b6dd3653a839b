"""A recorded session once more: its events through the projector into a file of their own, as fast as one likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from math import isinf
from pathlib import Path

import msgspec

from app.services.projector import catch_up
from app.views.calls import CallReader, milliseconds
from app.views.sessions import SessionRow, read_session
from app.views.waterfall import CallTree, call_tree
from storage.engine import Database, Event, Snapshot
from storage.events import call_events, session_events
from storage.tenants import open_tenant_database

FRAME_S = 0.1
"""Events that come within a tenth of a second of the replay are shown together."""
MOST_WAIT_S = 2.0
"""Longer pauses are shortened to this."""
UNTIMED_MS = 200.0

SQL_EVENTS = """-- what is about the session, or about a call of its graph
SELECT offset, topic, key, payload, created_at FROM _honker_stream
WHERE (topic = ? AND payload ->> '$.sessionId' = ?)
   OR (topic = ? AND payload ->> '$.requestId' IN (SELECT key FROM nodes WHERE graph_id = ?))
ORDER BY offset"""


class _Timed(msgspec.Struct):
    timestamp: str | None = None


_timestamp = msgspec.json.Decoder(_Timed)


def read_events(snapshot: Snapshot, session_id: str) -> list[Event]:
    """The events of a session and its calls, in the order of the log."""
    given = (session_events.STREAM, session_id, call_events.STREAM, session_id)
    return [Event(*row) for row in snapshot.rows(SQL_EVENTS, given)]


def moments(events: list[Event]) -> list[float]:
    """When each event happens, milliseconds; one without a time comes a fifth of a second after the one before.

    Time never goes back: an event that is older than the one before it happens with it.
    """
    at = 0.0
    found: list[float] = []
    for event in events:
        known = milliseconds(_timestamp.decode(event.payload_json).timestamp)
        at = at + UNTIMED_MS if known is None else max(at, known)
        found.append(at)
    return found


def replay(
    source: Database, session_id: str, folder: Path, speed: float, sleep: Callable[[float], object]
) -> Iterator[tuple[SessionRow, CallTree, float]]:
    """Yield the session, its calls and the time (unix milliseconds) after each step of the replay.

    Args:
        source: where the session is recorded; only read.
        session_id: the whole id.
        folder: an empty folder for the file.
        speed: 2 is twice as fast; infinity waits for nothing.
        sleep: waits so many seconds.
    """
    with source.snapshot() as snapshot:
        events = read_events(snapshot, session_id)
    times = moments(events)
    frame_ms = FRAME_S * 1000 * (1.0 if isinf(speed) else speed)
    db = open_tenant_database(folder / "replay.db", durability="normal")
    try:
        reader, tree, before = CallReader(session_id), call_tree(()), times[0] if times else 0.0
        for _, together in groupby(zip(times, events, strict=True), lambda pair: pair[0] // frame_ms):
            frame = list(together)
            at = frame[-1][0]
            wait = min((at - before) / 1000 / speed, MOST_WAIT_S)
            if wait > 0:
                sleep(wait)
            before = at
            with db.transaction() as tx:
                for _, event in frame:
                    db.stream(event.topic).append([(event.key, event.payload_json, event.created_at)], tx)
            catch_up(db)
            with db.snapshot() as snapshot:
                calls = reader.read(snapshot)
                found = read_session(snapshot, session_id) if snapshot.rows("SELECT 1 FROM sessions") else None
            tree = tree if calls is None else call_tree(calls)
            if found is not None:
                yield found, tree, at
    finally:
        db.close()
