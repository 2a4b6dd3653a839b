"""Sessions as plain text: what `spoke session` prints and the TUI shows."""

from __future__ import annotations

from collections.abc import Set

from app.views.sessions import SessionRow
from app.views.text import clip, date, duration, fit, of, safe
from app.views.times import WIDTH, When
from app.views.waterfall import ASCII_GLYPHS, GLYPHS, CallTree, fall_of, header, name_width, render_row

_GLYPH_OF = {"active": "running", "completed": "completed", "failed": "failed", "aborted": "aborted"}


def session_line(row: SessionRow, width: int, *, ascii_only: bool = False, when: When | None = None) -> str:
    """A session in a list: glyph, id, when (`when` writes it; a date, UTC, without), how long, calls, title; in at most
    `width` cells.
    """
    glyph = (ASCII_GLYPHS if ascii_only else GLYPHS)[_GLYPH_OF[row.status]]
    at_ms = row.started_ms if row.started_ms is not None else row.recorded_ms
    told = date(at_ms) if when is None else f"{when(at_ms):<{WIDTH}}"
    mark = " " if row.started_ms is not None else "*"  # recorded then; when it ran is not known
    failed = f" {row.failed} failed" if row.failed else ""
    took = duration(row.duration_ms)
    if ascii_only:
        took = took.replace("–", "-")
    calls = of(row.calls, "call")
    line = f"{glyph} {safe(row.id[:8])} {told}{mark} {took:>7} {calls:>9}{failed}  "
    return clip(line + safe(row.title, ascii_only=ascii_only), width, ellipsis="~" if ascii_only else "…")


def session_json(row: SessionRow) -> dict[str, object]:
    """A session as `--json` prints it; times are unix milliseconds."""
    return {
        "sessionId": row.id,
        "title": row.title,
        "source": row.source,
        "status": row.status,
        "startedAt": row.started_ms,
        "endedAt": row.ended_ms,
        "callCount": row.calls,
        "failedCount": row.failed,
        "runningCount": row.running,
    }


def state_line(row: SessionRow, tree: CallTree, dot: str = " · ") -> str:
    """A session in a few words: id, how it stands, calls, how many run and failed."""
    facts = [f"session {safe(row.id[:8])}", row.status, of(len(tree.calls), "call")]
    facts += [f"{tree.open} running"] if tree.open else []
    facts += [f"{len(tree.failed)} failed"] if tree.failed else []
    return dot.join(facts)


def title_line(row: SessionRow, tree: CallTree, width: int, *, ascii_only: bool = False) -> str:
    """What stands above a waterfall: how the session stands, and its title."""
    dot = " - " if ascii_only else " · "
    return fit(
        state_line(row, tree, dot) + dot + safe(row.title, ascii_only=ascii_only),
        width,
        ellipsis="~" if ascii_only else "…",
    )


def waterfall_lines(
    row: SessionRow,
    tree: CallTree,
    now_ms: float,
    width: int,
    *,
    folded: Set[str] = frozenset(),
    critical: Set[str] = frozenset(),
    ascii_only: bool = False,
) -> list[str]:
    """A whole session as text."""
    fall = fall_of(tree, now_ms, folded, critical=critical)
    names = name_width(fall, width)
    title = title_line(row, tree, width, ascii_only=ascii_only)
    lines = [title, header(fall, names, width, ascii_only=ascii_only)]
    lines += [render_row(item, fall, names, width, ascii_only=ascii_only) for item in fall.rows]
    return [line.rstrip() for line in lines]
