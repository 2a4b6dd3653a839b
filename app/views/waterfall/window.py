"""The stretch of time that is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass

from app.views.waterfall.tree import CallTree

LEAST_MS = 0.001
STEPS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the axis of a `CallTree`."""

    start: float
    end: float

    @property
    def length(self) -> float:
        """How much of the axis that is."""
        return self.end - self.start


def whole(tree: CallTree, now_ms: float) -> Window:
    """All of it; while calls run with room to grow, so that the bars of the others stay where they are for a while."""
    length = max(0.0, tree.end(now_ms) - tree.begin)
    if tree.timed and tree.open and length > 0:
        unit = 10.0 ** math.floor(math.log10(length))
        length = next((unit * step for step in STEPS if unit * step >= length), length)
    return Window(tree.begin, tree.begin + length)


def zoomed(tree: CallTree, window: Window | None, position: int, factor: float, now_ms: float) -> Window | None:
    """Show `factor` times as much time, around the call at `position`; None is all of it.

    The call stays in the middle, as far as the axis reaches, and nothing but the axis is shown.
    """
    everything = whole(tree, now_ms)
    length = max((window or everything).length * factor, LEAST_MS)
    if length >= everything.length:
        return None
    return _around(tree, everything, length, position, now_ms)


def centred(tree: CallTree, window: Window | None, position: int, now_ms: float) -> Window | None:
    """The window of the same length around another call."""
    everything = whole(tree, now_ms)
    if window is None or window.length >= everything.length:
        return None
    return _around(tree, everything, window.length, position, now_ms)


def _around(tree: CallTree, everything: Window, length: float, position: int, now_ms: float) -> Window:
    start, end = tree.span(position, now_ms)
    begin = min(max((start + end) / 2 - length / 2, everything.start), everything.end - length)
    return Window(begin, begin + length)
