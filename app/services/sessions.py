"""Recording sessions: their start, what is said, their end, as events in `session-events`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any

import msgspec

from storage.engine import Database, Transaction
from storage.engine.payload import dumps
from storage.events.envelope import encode, iso
from storage.events.session_events import (
    STREAM,
    EndStatus,
    MessagePart,
    SessionEnded,
    SessionMessage,
    SessionStarted,
)
from storage.running import running

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

    def start(
        self,
        title: str,
        source: str = "spoke",
        parent_id: str | None = None,
        tx: Transaction | None = None,
        *,
        ours: bool = False,
    ) -> str:
        """Record that a session begins and return its id; durable when this returns, or with `tx`.

        A session that is `ours` ends with this process at the latest (`app.services.left`).
        """
        session_id = self._new_id()
        now = self._clock()
        started = SessionStarted(
            session_id=session_id,
            title=title,
            source=source,
            slug=slug_of(title, session_id),
            parent_id=parent_id,
            timestamp=iso(now),
        )
        with self._inside(tx) as inside:
            self._append(session_id, encode(started), now, inside)
            if ours:
                running(self._db).began(inside, "session", [session_id])
        return session_id

    def say(
        self,
        session_id: str,
        role: str,
        parts: Sequence[tuple[str, Any]],
        *,
        agent: str | None = None,
        tx: Transaction | None = None,
    ) -> str:
        """Record a message of `(type, data)` parts and return its id."""
        message_id, now = self._new_id(), self._clock()
        message = SessionMessage(
            session_id=session_id,
            message_id=message_id,
            role=role,
            agent=agent,
            parts=[MessagePart(self._new_id(), kind, msgspec.Raw(dumps(data).encode())) for kind, data in parts],
            timestamp=iso(now),
        )
        with self._inside(tx) as inside:
            self._append(session_id, encode(message), now, inside)
        return message_id

    def end(self, session_id: str, status: EndStatus, tx: Transaction | None = None) -> None:
        """Record that a session is over; the first end counts."""
        now = self._clock()
        ended = SessionEnded(session_id=session_id, status=status, timestamp=iso(now))
        with self._inside(tx) as inside:
            self._append(session_id, encode(ended), now, inside, despite_limit=True)
            running(self._db).ended(inside, "session", [session_id])

    def _inside(self, tx: Transaction | None) -> AbstractContextManager[Transaction]:
        return nullcontext(tx) if tx is not None else self._db.transaction()

    def _append(
        self, session_id: str, text: str, now: datetime, tx: Transaction, *, despite_limit: bool = False
    ) -> None:
        self._stream.append([(session_id, text, int(now.timestamp()))], tx, despite_limit=despite_limit)
