"""One session as a waterfall of its calls."""

from __future__ import annotations

import json
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from app.tui.detail import Detail
from app.tui.lines.line_list import LineList
from app.tui.style import call_style
from app.tui.view import View
from app.views.calls import Call, call_attributes, read_calls
from app.views.report import title_line
from app.views.sessions import SessionRow, find_session
from app.views.waterfall import Row, Waterfall, header, layout, name_width, render_row
from storage.engine import Snapshot

EMPTY = (
    "",
    "  This session has no calls yet.",
    "",
    "  Record one into it:   SPOKE_SESSION_ID=… spoke record -- make test",
)
RUNNING_REPAINT_S = 1.0
NOTHING = Waterfall((), 0.0, 0.0, timed=True, measured=False)


class SessionView(View):
    """A row a call: state, tree and name, duration, bar."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,left,right", "fold", "fold", id="session.fold"),
        Binding("e", "error(1)", "next failed", id="session.next_error"),
        Binding("E", "error(-1)", "previous failed", show=False, id="session.previous_error"),
    ]

    def __init__(self, session_id: str) -> None:
        super().__init__()
        self._session_id = session_id
        self._folded: set[str] = set()
        self._fall = NOTHING
        self._names = 12

    def compose_body(self) -> ComposeResult:
        """The time axis and the rows."""
        yield Static("", id="axis", markup=False)
        yield LineList[Row](self._draw, lambda row: row.call.request_id, EMPTY, call_style)

    def on_mount(self) -> None:
        """Bars of running calls grow, once a second; nothing is painted while nothing runs."""
        self.set_interval(RUNNING_REPAINT_S, self._grow)

    def _grow(self) -> None:
        if self.is_current and any(not row.call.ended for row in self._fall.rows):
            self.spoke.reload()

    def _draw(self, row: Row, width: int) -> str:
        return render_row(row, self._fall, self._names, width, ascii_only=self.spoke.ascii_only)

    async def load(self) -> None:
        """Read the session and its calls in one snapshot."""
        session, calls = await self.spoke.db.read(self._read)
        width = self.query_one(LineList).size.width or self.size.width
        ascii_only = self.spoke.ascii_only
        self.set_title(title_line(session, calls, max(20, self.size.width - 2), ascii_only=ascii_only).rstrip())
        shown = [call for call in calls if self.matches(f"{call.operation_id} {call.status} {call.error or ''}")]
        self._fall = layout(shown, self.spoke.now_ms(), self._folded)
        self._names = name_width(self._fall, width)
        axis = header(self._fall, self._names, width)
        if axis != getattr(self, "_axis", None):
            self._axis = axis
            self.query_one("#axis", Static).update(axis)
        self.query_one(LineList).show(self._fall.rows)

    def _read(self, snapshot: Snapshot) -> tuple[SessionRow, list[Call]]:
        return find_session(snapshot, self._session_id), read_calls(snapshot, self._session_id)

    def leave(self) -> None:
        """Back to the list."""
        self.spoke.back()

    def action_fold(self) -> None:
        """Fold or unfold the call under the cursor."""
        row = self.query_one(LineList).selected
        if not isinstance(row, Row) or not row.children:
            self.notify("fold: this call made no calls")
            return
        self._folded.symmetric_difference_update({row.call.request_id})
        self.spoke.reload()

    def action_error(self, step: int) -> None:
        """Jump to the next or previous failed call, around the end."""
        lines = self.query_one(LineList)
        failed = [i for i, row in enumerate(self._fall.rows) if row.call.status == "failed"]
        if not failed:
            self.notify("no failed call here")
            return
        ahead = [i for i in failed if (i - lines.cursor) * step > 0]
        lines.move_to((ahead or failed)[0 if step > 0 else -1])

    async def on_line_list_chosen(self, message: LineList.Chosen) -> None:
        """Show everything about a call."""
        call = message.row.call
        found = await self.spoke.db.read(lambda s: call_attributes(s, self._session_id, call.request_id))
        text = json.dumps(found, ensure_ascii=False, indent=2)
        self.app.push_screen(Detail(f"{call.operation_id}  {call.status}", text))

    def copy_text(self) -> str:
        """The request id."""
        row = self.query_one(LineList).selected
        return row.call.request_id if isinstance(row, Row) else ""
