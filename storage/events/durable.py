"""Events in a stream: they are there after a crash, and a consumer goes on where it left off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from storage.engine import Database, Event
from storage.engine.errors import EngineError
from storage.events.envelope import EventEnvelope, EventShapeError, encode
from storage.events.target import Listener, Listeners, log


class StoredEnvelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """An envelope in a stream; `origin` is the target that wrote it."""

    type: str
    id: str
    payload: msgspec.Raw
    origin: str | None = None


_decoder = msgspec.json.Decoder(StoredEnvelope)


class DurableEventTarget:
    """All topics of a domain in one stream; listeners get those of theirs.

    `dispatch_event` returns when the event is durable as the database says (`full`: on disk). The consumer's offset is
    saved behind what its listeners have heard: after a crash they may hear the last ones again, never less. Consumer
    names are stable over restarts: `dashboard@spoke`, never a pid.
    """

    def __init__(
        self,
        db: Database,
        stream: str,
        consumer: str,
        *,
        origin: str | None = None,
        skip: Callable[[StoredEnvelope], bool] = lambda stored: False,
    ) -> None:
        self._db = db
        self._stream = db.stream(stream)
        self._consumer = consumer
        self._origin = origin
        self._skip = skip
        self._listeners = Listeners()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def following(self) -> bool:
        """Whether the stream is being read: while there are listeners."""
        return self._task is not None

    def add_event_listener(self, topic: str, listener: Listener | None) -> None:
        """See EventTarget. The first listener starts the consumer, from its saved offset."""
        if listener is None or self._closed:
            return
        self._listeners.add(topic, listener)
        if self._task is None:
            self._task = asyncio.ensure_future(self._follow())

    def remove_event_listener(self, topic: str, listener: Listener) -> None:
        """See EventTarget. The last listener stops the consumer and saves its offset."""
        self._listeners.remove(topic, listener)
        if not self._listeners.topics and self._task is not None:
            self._task.cancel()
            self._task = None

    async def dispatch_event(self, event: EventEnvelope) -> bool:
        """See EventTarget."""
        if not self._closed:
            stored = encode(StoredEnvelope(event.type, event.id, event.payload, self._origin))
            at = int(self._db.clock())
            await self._db.run(lambda tx: self._stream.append([(event.id or None, stored, at)], tx))
        return True

    async def close(self) -> None:
        """See EventTarget."""
        self._closed = True
        self._listeners.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self) -> None:
        events = self._stream.subscribe(self._consumer)
        try:
            async for event in events:
                self._tell(event)
        except EngineError:
            if not self._closed:
                log.exception("stream %s: the consumer %s has ended", self._stream.name, self._consumer)
                raise
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    def _tell(self, event: Event) -> None:
        try:
            stored = read_stored(event)
        except EventShapeError as error:
            log.warning("passed over: %s", error)  # a foreign program wrote it; it stays in the stream
            return
        if not self._skip(stored):
            self._listeners.call(EventEnvelope(stored.type, stored.id, stored.payload))


def read_stored(event: Event) -> StoredEnvelope:
    """Decode an event of such a stream.

    Raises:
        EventShapeError: it is no envelope.
    """
    try:
        return _decoder.decode(event.payload_json)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise EventShapeError(f"{event.topic} offset {event.offset}: {error}") from error
