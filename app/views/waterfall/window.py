"""The stretch of time that is shown."""

from __future__ import annotations

from dataclasses import dataclass

from app.views.waterfall.tree import CallTree

LEAST_MS = 0.001


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
    """All of it."""
    return Window(tree.begin, max(tree.begin, tree.end(now_ms)))


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
