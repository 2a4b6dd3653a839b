"""The list of sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style

from app.tui.style import session_style
from app.tui.table_view import TableView
from app.views.columns import Column
from app.views.sessions import SessionRow, list_sessions
from app.views.text import count, duration
from app.views.waterfall import ASCII_GLYPHS, GLYPHS
from storage.engine import Snapshot

EMPTY = (
    "",
    "  No sessions yet. A session is a tree of calls: an agent's run, a job, your work.",
    "",
    "  Record one:        spoke record -- make test",
    "  Import some:       spoke import swe-agent runs/*.traj",
    "  Call something:    spoke call system.info",
)
_GLYPH_OF = {"active": "running", "completed": "completed", "failed": "failed", "aborted": "aborted"}


class SessionsView(TableView[SessionRow]):
    """Every session, the newest first."""

    noun: ClassVar[str] = "session"
    empty: ClassVar[Sequence[str]] = EMPTY

    def __init__(self) -> None:
        super().__init__()
        self.columns = (
            Column("state", "", self._glyph, 1, value=lambda row: row.status),
            Column("id", "ID", lambda row: row.id[:8], 8, value=lambda row: row.id, rank=1),
            Column("when", "WHEN", self._when, 15, value=lambda row: row.started_ms or row.recorded_ms),
            Column("took", "TOOK", lambda row: duration(row.duration_ms), 7, lambda row: row.duration_ms, right=True),
            Column("calls", "CALLS", lambda row: count(row.calls), 7, lambda row: row.calls, right=True),
            Column("failed", "FAILED", lambda row: count(row.failed) if row.failed else "", 6, _failed, right=True),
            Column("source", "SOURCE", lambda row: row.source, 11, rank=2),
            Column("title", "TITLE", lambda row: row.title, 24, grow=True),
        )

    def _glyph(self, row: SessionRow) -> str:
        return (ASCII_GLYPHS if self.spoke.ascii_only else GLYPHS)[_GLYPH_OF[row.status]]

    def _when(self, row: SessionRow) -> str:
        """When it began; with a star when only the recording's time is known."""
        known = row.started_ms is not None
        return self.spoke.when(row.started_ms if known else row.recorded_ms) + ("" if known else "*")

    def read(self, snapshot: Snapshot) -> Sequence[SessionRow]:
        """The sessions."""
        return list_sessions(snapshot)

    def key(self, row: SessionRow) -> object:
        """The session's id."""
        return row.id

    def open(self, row: SessionRow) -> None:
        """The waterfall."""
        self.spoke.open_session(row.id)

    def failed(self, row: SessionRow) -> bool:
        """Sessions that failed, or in which a call did."""
        return row.status == "failed" or row.failed > 0

    def style(self, row: SessionRow) -> Style:
        """By status."""
        return session_style(row)


def _failed(row: SessionRow) -> int:
    return row.failed
