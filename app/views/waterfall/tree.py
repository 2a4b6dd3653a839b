"""Calls as a tree, flat: every call once, parents before children, with the size of each subtree.

Where times are known, spans are where they were. Where no start is known (imported logs), calls are laid one after
another in the order of the log, as long as they are known to have taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from app.views.calls import Call
from app.views.text import safe

ROOT = -1
"""The parent of what has none."""


@dataclass(frozen=True, slots=True)
class CallTree:
    """The lists run in parallel, in pre-order: what is below position `p` is `p + 1 … p + sizes[p] - 1`.

    Times are on one axis: unix milliseconds where starts are known, else milliseconds (or steps) from 0.
    """

    calls: Sequence[Call]
    parents: Sequence[int]
    depths: Sequence[int]
    sizes: Sequence[int]
    """Calls in the subtree, itself included."""
    children: Sequence[int]
    """How many calls it made itself."""
    last: Sequence[bool]
    """No sibling comes behind it."""
    attempts: dict[int, int]
    """Calls that were made again, after the same operation under the same parent had failed: 2 is the second try."""
    positions: dict[str, int]
    """By request id."""
    timed: bool
    """Starts are known."""
    measured: bool
    """At least one duration is known."""
    steps: Sequence[tuple[float, float]] | None
    """Spans where starts are not known."""
    begin: float
    ended: float
    """When the last call ended that has ended; `begin` if none has."""
    open: int
    """Calls without an outcome."""
    failed: Sequence[int]
    """Positions of the calls that failed, ascending."""
    longest: tuple[tuple[int, int], ...]
    """(depth, cells of the longest name at that depth)."""

    @property
    def note(self) -> str:
        """What a reader must know about the axis; empty when there is nothing to say."""
        if self.timed or not self.calls:
            return ""
        return "starts unknown: in log order" if self.measured else "times unknown: in log order"

    def span(self, position: int, now_ms: float) -> tuple[float, float]:
        """Start and end of a call; one that runs ends now."""
        if self.steps is not None:
            return self.steps[position]
        return span_of(self.calls[position], now_ms)

    def end(self, now_ms: float) -> float:
        """The end of the last call."""
        return max(self.ended, now_ms) if self.timed and self.open else self.ended

    def path(self, position: int) -> list[int]:
        """The callers of a call, the nearest first."""
        found = []
        while (position := self.parents[position]) != ROOT:
            found.append(position)
        return found


def span_of(call: Call, now_ms: float) -> tuple[float, float]:
    """Start and end of a call whose start is known."""
    start = call.started_ms or 0.0
    if not call.ended:
        return start, max(start, now_ms)
    end = call.completed_ms if call.completed_ms is not None else start + (call.duration_ms or 0.0)
    if call.duration_ms is not None and end - call.duration_ms > start:
        start = end - call.duration_ms  # it waited before it ran: the span is the run
    return start, max(start, end)


def call_tree(calls: Sequence[Call]) -> CallTree:
    """Make the tree; linear in the number of calls, and iterative: depth is bounded by memory, not by the stack.

    A call whose parent is not among them is a root. Calls that are each other's ancestors (a damaged log) are there
    once, the first of them as a root.
    """
    order, parents = _pre_order(calls)
    total = len(order)
    ordered = [calls[index] for index in order]
    depths, sizes, children, last = [0] * total, [1] * total, [0] * total, [False] * total
    for position, parent in enumerate(parents):
        if parent != ROOT:
            depths[position] = depths[parent] + 1
            children[parent] += 1
    met = [False] * (total + 1)  # one more, for the roots
    for position in range(total - 1, -1, -1):
        parent = parents[position]
        last[position], met[parent] = not met[parent], True
        if parent != ROOT:
            sizes[parent] += sizes[position]
    timed = bool(calls) and all(call.started_ms is not None for call in calls)
    measured = any(call.duration_ms is not None for call in calls)
    steps = None if timed else _in_order(ordered, parents, children, 0.0 if measured else 1.0)
    spans = [span_of(call, 0.0) for call in ordered] if steps is None else steps
    begin = min((span[0] for span in spans), default=0.0)
    closed = (span[1] for span, call in zip(spans, ordered, strict=True) if steps is not None or call.ended)
    return CallTree(
        calls=ordered,
        parents=parents,
        depths=depths,
        sizes=sizes,
        children=children,
        last=last,
        attempts=_attempts(ordered, parents),
        positions={call.request_id: position for position, call in enumerate(ordered)},
        timed=timed,
        measured=measured,
        steps=steps,
        begin=begin,
        ended=max(closed, default=begin),
        open=sum(not call.ended for call in ordered),
        failed=[position for position, call in enumerate(ordered) if call.status == "failed"],
        longest=_longest(ordered, depths),
    )


def _pre_order(calls: Sequence[Call]) -> tuple[list[int], list[int]]:
    """Indexes of the calls in pre-order, and the position of each one's parent."""
    index_of = {call.request_id: index for index, call in enumerate(calls)}
    below: dict[int, list[int]] = {}
    roots: list[int] = []
    for index, call in enumerate(calls):
        parent = index_of.get(call.parent_id) if call.parent_id is not None else None
        if parent is None or parent == index:
            roots.append(index)
        else:
            below.setdefault(parent, []).append(index)
    order: list[int] = []
    parents: list[int] = []
    seen = bytearray(len(calls))

    def walk(root: int) -> None:
        stack = [(root, ROOT)]
        while stack:
            index, parent = stack.pop()
            if seen[index]:
                continue
            seen[index] = 1
            here = len(order)
            order.append(index)
            parents.append(parent)
            if index in below:
                stack.extend([(child, here) for child in reversed(below[index])])

    for root in roots:
        walk(root)
    for index in range(len(calls)):  # what is left is in a cycle
        if not seen[index]:
            walk(index)
    return order, parents


def _in_order(
    calls: Sequence[Call], parents: Sequence[int], children: Sequence[int], step: float
) -> list[tuple[float, float]]:
    starts, ends = [0.0] * len(calls), [0.0] * len(calls)
    at = 0.0
    for position, call in enumerate(calls):
        starts[position] = at
        if not children[position]:
            at += call.duration_ms or step
        ends[position] = max(at, starts[position] + (call.duration_ms or 0.0))
    for position in range(len(calls) - 1, -1, -1):  # a parent lasts at least as long as what it called
        parent = parents[position]
        if parent != ROOT and ends[position] > ends[parent]:
            ends[parent] = ends[position]
    return list(zip(starts, ends, strict=True))


def _attempts(calls: Sequence[Call], parents: Sequence[int]) -> dict[int, int]:
    attempts: dict[int, int] = {}
    latest: dict[tuple[int, str], int] = {}
    for position, call in enumerate(calls):
        key = (parents[position], call.operation_id)
        before = latest.get(key)
        if before is not None and _gave_up_before(calls[before], call):
            attempts[position] = attempts.get(before, 1) + 1
        latest[key] = position
    return attempts


def _gave_up_before(first: Call, second: Call) -> bool:
    if first.status != "failed":
        return False
    return first.completed_ms is None or second.started_ms is None or first.completed_ms <= second.started_ms


def _longest(calls: Sequence[Call], depths: Sequence[int]) -> tuple[tuple[int, int], ...]:
    cells = {operation: cell_len(safe(operation)) for operation in {call.operation_id for call in calls}}
    longest: dict[int, int] = {}
    for call, depth in zip(calls, depths, strict=True):
        width = cells[call.operation_id]
        if width > longest.get(depth, 0):
            longest[depth] = width
    return tuple(longest.items())
