"""In process at once, and durable: what a single node needs (OQ-30)."""

from __future__ import annotations

import uuid

from storage.engine import Database
from storage.events.durable import DurableEventTarget
from storage.events.envelope import EventEnvelope
from storage.events.in_process import InProcessEventTarget
from storage.events.target import Listener


class CompositeEventTarget:
    """A local listener hears an event of this target in process, before it is written, and once.

    `dispatch_event` returns when the event is durable; when it raises, local listeners have heard of something that is
    not in the stream. Events of others, and those from before a restart, come from the stream.
    """

    def __init__(self, db: Database, stream: str, consumer: str) -> None:
        self._origin = uuid.uuid4().hex
        self._local = InProcessEventTarget()
        self._stream = DurableEventTarget(
            db,
            stream,
            consumer,
            origin=self._origin,
            skip=lambda stored: stored.origin == self._origin,  # heard in process already
        )

    @property
    def following(self) -> bool:
        """Whether the stream is being read."""
        return self._stream.following

    def add_event_listener(self, topic: str, listener: Listener | None) -> None:
        """See EventTarget."""
        self._local.add_event_listener(topic, listener)
        self._stream.add_event_listener(topic, listener)

    def remove_event_listener(self, topic: str, listener: Listener) -> None:
        """See EventTarget."""
        self._local.remove_event_listener(topic, listener)
        self._stream.remove_event_listener(topic, listener)

    async def dispatch_event(self, event: EventEnvelope) -> bool:
        """See EventTarget."""
        await self._local.dispatch_event(event)
        return await self._stream.dispatch_event(event)

    async def close(self) -> None:
        """See EventTarget."""
        await self._local.close()
        await self._stream.close()
