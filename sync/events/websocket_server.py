"""The hub's end: events go to the connections that asked for their topic; each connection has a target of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from storage.events.envelope import EventEnvelope, encode
from storage.events.target import Listener, Listeners, log, read_envelope
from sync.events.socket import SUBSCRIBE, UNSUBSCRIBE, Socket, TopicPayload

MAX_BUFFERED_BYTES = 1_048_576
MAX_TOPICS = 10_000
TRY_AGAIN_LATER = 1013


class Connection:
    """One peer: what it hears, and what waits for it."""

    def __init__(self, socket: Socket, max_buffered: int) -> None:
        self.socket = socket
        self.topics: set[str] = set()
        self.listeners = Listeners()
        self._max_buffered = max_buffered
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._buffered = 0
        self.overrun = False

    def send(self, text: str) -> None:
        """Hand over a message; a peer that does not read is marked as overrun instead of filling the memory."""
        if self._buffered + len(text) > self._max_buffered:
            self.overrun = True
        if self.overrun:
            self._waiting.put_nowait("")  # wakes the writer, which closes
            return
        self._buffered += len(text)
        self._waiting.put_nowait(text)

    async def write(self) -> None:
        """Send what waits, until the socket ends or the peer was too slow."""
        while True:
            text = await self._waiting.get()
            if self.overrun:
                await self.socket.close(TRY_AGAIN_LATER, "too slow: reconnect and resume")
                return
            await self.socket.send(text)
            self._buffered -= len(text)

    def hears(self, event: EventEnvelope) -> bool:
        """Whether it asked for the event's topic, or for all ids of its type."""
        return event.topic in self.topics or f"{event.type}:*" in self.topics


class WebSocketServerEventTarget:
    """Listeners hear the events of every connection; `dispatch_event` reaches those that subscribed.

    To speak to one peer alone, use `send_to`: an answer must not be seen by another spoke (`reference/alkdev.md` 6.3).
    `allow` says whether a peer may hear a topic; without it, any.
    """

    def __init__(
        self,
        *,
        max_buffered: int = MAX_BUFFERED_BYTES,
        allow: Callable[[Connection, str], bool] = lambda connection, topic: True,
    ) -> None:
        self._max_buffered = max_buffered
        self._allow = allow
        self._listeners = Listeners()
        self._connections: set[Connection] = set()
        self._closed = False

    @property
    def connections(self) -> frozenset[Connection]:
        """The peers that are here."""
        return frozenset(self._connections)

    async def serve(self, socket: Socket, ready: Callable[[Connection], None] = lambda connection: None) -> None:
        """Take a connection that was authenticated, and serve it until it ends. The caller closes the socket."""
        connection = Connection(socket, self._max_buffered)
        self._connections.add(connection)
        ready(connection)
        reading, writing = asyncio.ensure_future(self._read(connection)), asyncio.ensure_future(connection.write())
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections.discard(connection)
            for task in (reading, writing):
                task.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)

    async def _read(self, connection: Connection) -> None:
        async for message in connection.socket:
            if self._closed:
                return
            try:
                event = read_envelope(message)
                if event.type in (SUBSCRIBE, UNSUBSCRIBE):
                    self._control(connection, event)
                elif not event.type.startswith("__"):
                    connection.listeners.call(event)
                    self._listeners.call(event)
            except msgspec.DecodeError as error:
                log.warning("a message that is no envelope: %s", error)

    def _control(self, connection: Connection, event: EventEnvelope) -> None:
        topic = msgspec.json.decode(event.payload, type=TopicPayload).topic
        if event.type == UNSUBSCRIBE:
            connection.topics.discard(topic)
        elif len(connection.topics) >= MAX_TOPICS or not self._allow(connection, topic):
            log.warning("a subscription to %r was refused", topic[:100])
        else:
            connection.topics.add(topic)

    def add_event_listener(self, topic: str, listener: Listener | None) -> None:
        """See EventTarget."""
        if listener is not None and not self._closed:
            self._listeners.add(topic, listener)

    def remove_event_listener(self, topic: str, listener: Listener) -> None:
        """See EventTarget."""
        self._listeners.remove(topic, listener)

    async def dispatch_event(self, event: EventEnvelope) -> bool:
        """See EventTarget. Never waits for a slow peer: that one is closed with 1013."""
        if not self._closed:
            text = encode(event)
            for connection in list(self._connections):
                if connection.hears(event):
                    connection.send(text)
        return True

    def send_to(self, connection: Connection, event: EventEnvelope) -> None:
        """Send to one peer, whether or not it subscribed."""
        if not self._closed and connection in self._connections:
            connection.send(encode(event))

    async def close(self) -> None:
        """See EventTarget. Sockets stay open."""
        self._closed = True
        self._listeners.clear()
        self._connections.clear()
