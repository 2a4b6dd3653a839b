"""Times in the format that a person chose. Pure: `now` and the zone are arguments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Literal, TypeAlias

from app.views.text import ago, since

TimeFormat: TypeAlias = Literal["relative", "local", "utc", "raw"]
When: TypeAlias = Callable[[float | None], str]
"""Writes moments (unix milliseconds) in the format of whoever shows them."""
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


def told(at_ms: int, now_ms: int, when: When | None) -> str:
    """A moment inside a sentence: as it is wanted, else how long ago it is.

    >>> told(0, 900, None), told(0, 900, lambda at_ms: f"<{at_ms}>")
    ('just now', '<0>')
    """
    return since(at_ms, now_ms) if when is None else when(at_ms)


def _relative(at_ms: int, now_ms: int) -> str:
    if at_ms > now_ms + 999:
        return f"in {ago(now_ms, at_ms)}"
    text = ago(at_ms, now_ms)
    return text if text == "now" else f"{text} ago"
