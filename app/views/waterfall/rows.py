"""Which rows are shown: folded, filtered, and the stretch of time they are drawn on."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import overload

from app.views.calls import Call
from app.views.waterfall.tree import ROOT, CallTree, call_tree
from app.views.waterfall.window import Window, whole


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the waterfall. `start` and `end` are on the axis of its tree."""

    call: Call
    position: int
    """Its place in the tree."""
    depth: int
    start: float
    end: float
    children: int
    hidden: int
    """Rows below it that are folded away."""
    attempt: int
    """2 is the second try; 1 where there was no failed one before."""
    critical: bool


@dataclass(frozen=True, slots=True)
class Rows(Sequence[Row]):
    """The rows of a waterfall, each made when it is asked for."""

    tree: CallTree
    shown: Sequence[int]
    """Positions in the tree, ascending."""
    folded: Set[str]
    critical: Set[str]
    now_ms: float

    def __len__(self) -> int:
        return len(self.shown)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return [self._row(position) for position in self.shown[index]]
        return self._row(self.shown[index])

    def _row(self, position: int) -> Row:
        tree = self.tree
        call = tree.calls[position]
        return Row(
            call=call,
            position=position,
            depth=tree.depths[position],
            start=(span := tree.span(position, self.now_ms))[0],
            end=span[1],
            children=tree.children[position],
            hidden=tree.sizes[position] - 1 if call.request_id in self.folded else 0,
            attempt=tree.attempts.get(position, 1),
            critical=call.request_id in self.critical,
        )

    def index_of(self, position: int) -> int:
        """The row of a call, or of the nearest caller that is shown above it; 0 if there is none."""
        row = bisect_left(self.shown, position)
        if row < len(self.shown) and self.shown[row] == position:
            return row
        return max(0, row - 1)


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Rows in pre-order, and the window of time that their bars stand on (milliseconds, or steps)."""

    tree: CallTree
    rows: Rows
    window: Window
    zoomed: bool

    @property
    def note(self) -> str:
        """What a reader must know about the axis; empty when there is nothing to say."""
        return self.tree.note


def fall_of(
    tree: CallTree,
    now_ms: float,
    folded: Set[str] = frozenset(),
    *,
    base: Sequence[int] | None = None,
    window: Window | None = None,
    critical: Set[str] = frozenset(),
) -> Waterfall:
    """Choose what is shown of a tree.

    Args:
        tree: the calls.
        now_ms: the end of what still runs, unix milliseconds.
        folded: request ids of calls below which nothing is shown.
        base: only these positions (`matching`).
        window: the stretch of time; None for all.
        critical: request ids that are marked.
    """
    rows = Rows(tree, visible(tree, folded, base), folded, critical, now_ms)
    return Waterfall(tree, rows, window or whole(tree, now_ms), zoomed=window is not None)


def layout(calls: Sequence[Call], now_ms: float, folded: Set[str] = frozenset()) -> Waterfall:
    """Tree and rows at once, for what is drawn a single time."""
    return fall_of(call_tree(calls), now_ms, folded)


def visible(tree: CallTree, folded: Set[str] = frozenset(), base: Sequence[int] | None = None) -> Sequence[int]:
    """The positions that are shown, ascending. A fold skips a range: the cost is one of folds, not of calls."""
    closed = sorted(tree.positions[request_id] for request_id in folded if request_id in tree.positions)
    if not closed:
        return range(len(tree.calls)) if base is None else base
    shown: list[int] = []
    at = 0
    for position in [*closed, len(tree.calls)]:
        if position >= at:
            if base is None:
                shown += range(at, min(position + 1, len(tree.calls)))
            else:
                shown += base[bisect_left(base, at) : bisect_left(base, position + 1)]
            at = position + (tree.sizes[position] if position < len(tree.calls) else 1)
    return shown


def matching(tree: CallTree, keep: Callable[[Call], bool]) -> list[int]:
    """The positions of the calls that `keep` wants, and of those that led to them."""
    kept = bytearray(len(tree.calls))
    for position, call in enumerate(tree.calls):
        if keep(call):
            while position != ROOT and not kept[position]:
                kept[position] = 1
                position = tree.parents[position]
    return [position for position, flag in enumerate(kept) if flag]


def deeper_than(tree: CallTree, depth: int) -> frozenset[str]:
    """What to fold so that only `depth` levels are shown, at least one."""
    return _ids(tree, (p for p, d in enumerate(tree.depths) if d == max(depth, 1) - 1 and tree.sizes[p] > 1))


def succeeded(tree: CallTree) -> frozenset[str]:
    """What to fold so that whatever went well takes one row: calls that completed, as did everything below them."""
    good = bytearray(call.status == "completed" for call in tree.calls)
    for position in range(len(tree.calls) - 1, -1, -1):
        if not good[position] and tree.parents[position] != ROOT:
            good[tree.parents[position]] = 0
    tops = (
        p
        for p, size in enumerate(tree.sizes)
        if size > 1 and good[p] and (tree.parents[p] == ROOT or not good[tree.parents[p]])
    )
    return _ids(tree, tops)


def folds(tree: CallTree, depth: int | None, *, ok: bool) -> frozenset[str]:
    """What to fold as the options `--depth` and `--fold ok` say."""
    return (frozenset() if depth is None else deeper_than(tree, depth)) | (succeeded(tree) if ok else frozenset())


def _ids(tree: CallTree, positions: Iterable[int]) -> frozenset[str]:
    return frozenset(tree.calls[position].request_id for position in positions)
