"""`create_pubsub`: the one call on hub and spoke; only the target differs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from storage.engine.errors import EngineError
from storage.engine.payload import dumps
from storage.events.envelope import EventEnvelope
from storage.events.in_process import InProcessEventTarget
from storage.events.target import EventTarget, ReservedTypeError, topic_of

MAX_WAITING = 10_000
"""Events that may wait for a subscriber."""


class SlowConsumerError(EngineError):
    """A subscriber left so many events waiting that it was cut off; it has missed what came after."""

    hint = "subscribe again, and read faster or in another task"


class PubSub:
    """Publish and subscribe over an event target."""

    def __init__(self, target: EventTarget) -> None:
        self.target = target

    async def publish(self, event_type: str, event_id: str, payload: Any) -> None:
        """Send an event; what holds when this returns is up to the target.

        Raises:
            ReservedTypeError: the type begins with `__`.
            PayloadError: the payload has no JSON form.
        """
        if event_type.startswith("__"):
            raise ReservedTypeError(f"{event_type!r} is reserved")
        raw = payload if isinstance(payload, msgspec.Raw) else msgspec.Raw(dumps(payload).encode())
        await self.target.dispatch_event(EventEnvelope(event_type, event_id, raw))

    def subscribe(self, event_type: str, event_id: str = "", max_waiting: int = MAX_WAITING) -> Subscription:
        """Events of a topic from now on; `event_id` `*` stands for every id of the type.

        Iterate over it, and `close()` it (or use it as `async with`).
        """
        return Subscription(self.target, topic_of(event_type, event_id), max_waiting)

    async def close(self) -> None:
        """Close the target."""
        await self.target.close()


class Subscription:
    """An async iterator over the events of a topic, at most `max_waiting` ahead of its reader."""

    def __init__(self, target: EventTarget, topic: str, max_waiting: int) -> None:
        self._target = target
        self._topic = topic
        self._limit = max_waiting
        self._waiting: deque[EventEnvelope] = deque()
        self._arrived = asyncio.Event()
        self._overrun = False
        self._closed = False
        target.add_event_listener(topic, self._take)

    def _take(self, event: EventEnvelope) -> None:
        if self._overrun:
            return
        if len(self._waiting) >= self._limit:
            self._overrun = True
            self._target.remove_event_listener(self._topic, self._take)
        else:
            self._waiting.append(event)
        self._arrived.set()

    def __aiter__(self) -> AsyncIterator[EventEnvelope]:
        return self

    async def __anext__(self) -> EventEnvelope:
        """The next event.

        Raises:
            SlowConsumerError: behind the last event that fitted.
        """
        while not self._waiting:
            if self._overrun:
                raise SlowConsumerError(f"{self._topic}: more than {self._limit} events waited")
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()

    def close(self) -> None:
        """Hear no more; idempotent. What waits can still be read."""
        if not self._closed:
            self._closed = True
            self._target.remove_event_listener(self._topic, self._take)
            self._arrived.set()

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


def create_pubsub(event_target: EventTarget | None = None) -> PubSub:
    """A PubSub over a target; in process when none is given."""
    return PubSub(event_target if event_target is not None else InProcessEventTarget())
