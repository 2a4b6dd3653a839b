"""The receiver's state machine: what a hub checks, stores and acknowledges, and when.

Pure, like `spoke_core`. What decides whether an event is new is not the state here but the cursor in the database,
compared inside the transaction that stores the events (`chain.receive`): an older connection of the same spoke may
still be storing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sync.link.chain import HASH_BYTES, Cursor
from sync.link.errors import LinkError, MalformedError, TooLargeError, VersionError
from sync.link.frames import (
    MAX_BATCH_EVENTS,
    MAX_STREAMS,
    VERSION,
    Ack,
    Events,
    Failure,
    Frame,
    Hello,
    StreamOffer,
    StreamPosition,
    Welcome,
)

WINDOW_EVENTS = 16 * MAX_BATCH_EVENTS


@dataclass(frozen=True, slots=True)
class Received:
    """A frame came."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class CursorsLoaded:
    """The answer to `LoadCursors`, in the order of the offers."""

    cursors: list[Cursor]


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer to `Store`: the stream is on disk up to this offset."""

    stream: int
    offset: int


@dataclass(frozen=True, slots=True)
class NotStored:
    """The answer to `Store`: nothing was stored, and why."""

    stream: int
    error: LinkError


Input: TypeAlias = Received | CursorsLoaded | Stored | NotStored


@dataclass(frozen=True, slots=True)
class LoadCursors:
    """Look up (and register) the spoke and how far its streams have come."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Store:
    """Store a frame: events and cursor in one fsynced transaction."""

    stream: int
    offer: StreamOffer
    frame: Events


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame."""

    frame: Frame


Output: TypeAlias = LoadCursors | Store | Send


class HubCore:
    """One connection of a spoke, seen from the hub."""

    def __init__(self, hub_id: str) -> None:
        self._hub_id = hub_id
        self._hello: Hello | None = None
        self._ready = False
        self._failed: set[int] = set()

    def on_input(self, event: Input) -> list[Output]:
        """Take one input and return what is to be done, in order.

        Raises:
            LinkError: the session cannot go on; send it as FAILURE and close the connection.
        """
        match event:
            case Received(Hello() as hello) if self._hello is None:
                return self._greeted(hello)
            case Received(Events() as frame) if self._ready:
                return self._events(frame)
            case Received(Failure(code, message, _)):
                raise MalformedError(f"the spoke gave up: {code}: {message}")
            case Received(frame):
                raise MalformedError(f"{type(frame).__name__} may not come now")
            case CursorsLoaded(cursors):
                return self._welcome(cursors)
            case Stored(stream, offset):
                return [Send(Ack(stream, offset))]
            case NotStored(stream, error):
                self._failed.add(stream)
                return [Send(Failure(error.code, str(error), stream))]

    def _greeted(self, hello: Hello) -> list[Output]:
        if VERSION not in hello.versions:
            raise VersionError(f"the spoke speaks {hello.versions}, the hub {VERSION}")
        topics = [offer.topic for offer in hello.streams]
        if not 1 <= len(topics) <= MAX_STREAMS or len(set(topics)) != len(topics):
            raise MalformedError("HELLO must name each of its 1 to 64 streams once")
        for text in (hello.node_id, hello.name, hello.agent, *topics):
            if not 1 <= len(text) <= 200 or not text.isprintable():
                raise MalformedError("names in HELLO are 1 to 200 printable characters")
        if any("@" in text for text in (hello.node_id, *topics)):
            raise MalformedError("'@' separates stream and node on the hub; neither may hold it")
        if any(len(offer.gen_id) != HASH_BYTES for offer in hello.streams):
            raise MalformedError(f"a generation id has {HASH_BYTES} bytes")
        self._hello = hello
        return [LoadCursors(hello)]

    def _welcome(self, cursors: list[Cursor]) -> list[Output]:
        assert self._hello is not None, "cursors are loaded for a HELLO"
        self._ready = True
        positions = [
            StreamPosition(offer.topic, cursor.offset, cursor.hash)
            for offer, cursor in zip(self._hello.streams, cursors, strict=True)
        ]
        return [Send(Welcome(VERSION, self._hub_id, positions, WINDOW_EVENTS))]

    def _events(self, frame: Events) -> list[Output]:
        assert self._hello is not None, "ready follows HELLO"
        if not 0 <= frame.stream < len(self._hello.streams):
            raise MalformedError(f"no stream number {frame.stream}")
        if frame.count > MAX_BATCH_EVENTS:
            raise TooLargeError(f"{frame.count} events in a frame")
        if frame.stream in self._failed:
            return []  # on its way when we refused; the spoke begins again in the next session
        return [Store(frame.stream, self._hello.streams[frame.stream], frame)]
