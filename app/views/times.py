"""Times in the format that a person chose. Pure: `now` and the zone are arguments."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Literal, TypeAlias

from app.views.text import ago

TimeFormat: TypeAlias = Literal["relative", "local", "utc", "raw"]
FORMATS: tuple[TimeFormat, ...] = ("relative", "local", "utc", "raw")
WIDTH = 14
"""Cells that every format fits in."""


def when(at_ms: int | float | None, now_ms: int, form: TimeFormat, zone: tzinfo | None = None) -> str:
    """A moment; unknown is a dash.

    >>> when(0, 65_000, "relative"), when(0, 0, "utc"), when(1500, 0, "raw")
    ('1 min ago', '01-01 00:00:00', '1500')
    """
    if at_ms is None:
        return "–"
    if form == "raw":
        return str(int(at_ms))
    if form == "relative":
        return _relative(int(at_ms), now_ms)
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return (at if form == "utc" else at.astimezone(zone)).strftime("%m-%d %H:%M:%S")


def _relative(at_ms: int, now_ms: int) -> str:
    if at_ms > now_ms + 999:
        return f"in {ago(now_ms, at_ms)}"
    text = ago(at_ms, now_ms)
    return text if text == "now" else f"{text} ago"
