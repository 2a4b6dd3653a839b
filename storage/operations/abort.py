"""Stopping a call that runs: the caller sets it, the handler hears of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Abort:
    """Whether a call is to stop. Safe from any thread; it is set once, and stays set."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        """Whether the call is to stop."""
        return self._event.is_set()

    def set(self) -> None:
        """Ask the call to stop; listeners run on this thread, each once."""
        with self._lock:
            self._event.set()
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()

    def wait(self, seconds: float) -> bool:
        """Sleep so long, or until the call is to stop; whether it is."""
        return self._event.wait(seconds)

    @contextmanager
    def calling(self, listener: Callable[[], None]) -> Iterator[None]:
        """While the block runs, call this when the call is to stop; at once if it already is."""
        with self._lock:
            now = self._event.is_set()
            if not now:
                self._listeners.append(listener)
        if now:
            listener()
        try:
            yield
        finally:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)
