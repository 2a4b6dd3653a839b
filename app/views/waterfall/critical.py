"""The critical path: the calls that the whole had to wait for."""

from __future__ import annotations

from app.views.waterfall.tree import ROOT, CallTree


def critical_path(tree: CallTree, now_ms: float) -> frozenset[str]:
    """The request ids on the path; empty where starts are unknown: an order without times says nothing of waiting.

    From the end backwards: what ended last, before it what had ended last when that began, and the same within each.
    A call that outlives its caller counts until the caller's end; one that took no time is never waited for.
    """
    if not tree.timed:
        return frozenset()
    found: list[int] = []
    below: dict[int, list[tuple[float, float, int]]] = {}
    for position, parent in enumerate(tree.parents):
        start, end = tree.span(position, now_ms)
        below.setdefault(parent, []).append((end, start, position))
    stack = [(ROOT, tree.end(now_ms))]
    while stack:
        parent, until = stack.pop()
        for end, start, position in sorted(((min(e, until), s, p) for e, s, p in below.get(parent, ())), reverse=True):
            if start < until and end <= until:
                found.append(position)
                stack.append((position, end))
                until = start
    return frozenset(tree.calls[position].request_id for position in found)
