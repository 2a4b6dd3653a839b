"""Wake-ups: who waits for what, and how a commit reaches them.

A commit of this process wakes the waiters of the topics it touched, directly. A commit of another process is noticed
by `data_version` on the writer connection, which changes only for commits of *other* connections: it is looked at
when a transaction begins and, while somebody waits, by a slow poll. Since we cannot know what the other process
touched, everybody is woken and looks again. A wake-up may be spurious, never missing: waiters arm before they read
(`tests/storage/engine/test_wake.py`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import TypeAlias

Topic: TypeAlias = tuple[str, str]
"""What changed: `("stream", topic)`, `("notify", channel)` or `("queue", name)`."""

POLL_S = 0.05


class Waiter:
    """One consumer's wake-up flag; safe to set from any thread, awaited on one event loop.

    The flag is level-triggered: a wake between `clear()` and `wait()` makes `wait()` return at once.
    """

    def __init__(self, topics: frozenset[Topic] | None, loop: asyncio.AbstractEventLoop) -> None:
        self.topics = topics
        self.error: Exception | None = None
        self._event = asyncio.Event()
        self._loop = loop

    def wake(self) -> None:
        """Set the flag. A loop that is already closed has nobody left to wake."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)

    def clear(self) -> None:
        """Reset the flag; do it *before* looking at the database."""
        self._event.clear()

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the flag; return False when `timeout_s` passed first.

        Raises:
            EngineError: the database was closed, or its file was replaced, while waiting.
        """
        try:
            await asyncio.wait_for(self._event.wait(), timeout_s)
        except TimeoutError:
            return False
        if self.error is not None:
            raise self.error
        return True


class WakeHub:
    """All waiters of one database, and the thread that looks for commits of other processes.

    Args:
        has_foreign_commit: returns True when another process committed since the last look; it may block while this
            process holds the writer, since what the other process did is then seen when the transaction begins.
    """

    def __init__(self, has_foreign_commit: Callable[[], bool]) -> None:
        self._has_foreign_commit = has_foreign_commit
        self._lock = threading.Lock()
        self._waiters: set[Waiter] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, topics: Iterable[Topic] | None) -> Waiter:
        """Register a waiter for the topics (None: every commit) on the running event loop."""
        waiter = Waiter(None if topics is None else frozenset(topics), asyncio.get_running_loop())
        with self._lock:
            self._waiters.add(waiter)
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._watch, name="engine-wake", daemon=True)
                self._thread.start()
        return waiter

    def remove(self, waiter: Waiter) -> None:
        """Forget a waiter; unknown ones are ignored."""
        with self._lock:
            self._waiters.discard(waiter)

    def committed(self, touched: frozenset[Topic]) -> None:
        """Wake those who wait for one of the topics, or for every commit."""
        with self._lock:
            due = [w for w in self._waiters if w.topics is None or w.topics & touched]
        for waiter in due:
            waiter.wake()

    def wake_all(self, error: Exception | None = None) -> None:
        """Wake everybody; with an error, everybody's `wait()` raises it from now on."""
        with self._lock:
            due = list(self._waiters)
        for waiter in due:
            waiter.error = error or waiter.error
            waiter.wake()

    def close(self, error: Exception) -> None:
        """Stop the watching thread and fail every waiter."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self.wake_all(error)

    def _watch(self) -> None:
        while not self._stop.wait(POLL_S):
            with self._lock:
                idle = not self._waiters
            if not idle and self._has_foreign_commit():
                self.wake_all()
