"""The list of sessions."""

from __future__ import annotations

from textual.app import ComposeResult

from app.tui.line_list import LineList
from app.tui.overview import EMPTY
from app.tui.style import session_style
from app.tui.view import View
from app.views.report import session_line
from app.views.sessions import SessionRow, list_sessions
from app.views.text import count

NO_MATCH = ("", "  No session matches the filter. Esc clears it.")


class SessionsView(View):
    """Every session, the newest first."""

    hints = "enter waterfall  / filter  y copy id  ? help  esc back  q quit"

    def compose_body(self) -> ComposeResult:
        """One list."""
        yield LineList[SessionRow](
            lambda row, width: session_line(row, width, ascii_only=self.spoke.ascii_only),
            lambda row: row.id,
            EMPTY,
            session_style,
        )

    async def load(self) -> None:
        """Read the sessions."""
        found = await self.spoke.db.read(list_sessions)
        rows = [row for row in found if self.matches(session_line(row, 400))]
        self.set_title(f" spoke {self.spoke.node_name}   sessions  {count(len(rows))} of {count(len(found))}")
        self.query_one(LineList).show(rows, empty=NO_MATCH if found else EMPTY)

    def on_line_list_chosen(self, message: LineList.Chosen) -> None:
        """Open a session."""
        self.spoke.open_session(message.row.id)

    def copy_text(self) -> str:
        """The session's id."""
        row = self.query_one(LineList).selected
        return row.id if isinstance(row, SessionRow) else ""
