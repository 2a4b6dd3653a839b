"""Events within this process and event loop: listeners run before `dispatch_event` returns."""

from __future__ import annotations

from storage.events.envelope import EventEnvelope
from storage.events.target import Listener, Listeners


class InProcessEventTarget:
    """The default of `create_pubsub`. Nothing is stored."""

    def __init__(self) -> None:
        self._listeners = Listeners()
        self._closed = False

    def add_event_listener(self, topic: str, listener: Listener | None) -> None:
        """See EventTarget."""
        if listener is not None and not self._closed:
            self._listeners.add(topic, listener)

    def remove_event_listener(self, topic: str, listener: Listener) -> None:
        """See EventTarget."""
        self._listeners.remove(topic, listener)

    async def dispatch_event(self, event: EventEnvelope) -> bool:
        """See EventTarget."""
        self._listeners.call(event)
        return True

    async def close(self) -> None:
        """See EventTarget."""
        self._closed = True
        self._listeners.clear()
