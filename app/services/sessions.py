"""Recording sessions: their start, what is said, their end, as events in `session-events`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from storage.engine import Database
from storage.events.envelope import encode, iso
from storage.events.session_events import STREAM, EndStatus, SessionEnded, SessionStarted

SLUG_LENGTH = 40


def slug_of(title: str, session_id: str) -> str:
    """Return a short name for people: words of the title and the first digits of the id.

    >>> slug_of("Fix the build!", "a1b2c3d4-0000")
    'fix-the-build-a1b2c3d4'
    """
    words = re.sub(r"[^a-z0-9]+", "-", title.lower())[:SLUG_LENGTH].strip("-")
    return f"{words or 'session'}-{session_id[:8]}"


class SessionRecorder:
    """Writes session events. Clock and ids are given, so that tests are exact."""

    def __init__(self, db: Database, clock: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._stream = db.stream(STREAM)
        self._db = db
        self._clock = clock
        self._new_id = new_id

    def start(self, title: str, source: str = "spoke", parent_id: str | None = None) -> str:
        """Record that a session begins and return its id; durable when this returns."""
        session_id = self._new_id()
        now = self._clock()
        self._append(
            session_id,
            encode(
                SessionStarted(
                    session_id=session_id,
                    title=title,
                    source=source,
                    slug=slug_of(title, session_id),
                    parent_id=parent_id,
                    timestamp=iso(now),
                )
            ),
            now,
        )
        return session_id

    def end(self, session_id: str, status: EndStatus) -> None:
        """Record that a session is over; the first end counts."""
        now = self._clock()
        self._append(session_id, encode(SessionEnded(session_id=session_id, status=status, timestamp=iso(now))), now)

    def _append(self, session_id: str, text: str, now: datetime) -> None:
        with self._db.transaction() as tx:
            self._stream.append([(session_id, text, int(now.timestamp()))], tx)
