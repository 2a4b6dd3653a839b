"""Wake-ups: who waits for what, and how a commit reaches them.

A commit of this process wakes the waiters of the topics it touched, directly. A commit of another process is noticed
by `data_version` on the writer connection, which changes only for commits of *other* connections: it is looked at
when a transaction begins and, while somebody waits, when inotify says that the files changed. That hint comes before
the commit is visible, so the look is repeated for a while; and a slow safety poll stands behind it all, for what
inotify cannot deliver. Without inotify the poll backs off from 1 ms to 50 ms while nothing happens. Since we cannot
know what the other process touched, everybody is woken and looks again. A wake-up may be spurious, never missing:
waiters arm before they read (`tests/storage/engine/test_wake.py`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from storage.engine.errors import FileReplacedError, UsageError
from storage.engine.inotify import Inotify

if TYPE_CHECKING:
    import asyncio

Topic: TypeAlias = tuple[str, str]
"""What changed: `("stream", topic)`, `("notify", channel)` or `("queue", name)`."""

SAFETY_POLL_S = 0.25
"""While somebody waits, with inotify: four wake-ups of one thread a second."""
TAIL_S = (0.0, 0.0001, 0.0002, 0.0004, *[0.001] * 20, *[0.005] * 10)
"""When to look again after a hint: the wal-index is written after the frames that raise it."""
BUSY_POLL_S = 0.001
IDLE_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Watcher:
    """How commits of other processes are noticed."""

    inotify: bool
    poll_s: float | None
    """A fixed step for polling; None: the engine's own."""

    @classmethod
    def of(cls, backend: str | None, interval_ms: float | None) -> Watcher:
        """Make sense of Honker's arguments.

        Raises:
            UsageError: an unknown backend, or an interval that is not positive.
        """
        if backend not in (None, "kernel", "polling", "poll"):
            raise UsageError(f"unknown watcher backend {backend!r}: kernel or polling")
        if interval_ms is not None and interval_ms <= 0:
            raise UsageError("watcher_poll_interval_ms must be positive")
        return cls(backend in (None, "kernel"), None if interval_ms is None else interval_ms / 1000)


class Waiter:
    """One consumer's wake-up flag; safe to set from any thread, awaited on one event loop.

    The flag is level-triggered: a wake between `clear()` and `wait()` makes `wait()` return at once.
    """

    def __init__(
        self,
        topics: frozenset[Topic] | None,
        loop: asyncio.AbstractEventLoop,
        fetch: Callable[[], None] | None = None,
    ) -> None:
        import asyncio

        self.topics = topics
        self.fetch = fetch
        """Called by the thread that committed, before the wake: it may look at the database where that costs least."""
        self.error: Exception | None = None
        self._event = asyncio.Event()
        self._loop = loop
        self._thread = threading.get_ident()

    def wake(self) -> None:
        """Set the flag. A loop that is already closed has nobody left to wake."""
        if threading.get_ident() == self._thread:  # the loop's own: no system call to wake it
            self._event.set()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)

    def clear(self) -> None:
        """Reset the flag; do it *before* looking at the database."""
        self._event.clear()

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the flag; return False when `timeout_s` passed first.

        Raises:
            EngineError: the database was closed, or its file was replaced, while waiting.
        """
        import asyncio

        if self.error is None:
            try:
                # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the wake-up, and
                # a listener that was told to stop goes on for ever (test_a_cancellation_beside_a_wake_up_is_kept).
                async with asyncio.timeout(timeout_s):
                    await self._event.wait()
            except TimeoutError:
                return False
        if self.error is not None:
            raise self.error
        return True


class WakeHub:
    """All waiters of one database, and the thread that looks for commits of other processes.

    Args:
        path: the database file; when it is replaced or removed, every waiter gets `FileReplacedError`.
        has_foreign_commit: returns True when another process committed since the last look; it never waits for this
            process's own transaction, since what the other process did is seen when that begins.
        watcher: how to notice.
    """

    def __init__(self, path: str, has_foreign_commit: Callable[[], bool], watcher: Watcher) -> None:
        self._path = path
        self._identity = _identity(path)
        self._has_foreign_commit = has_foreign_commit
        self._watcher = watcher
        self._lock = threading.Lock()
        self._waiters: set[Waiter] = set()
        self._stop = threading.Event()
        self._someone = threading.Event()
        self._error: Exception | None = None
        self._inotify: Inotify | None = None
        self._thread: threading.Thread | None = None

    @property
    def has_waiters(self) -> bool:
        """Whether anybody waits; a waiter that is added meanwhile looks at the database by itself first."""
        return bool(self._waiters)

    def add(self, topics: Iterable[Topic] | None, fetch: Callable[[], None] | None = None) -> Waiter:
        """Register a waiter for the topics (None: every commit) on the running event loop."""
        import asyncio

        waiter = Waiter(None if topics is None else frozenset(topics), asyncio.get_running_loop(), fetch)
        with self._lock:
            waiter.error = self._error
            self._waiters.add(waiter)
            self._someone.set()
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._watch, name="engine-wake", daemon=True)
                self._thread.start()
        return waiter

    def remove(self, waiter: Waiter) -> None:
        """Forget a waiter; unknown ones are ignored."""
        with self._lock:
            self._waiters.discard(waiter)
            if not self._waiters:
                self._someone.clear()

    def committed(self, touched: frozenset[Topic]) -> None:
        """Wake those who wait for one of the topics, or for every commit."""
        with self._lock:
            due = [w for w in self._waiters if w.topics is None or w.topics & touched]
        for waiter in due:
            if waiter.fetch is not None:
                waiter.fetch()
            waiter.wake()

    def wake_all(self, error: Exception | None = None) -> None:
        """Wake everybody; with an error, everybody's `wait()` raises it from now on."""
        with self._lock:
            due = list(self._waiters)
        for waiter in due:
            waiter.error = error or waiter.error
            waiter.wake()

    def close(self, error: Exception) -> None:
        """Stop the watching thread and fail every waiter, those that come later too."""
        with self._lock:
            self._error = error
        self._stop.set()
        self._someone.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            with self._lock:  # the thread may be closing its descriptors: their numbers could be another file's
                if self._inotify is not None:
                    self._inotify.interrupt()
            self._thread.join()
        self.wake_all(error)

    # -- the watching thread -----------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._watcher.inotify:
            try:
                self._inotify = Inotify(self._path)
            except OSError:
                self._inotify = None  # no inotify here, or its limit is reached: poll
        try:
            while not self._stop.is_set():
                self._someone.wait()
                if self._stop.is_set():
                    return
                if self._inotify is not None:
                    self._follow_hints(self._inotify)
                else:
                    self._follow_poll()
        except Exception as error:  # noqa: BLE001 - told to everybody who waits, now and later: nobody hangs
            with self._lock:
                self._error = error
            self.wake_all(error)
        finally:
            with self._lock:
                inotify, self._inotify = self._inotify, None
                if inotify is not None:
                    inotify.close()

    def _look(self) -> bool:
        """Wake everybody when another process has committed; tells whether it has.

        Raises:
            FileReplacedError: the path does not name the file any more that we have open.
            EngineError: the file cannot be read any more.
        """
        if _identity(self._path) != self._identity:
            raise FileReplacedError(f"{self._path}: the file was replaced or removed while it was open")
        if not self._has_foreign_commit():
            return False
        self.wake_all()
        return True

    def _follow_hints(self, inotify: Inotify) -> None:
        """One round with inotify: a hint and the looks after it, or the safety poll.

        A new hint begins the looks anew: the commit that raised it may not be visible yet either.
        """
        if not inotify.wait(self._watcher.poll_s or SAFETY_POLL_S):
            self._look()
            return
        step = 0
        while step < len(TAIL_S):
            if self._stop.wait(TAIL_S[step]):
                return
            self._look()
            step = 0 if inotify.wait(0) else step + 1

    def _follow_poll(self) -> None:
        """Polls that slow down while nothing happens, as long as somebody waits."""
        pause = BUSY_POLL_S
        while self._someone.is_set():
            if self._stop.wait(self._watcher.poll_s or pause):
                return
            pause = BUSY_POLL_S if self._look() else min(pause * 1.5, IDLE_POLL_S)


def _identity(path: str) -> tuple[int, int] | None:
    """Device and inode of a file, None when it is not there. stat() opens nothing."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
