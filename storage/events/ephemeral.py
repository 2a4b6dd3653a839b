"""Events between processes that share a file, by notify and listen: nothing is replayed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from storage import engine
from storage.engine import Database
from storage.engine.errors import EngineError, UsageError
from storage.events.envelope import EventEnvelope, encode
from storage.events.target import Listener, Listeners, log, read_envelope


class EphemeralEventTarget:
    """A channel for each topic, or one for all ids of a type: name those types in `prefixes`.

    `dispatch_event` returns after the commit. Whoever listens by then hears it, in any process.
    """

    def __init__(self, db: Database, prefixes: Sequence[str] = ()) -> None:
        self._db = db
        self._prefixes = frozenset(prefixes)
        self._listeners = Listeners()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    def _channel(self, topic: str) -> str:
        event_type, _, event_id = topic.rpartition(":")
        if event_type in self._prefixes:
            return f"{event_type}:*"
        if event_id == "*":
            raise UsageError(f"nobody can listen to {topic!r}: name {event_type!r} in prefixes")
        return topic

    @property
    def channels(self) -> frozenset[str]:
        """Channels that are listened to."""
        return frozenset(self._tasks)

    def add_event_listener(self, topic: str, listener: Listener | None) -> None:
        """See EventTarget.

        Raises:
            UsageError: `type:*` of a type that is not in `prefixes`.
        """
        if listener is None or self._closed:
            return
        channel = self._channel(topic)
        self._listeners.add(topic, listener)
        if channel not in self._tasks:
            # Made here, not in the task: it hears everything from now on.
            self._tasks[channel] = asyncio.ensure_future(self._listen(self._db.listen(channel)))

    def remove_event_listener(self, topic: str, listener: Listener) -> None:
        """See EventTarget."""
        if self._listeners.remove(topic, listener):
            channel = self._channel(topic)
            if not any(self._channel(other) == channel for other in self._listeners.topics):
                self._tasks.pop(channel).cancel()

    async def dispatch_event(self, event: EventEnvelope) -> bool:
        """See EventTarget."""
        if not self._closed:
            channel, text = self._channel(event.topic), encode(event)
            await self._db.run(lambda tx: tx.notify(channel, {"envelope": text}))
        return True

    async def close(self) -> None:
        """See EventTarget."""
        self._closed = True
        self._listeners.clear()
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, notifications: engine.Listener) -> None:
        try:
            async for notification in notifications:
                payload = notification.payload
                text = payload.get("envelope") if isinstance(payload, dict) else None
                try:
                    self._listeners.call(read_envelope(text if isinstance(text, str) else ""))
                except msgspec.DecodeError as error:
                    log.warning("channel %s: a notification that is no envelope: %s", notification.channel, error)
        except EngineError:
            if not self._closed:
                log.exception("listening has ended")
                raise
        finally:
            notifications.close()
