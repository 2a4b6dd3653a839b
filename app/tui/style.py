"""Colours. They repeat what glyphs and words say already; nothing is told by colour alone."""

from __future__ import annotations

from rich.style import Style

from app.views.sessions import SessionRow
from app.views.waterfall import Row

FAILED = Style(color="red")
WARNING = Style(color="yellow")
RUNNING = Style(color="cyan")
_BY_STATUS = {
    "failed": FAILED,
    "aborted": WARNING,
    "active": RUNNING,
    "running": RUNNING,
    "pending": RUNNING,
    "completed": Style(),
}


def session_style(row: SessionRow) -> Style:
    """The colour of a session's line."""
    return _BY_STATUS[row.status]


def call_style(row: Row) -> Style:
    """The colour of a call's line."""
    return _BY_STATUS[row.call.status]
