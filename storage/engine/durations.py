"""How long something takes, counted by size: what a histogram of Prometheus is made of."""

from __future__ import annotations

from bisect import bisect_left

BOUNDS_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Upper bounds, in seconds; what takes longer is counted behind them."""


class Durations:
    """Counts durations. One thread at a time may note (the writer's slot sees to that); any may read."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        """By bound: durations above the bound before it, up to this one."""
        self.total_s = 0.0

    def note(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds
