"""The waterfall: calls as a tree, one row each, with a bar on a common time axis. Pure: `now` is an argument.

Where times are known, bars stand where they were. Where no start is known (imported logs), calls are laid one after
another in the order of the log, as long as they are known to have taken, and the header says so.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from rich.cells import cell_len

from app.views.calls import Call
from app.views.text import duration, fit, safe

GLYPHS = {"completed": "✓", "failed": "✗", "aborted": "⊘", "running": "▶", "pending": "▶"}
ASCII_GLYPHS = {"completed": "+", "failed": "x", "aborted": "-", "running": ">", "pending": ">"}
EIGHTHS = " ▏▎▍▌▋▊▉█"
DURATION_WIDTH = 8
LEAST_AXIS_MS = 1e-6


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the waterfall. `start` and `end` are on the axis of `Waterfall`."""

    call: Call
    depth: int
    guides: str
    """The tree's lines before the name; ASCII is made when it is drawn."""
    start: float
    end: float
    children: int
    hidden: int
    """Rows below it that are folded away."""


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Rows in pre-order, and the axis that their bars stand on (milliseconds, or steps when nothing is known)."""

    rows: tuple[Row, ...]
    start: float
    end: float
    timed: bool
    """Starts are known."""
    measured: bool
    """At least one duration is known."""

    @property
    def note(self) -> str:
        """What a reader must know about the axis; empty when there is nothing to say."""
        if self.timed:
            return ""
        return "starts unknown: in log order" if self.measured else "times unknown: in log order"


def layout(calls: Sequence[Call], now_ms: float, folded: Set[str] = frozenset()) -> Waterfall:
    """Lay out calls.

    A call whose parent is not among them is a root. Calls that are each other's ancestors (a damaged log) are shown
    once, the first of them as a root. Everything is iterative: depth is bounded by memory, not by the stack.
    """
    children, roots = _tree(calls)
    order = _pre_order(children, roots, len(calls))
    timed = bool(calls) and all(call.started_ms is not None for call in calls)
    measured = any(call.duration_ms is not None for call in calls)
    spans = _absolute(calls, now_ms) if timed else _in_order(calls, children, order, 0.0 if measured else 1.0)
    rows: list[Row] = []
    skip_below: int | None = None
    sizes = _sizes(order)
    for position, (index, depth, guides) in enumerate(order):
        if skip_below is not None:
            if depth > skip_below:
                continue
            skip_below = None
        hidden = 0
        if calls[index].request_id in folded and sizes[position] > 1:
            hidden, skip_below = sizes[position] - 1, depth
        rows.append(Row(calls[index], depth, guides, *spans[index], len(children[index]), hidden))
    begin = min((span[0] for span in spans), default=0.0)
    return Waterfall(tuple(rows), begin, max((span[1] for span in spans), default=begin), timed, measured)


def _tree(calls: Sequence[Call]) -> tuple[list[list[int]], list[int]]:
    index_of = {call.request_id: index for index, call in enumerate(calls)}
    children: list[list[int]] = [[] for _ in calls]
    roots: list[int] = []
    for index, call in enumerate(calls):
        parent = index_of.get(call.parent_id) if call.parent_id is not None else None
        if parent is None or parent == index:
            roots.append(index)
        else:
            children[parent].append(index)
    return children, roots


def _pre_order(children: list[list[int]], roots: list[int], total: int) -> list[tuple[int, int, str]]:
    """Every call once: (index, depth, guides)."""
    order: list[tuple[int, int, str]] = []
    seen = [False] * total

    def walk(root: int) -> None:
        stack: list[tuple[int, int, str, str]] = [(root, 0, "", "")]
        while stack:
            index, depth, guides, below = stack.pop()
            if seen[index]:
                continue
            seen[index] = True
            order.append((index, depth, guides))
            last = len(children[index]) - 1
            for number in range(last, -1, -1):
                branch, onward = ("└─", "  ") if number == last else ("├─", "│ ")
                stack.append((children[index][number], depth + 1, below + branch, below + onward))

    for root in roots:
        walk(root)
    for index in range(total):  # what is left is in a cycle
        if not seen[index]:
            walk(index)
    return order


def _sizes(order: list[tuple[int, int, str]]) -> list[int]:
    """The number of rows in the subtree of each, itself included."""
    sizes = [1] * len(order)
    for position in range(len(order) - 1, -1, -1):
        depth = order[position][1]
        follower = position + 1
        while follower < len(order) and order[follower][1] > depth:
            follower += sizes[follower]
        sizes[position] = follower - position
    return sizes


def _absolute(calls: Sequence[Call], now_ms: float) -> list[tuple[float, float]]:
    spans = []
    for call in calls:
        start = call.started_ms or 0.0
        if not call.ended:
            end = now_ms
        elif call.completed_ms is not None:
            end = call.completed_ms
        else:
            end = start + (call.duration_ms or 0.0)
        if call.duration_ms is not None and call.ended and end - call.duration_ms > start:
            start = end - call.duration_ms  # it waited before it ran: the bar is the run
        spans.append((start, max(start, end)))
    return spans


def _in_order(
    calls: Sequence[Call], children: list[list[int]], order: list[tuple[int, int, str]], step: float
) -> list[tuple[float, float]]:
    spans = [(0.0, 0.0)] * len(calls)
    at = 0.0
    for index, _, _ in order:
        begin = at
        if not children[index]:
            at += calls[index].duration_ms or step
        spans[index] = (begin, at)
    for index, _, _ in reversed(order):  # a parent lasts at least as long as what it called
        begin, end = spans[index]
        end = max([end, begin + (calls[index].duration_ms or 0.0), *(spans[child][1] for child in children[index])])
        spans[index] = (begin, end)
    return spans


def name_width(waterfall: Waterfall, width: int) -> int:
    """Cells for tree and name: what the longest needs, at most two fifths of the line."""
    longest = max((len(row.guides) + cell_len(_name(row)) for row in waterfall.rows), default=0)
    return max(12, min(longest + 1, width * 2 // 5))


def _name(row: Row, *, ascii_only: bool = False) -> str:
    folded = f" (+{row.hidden})" if row.hidden else ""
    return safe(row.call.operation_id, ascii_only=ascii_only) + folded


def render_row(row: Row, waterfall: Waterfall, names: int, width: int, *, ascii_only: bool = False) -> str:
    """One row in exactly `width` cells: glyph, tree and name, duration, bar."""
    glyph = (ASCII_GLYPHS if ascii_only else GLYPHS)[row.call.status]
    guides = row.guides
    if ascii_only:
        guides = guides.replace("├─", "|-").replace("└─", "`-").replace("│", "|")
    name = guides + _name(row, ascii_only=ascii_only)
    ellipsis = "~" if ascii_only else "…"
    took = (
        duration(row.end - row.start) + "+"
        if not row.call.ended and waterfall.timed
        else duration(row.call.duration_ms)
    )
    if ascii_only:
        took = took.replace("–", "-")
    head = f"{glyph} {fit(name, names, ellipsis=ellipsis)} {took:>{DURATION_WIDTH}} "
    room = width - cell_len(head)
    if room <= 0:
        return fit(head, width, ellipsis=ellipsis)
    return head + bar(row, waterfall, room, ascii_only=ascii_only)


def bar(row: Row, waterfall: Waterfall, width: int, *, ascii_only: bool = False) -> str:
    """The bar in exactly `width` cells; every call has at least one mark."""
    length = waterfall.end - waterfall.start
    if length < LEAST_AXIS_MS:  # nothing took any time, or so little that it is none
        length = 0.0
    scale = width / length if length > 0 else 0.0
    left = min((row.start - waterfall.start) * scale, width - 1.0)
    right = min(max((row.end - waterfall.start) * scale, left), float(width))
    if length <= 0:
        left, right = 0.0, float(width)
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


def header(waterfall: Waterfall, names: int, width: int) -> str:
    """The line above the rows: the axis, or why there is none."""
    left = 2 + names + 1 + DURATION_WIDTH + 1
    room = width - left
    if room < 10:
        return " " * width
    if waterfall.note:
        return fit(" " * left + waterfall.note, width)
    end = duration(waterfall.end - waterfall.start)
    return " " * left + "0" + end.rjust(room - 1)
