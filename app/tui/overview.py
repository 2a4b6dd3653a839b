"""The first screen: am I connected, is anything stuck, what is there, what came last."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from app.tui.line_list import LineList
from app.tui.style import session_style
from app.tui.view import View
from app.views.link import link_details
from app.views.overview import Overview, copy_lines, read_overview
from app.views.report import session_line
from app.views.sessions import SessionRow
from app.views.text import count, of

EMPTY = (
    "",
    "  No sessions yet. A session is a tree of calls: an agent's run, a job, your work.",
    "",
    "  Record one:        spoke record -- make test",
    "  Import some:       spoke import swe-agent runs/*.traj",
    "  Call something:    spoke call system.info",
)


class OverviewView(View):
    """What this node holds and how it stands."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("r", "refresh", "read again", show=False)]
    hints = "1 overview 2 sessions 3 streams  enter open  / filter  ? help  q quit"

    def compose_body(self) -> ComposeResult:
        """Facts above, the last sessions below."""
        yield Static("", id="facts", markup=False)
        yield LineList[SessionRow](
            lambda row, width: session_line(row, width, ascii_only=self.spoke.ascii_only),
            lambda row: row.id,
            EMPTY,
            session_style,
        )

    async def load(self) -> None:
        """Read the overview in one snapshot."""
        found: Overview = await self.spoke.db.read(read_overview)
        self.set_title(f" spoke {self.spoke.node_name}   overview")
        lines = link_details(found.link, self.spoke.now_ms(), running=self.spoke.services_running)
        lines += [
            "",
            f"{of(found.sessions, 'session')} ({count(found.active_sessions)} active), {of(found.calls, 'call')},"
            f" {of(found.events, 'event')}, {found.size_bytes / 1e6:.1f} MB",
        ]
        lines += copy_lines(found, self.spoke.now_ms())
        if found.rejects:
            lines.append(f"! {of(found.rejects, 'event')} not of the stream's kind: spoke status")
        text = "\n".join(self.spoke.plain(f" {line}") for line in lines)
        facts = self.query_one("#facts", Static)
        if text != getattr(self, "_shown", None):
            self._shown = text
            facts.update(text)
        rows = [row for row in found.recent if self.matches(session_line(row, 400))]
        self.query_one(LineList).show(rows)

    def action_refresh(self) -> None:
        """Read again."""
        self.spoke.reload()

    def on_line_list_chosen(self, message: LineList.Chosen) -> None:
        """Open a session."""
        self.spoke.open_session(message.row.id)

    def copy_text(self) -> str:
        """The session's id."""
        row = self.query_one(LineList).selected
        return row.id if isinstance(row, SessionRow) else ""
