"""What time it is at the hub, as a spoke can tell: the hub's word and how long ago that was, never our wall clock."""

from __future__ import annotations

import time
from collections.abc import Callable


def boot_ms() -> int:
    """Milliseconds since the machine started, those in which it slept included; nobody can set it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class HubTime:
    """Unknown until the hub has said it in this process: after a restart without contact deadlines cannot be judged."""

    def __init__(self, elapsed_ms: Callable[[], int] = boot_ms) -> None:
        self._elapsed_ms = elapsed_ms
        self._ahead_ms: int | None = None

    def heard(self, hub_ms: int) -> None:
        """The hub said that it is `hub_ms` (unix milliseconds) now. Safe from any thread."""
        self._ahead_ms = hub_ms - self._elapsed_ms()

    def __call__(self) -> int | None:
        """The hub's time in unix milliseconds, or None."""
        ahead = self._ahead_ms
        return None if ahead is None else self._elapsed_ms() + ahead
