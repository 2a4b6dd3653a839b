"""A row as text."""

from __future__ import annotations

from rich.cells import cell_len

from app.views.text import duration, fit, safe
from app.views.waterfall.rows import Row, Waterfall
from app.views.waterfall.tree import CallTree

GLYPHS = {"completed": "✓", "failed": "✗", "aborted": "⊘", "running": "▶", "pending": "▶"}
ASCII_GLYPHS = {"completed": "+", "failed": "x", "aborted": "-", "running": ">", "pending": ">"}
CRITICAL = "*"
EIGHTHS = " ▏▎▍▌▋▊▉█"
DURATION_WIDTH = 8
LEAST_AXIS_MS = 1e-6
LEAST_NAMES = 12


def name_width(fall: Waterfall, width: int) -> int:
    """Cells for tree and name: what the longest needs, at most two fifths of the line. Folds do not change it."""
    most = width * 2 // 5
    longest = max((2 * min(depth, _levels(most)) + cells for depth, cells in fall.tree.longest), default=0)
    retried = 3 if fall.tree.attempts else 0
    return max(LEAST_NAMES, min(longest + 1 + retried, most))


def _levels(names: int) -> int:
    """How many levels of the tree are drawn before a name, so that something is left for the name."""
    return max(1, (names - LEAST_NAMES) // 2)


def guides(tree: CallTree, position: int, levels: int, *, ascii_only: bool = False) -> str:
    """The tree's lines before a name: as deep as `levels`, further up only an ellipsis."""
    if tree.depths[position] == 0:
        return ""
    branch, end, line, more = ("|-", "`-", "| ", "~ ") if ascii_only else ("├─", "└─", "│ ", "… ")
    parts = [end if tree.last[position] else branch]
    above = tree.parents[position]
    while tree.depths[above] > 0:
        if len(parts) == levels - 1 and tree.depths[above] > 1:
            parts.append(more)
            break
        parts.append("  " if tree.last[above] else line)
        above = tree.parents[above]
    return "".join(reversed(parts))


def render_row(row: Row, fall: Waterfall, names: int, width: int, *, ascii_only: bool = False) -> str:
    """One row in exactly `width` cells: glyph, a star on the critical path, tree and name, duration, bar."""
    ellipsis = "~" if ascii_only else "…"
    glyph = (ASCII_GLYPHS if ascii_only else GLYPHS)[row.call.status] + (CRITICAL if row.critical else " ")
    marks = f" (+{row.hidden})" if row.hidden else ""
    if row.attempt > 1:
        marks = f" {'r' if ascii_only else '↻'}{row.attempt}{marks}"
    lines = guides(fall.tree, row.position, _levels(names), ascii_only=ascii_only)
    name = fit(
        lines + safe(row.call.operation_id, ascii_only=ascii_only), max(4, names - len(marks)), ellipsis=ellipsis
    )
    if marks:
        name = fit(name.rstrip() + marks, names, ellipsis=ellipsis)
    running = not row.call.ended and fall.tree.timed
    took = duration(row.end - row.start) + "+" if running else duration(row.call.duration_ms)
    if ascii_only:
        took = took.replace("–", "-")
    head = f"{glyph}{name} {took:>{DURATION_WIDTH}} "
    room = width - cell_len(head)
    if room <= 0:
        return fit(head, width, ellipsis=ellipsis)
    return head + bar(row, fall, room, ascii_only=ascii_only)


def bar(row: Row, fall: Waterfall, width: int, *, ascii_only: bool = False) -> str:
    """The bar in exactly `width` cells; every call has at least one mark, one outside the window an arrow to it."""
    window = fall.window
    length = window.length
    if length < LEAST_AXIS_MS:  # nothing took any time, or so little that it is none
        left, right = 0.0, float(width)
    elif row.end < window.start:
        return ("<" if ascii_only else "‹").ljust(width)
    elif row.start > window.end:
        return (">" if ascii_only else "›").rjust(width)
    else:
        left = min(max((row.start - window.start) / length * width, 0.0), width - 1.0)
        right = min(max((row.end - window.start) / length * width, left), float(width))
    first = int(left)
    if ascii_only or not row.call.ended:
        mark = ("." if ascii_only else "▒") if not row.call.ended else "#"
        cells = max(1, round(right) - first)
        return (" " * first + mark * min(cells, width - first)).ljust(width)
    whole = int(right)
    eighth = round((right - whole) * 8)
    if whole == first:  # within one cell: at least the thinnest mark
        text = "█" if eighth == 8 else EIGHTHS[max(1, eighth - int((left - first) * 8))]
        return (" " * first + text).ljust(width)
    head = "▐" if left - first >= 0.5 else "█"
    text = " " * first + head + "█" * (whole - first - 1)
    if whole < width and eighth:
        text += EIGHTHS[eighth]
    return text.ljust(width)


def header(fall: Waterfall, names: int, width: int, corner: str = "", *, ascii_only: bool = False) -> str:
    """The line above the rows: the axis, or why there is none; `corner` is what stands above the names."""
    ellipsis = "~" if ascii_only else "…"
    left = 2 + names + 1 + DURATION_WIDTH + 1
    room = width - left
    if room < 10:
        return fit(safe(corner, ascii_only=ascii_only), width, ellipsis=ellipsis)
    above = fit(safe(corner, ascii_only=ascii_only), left - 1, ellipsis=ellipsis) + " "
    if fall.note:
        return fit(above + fall.note, width, ellipsis=ellipsis)
    begin = duration(fall.window.start - fall.tree.begin) if fall.zoomed else "0"
    return above + begin + duration(fall.window.end - fall.tree.begin).rjust(room - len(begin))
