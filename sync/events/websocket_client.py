"""The spoke's end: its listeners' topics are asked for at the hub, its events go there."""

from __future__ import annotations

import asyncio

import msgspec

from storage.events.envelope import EventEnvelope, encode
from storage.events.target import Listener, Listeners, log, read_envelope
from sync.events.socket import SUBSCRIBE, UNSUBSCRIBE, Socket, TopicPayload


class WebSocketClientEventTarget:
    """Over one open socket; `run()` reads it until it ends, and reconnecting is the caller's: make a new target.

    Control messages and events go out in the order in which they were asked for.
    """

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._listeners = Listeners()
        self._outgoing: asyncio.Queue[str] = asyncio.Queue()
        self._closed = False

    @property
    def topics(self) -> frozenset[str]:
        """What is subscribed to at the peer."""
        return self._listeners.topics

    async def run(self) -> None:
        """Read and write until the socket ends or the target is closed."""
        writing = asyncio.ensure_future(self._write())
        try:
            async for message in self._socket:
                if self._closed:
                    return
                try:
                    event = read_envelope(message)
                except msgspec.DecodeError as error:
                    log.warning("a message that is no envelope: %s", error)
                    continue
                if not event.type.startswith("__"):
                    self._listeners.call(event)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self) -> None:
        while True:
            await self._socket.send(await self._outgoing.get())
            self._outgoing.task_done()

    def add_event_listener(self, topic: str, listener: Listener | None) -> None:
        """See EventTarget."""
        if listener is not None and not self._closed and self._listeners.add(topic, listener):
            self._control(SUBSCRIBE, topic)

    def remove_event_listener(self, topic: str, listener: Listener) -> None:
        """See EventTarget."""
        if self._listeners.remove(topic, listener) and not self._closed:
            self._control(UNSUBSCRIBE, topic)

    def _control(self, kind: str, topic: str) -> None:
        payload = msgspec.Raw(msgspec.json.encode(TopicPayload(topic)))
        self._outgoing.put_nowait(encode(EventEnvelope(kind, "", payload)))

    async def dispatch_event(self, event: EventEnvelope) -> bool:
        """See EventTarget. Returns when everything before it, and the event, was handed to the socket."""
        if not self._closed:
            self._outgoing.put_nowait(encode(event))
            await self._outgoing.join()
        return True

    async def close(self) -> None:
        """See EventTarget. The socket stays open."""
        self._closed = True
        self._listeners.clear()
