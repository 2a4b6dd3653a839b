"""Sessions as lists show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from storage.engine import Snapshot
from storage.engine.errors import EngineError

SessionStatus: TypeAlias = Literal["active", "completed", "failed", "aborted"]

SQL_SESSIONS = """-- newest first by idx_sessions_position; the counts by nodes(graph_id, key)
SELECT s.id, s.title, s.source, s.status, s.started_at, s.ended_at, s.created_at * 1000,
  (SELECT count(*) FROM nodes n WHERE n.graph_id = s.id),
  (SELECT count(*) FROM nodes n WHERE n.graph_id = s.id AND n.attributes ->> '$.status' = 'failed'),
  (SELECT count(*) FROM nodes n WHERE n.graph_id = s.id AND n.attributes ->> '$.status' IN ('pending', 'running'))
FROM sessions s"""


class NoSuchSessionError(EngineError, LookupError):
    """No session, or more than one, begins with that id."""

    hint = "`spoke session list` shows them"


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session in a list; times are unix milliseconds, None where nobody knows them."""

    id: str
    title: str
    source: str
    status: SessionStatus
    started_ms: int | None
    ended_ms: int | None
    recorded_ms: int
    calls: int
    failed: int
    running: int

    @property
    def duration_ms(self) -> int | None:
        """How long it took, as far as that is known."""
        if self.started_ms is None or self.ended_ms is None:
            return None
        return self.ended_ms - self.started_ms


def read_session(snapshot: Snapshot, session_id: str) -> SessionRow:
    """The session of that whole id, without counting its calls (0): for who reads them anyway.

    Raises:
        NoSuchSessionError: there is none.
    """
    rows = snapshot.rows(
        "SELECT id, title, source, status, started_at, ended_at, created_at * 1000, 0, 0, 0 FROM sessions WHERE id = ?",
        (session_id,),
    )
    if not rows:
        raise NoSuchSessionError(f"no session {session_id!r}")
    return SessionRow(*rows[0])


def list_sessions(snapshot: Snapshot, limit: int = 1_000, offset: int = 0) -> list[SessionRow]:
    """The newest sessions first."""
    rows = snapshot.rows(f"{SQL_SESSIONS} ORDER BY s.position DESC LIMIT ? OFFSET ?", (limit, offset))
    return [SessionRow(*row) for row in rows]


def find_session(snapshot: Snapshot, prefix: str) -> SessionRow:
    """Return the session whose id begins with `prefix`.

    Raises:
        NoSuchSessionError: none does, or several do.
    """
    # GLOB would take its wild cards from the prefix; a range does not, and uses the primary key.
    rows = snapshot.rows(
        f"{SQL_SESSIONS} WHERE s.id >= ? AND s.id < ? ORDER BY s.id LIMIT 3", (prefix, prefix + "\U0010ffff")
    )
    exact = [row for row in rows if row[0] == prefix]
    if exact:
        rows = exact
    if not prefix or not rows:
        raise NoSuchSessionError(f"no session {prefix!r}")
    if len(rows) > 1:
        raise NoSuchSessionError(f"several sessions begin with {prefix!r}")
    return SessionRow(*rows[0])
