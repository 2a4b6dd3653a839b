"""Colours. They repeat what glyphs and words say already; nothing is told by colour alone."""

from __future__ import annotations

from rich.style import Style

from app.views.messages import Line
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

_PLAIN = Style()
_CRITICAL = Style(underline=True)
_HEAD = Style(bold=True)
_SAID = {"reasoning": Style(dim=True, italic=True), "result": Style(dim=True), "other": Style(dim=True)}


def session_style(row: SessionRow) -> Style:
    """The colour of a session's line."""
    return _BY_STATUS[row.status]


def call_style(row: Row) -> Style:
    """The colour of a call's line; on the critical path it is underlined too."""
    style = _BY_STATUS[row.call.status]
    return style + _CRITICAL if row.critical else style


def said_style(line: Line) -> Style:
    """The colour of a line of a conversation."""
    if line.kind == "head":
        return _HEAD
    return _BY_STATUS["failed"] if line.failed and line.kind == "tool" else _SAID.get(line.kind, _PLAIN)
