"""What all formats are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.views.calls import decode_call
from app.views.sessions import SessionRow, find_session
from app.views.waterfall import CallTree, call_tree
from storage.engine import Snapshot

LAST_MS = 9_223_372_036_000.0
"""The year 2262, the last that formats can count in nanoseconds: whatever a foreign log says lies before it."""


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message with its parts, (id, type, data as JSON text), as they are stored."""

    id: str
    role: str
    agent: str | None
    at: str | None
    parts: Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Trace:
    """A session with everything that is known about its calls."""

    session: SessionRow
    tree: CallTree
    attributes: Mapping[str, str]
    """By request id: the JSON text of a call's node, with input and output."""
    messages: Sequence[MessageRow]
    now_ms: float

    def span_ms(self, position: int) -> tuple[float, float]:
        """Start and end of a call, unix milliseconds.

        Where no starts are known the calls stand in log order behind the moment at which the session was recorded:
        formats of traces know no call without a time. They say so in an attribute.
        """
        start, end = self.tree.span(position, self.now_ms)
        return self._at(start), self._at(end)

    @property
    def whole_ms(self) -> tuple[float, float]:
        """Start of the first call and end of the last; without calls the moment at which it was recorded."""
        return self._at(self.tree.begin), self._at(self.tree.end(self.now_ms))

    def _at(self, ms: float) -> float:
        base = 0 if self.tree.timed else self.session.recorded_ms
        return min(max(base + ms, 0.0), LAST_MS)


def read_trace(snapshot: Snapshot, prefix: str, now_ms: float) -> Trace:
    """Read the session whose id begins with `prefix`; all of it is held in memory.

    Raises:
        NoSuchSessionError: none does, or several do.
    """
    session = find_session(snapshot, prefix)
    texts = [
        row[0] for row in snapshot.rows("SELECT attributes FROM nodes WHERE graph_id = ? ORDER BY rowid", (session.id,))
    ]
    calls = [decode_call(text) for text in texts]
    attributes = {call.request_id: text for call, text in zip(calls, texts, strict=True)}
    return Trace(session, call_tree(calls), attributes, _messages(snapshot, session.id), now_ms)


def _messages(snapshot: Snapshot, session_id: str) -> list[MessageRow]:
    parts: dict[str, list[tuple[str, str, str]]] = {}
    for message_id, *part in snapshot.rows(
        "SELECT message_id, id, type, data FROM parts WHERE session_id = ? ORDER BY position", (session_id,)
    ):
        parts.setdefault(message_id, []).append((part[0], part[1], part[2]))
    rows = snapshot.rows(
        "SELECT m.id, m.role, m.agent, e.payload ->> '$.timestamp' FROM messages m"
        " LEFT JOIN _honker_stream e ON e.offset = m.position WHERE m.session_id = ? ORDER BY m.position, m.id",
        (session_id,),
    )
    return [MessageRow(row[0], row[1], row[2], row[3], parts.get(row[0], [])) for row in rows]
