"""The first screen: am I connected, is anything stuck, what is running, is the disk fine, what came last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from app.tui.sessions import SessionsView
from app.views.link import link_details
from app.views.overview import Overview, copy_lines, read_overview
from app.views.queue_text import paused_note
from app.views.room import room_lines
from app.views.sessions import SessionRow
from app.views.text import count, of
from storage.engine import Snapshot


class OverviewView(SessionsView):
    """What this node holds and how it stands; below it the last sessions."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "refresh", "read again", show=False, id="overview.refresh"),
    ]

    def compose_body(self) -> ComposeResult:
        """Facts above, the last sessions below."""
        yield Static("", id="facts", markup=False)
        yield self.make_table()

    def read(self, snapshot: Snapshot) -> Sequence[SessionRow]:
        """The overview in one snapshot; its facts are shown by `load`."""
        self._found = read_overview(snapshot, self.spoke.db.max_bytes)
        return self._found.recent

    async def load(self) -> None:
        """Read everything in one snapshot."""
        await super().load()
        running = self.spoke.services_running
        lines = facts(self._found, self.spoke.now_ms(), running=running)
        self.say("facts", "\n".join(self.spoke.plain(f" {line}") for line in lines))

    def counts(self) -> str:
        """Its name: the numbers are in the facts."""
        return "overview"

    def action_refresh(self) -> None:
        """Read again."""
        self.spoke.reload()


def facts(found: Overview, now_ms: int, *, running: bool) -> list[str]:
    """The answers, a line each; what wants attention says where to look."""
    lines = link_details(found.link, now_ms, running=running)
    lines += [
        "",
        f"{of(found.sessions, 'session')} ({count(found.active_sessions)} active), {of(found.calls, 'call')},"
        f" {of(found.events, 'event')}, {found.size_bytes / 1e6:.1f} MB",
    ]
    lines += room_lines(found.room)
    lines += copy_lines(found, now_ms)
    if note := paused_note(found.paused, now_ms):
        lines.append(f"! {': '.join(note)}")
    if found.rejects:
        lines.append(f"! {of(found.rejects, 'event')} not of the stream's kind: spoke status")
    return lines
