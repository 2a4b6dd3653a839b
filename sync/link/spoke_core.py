"""The sender's state machine: what a spoke says, reads and saves, and when.

Inputs go in, outputs come out; nothing here waits, reads a clock or touches a file. The shell (`sync/spoke/uplink.py`,
or the simulation in `tests/sim`) carries the outputs out and brings their results back as inputs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

from sync.link.chain import START, Cursor
from sync.link.errors import LinkError, MalformedError, VersionError, from_code
from sync.link.frames import VERSION, Ack, Events, Failure, Frame, Hello, StreamOffer, Welcome

# -- inputs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened:
    """The connection is up."""


@dataclass(frozen=True, slots=True)
class Received:
    """A frame came."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Verified:
    """The answer to `Verify`: None when the hub's position lies on our log, else why not."""

    topic: str
    error: LinkError | None


@dataclass(frozen=True, slots=True)
class LogRead:
    """The answer to `ReadLog`: the next frame, whose last event has offset `last`; None when there is nothing new.

    Everything in it is on this machine's disk: a power cut cannot take it back.
    """

    topic: str
    frame: Events | None
    last: int = 0


@dataclass(frozen=True, slots=True)
class Woken:
    """There may be new events."""


Input: TypeAlias = Opened | Received | Verified | LogRead | Woken

# -- outputs ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Verify:
    """Compare the hub's position with our log."""

    topic: str
    gen_id: bytes
    position: Cursor


@dataclass(frozen=True, slots=True)
class ReadLog:
    """Read the next batch behind the cursor, as frame number `stream`."""

    topic: str
    stream: int
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class SaveAck:
    """Note what the hub has; losing this is harmless, the hub says it again."""

    topic: str
    gen_id: bytes
    position: Cursor


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This stream cannot go on in this session; the others do."""

    topic: str
    error: LinkError


Output: TypeAlias = Send | Verify | ReadLog | SaveAck | GiveUp


@dataclass(slots=True)
class _Stream:
    index: int
    offer: StreamOffer
    sent: Cursor = START
    acked: Cursor = START
    in_flight: deque[tuple[Cursor, int]] = field(default_factory=deque)
    unacked: int = 0
    open: bool = False
    reading: bool = False
    woken: bool = False
    """Events came while the log was being read: what was read may be from before them."""
    drained: bool = False


class SpokeCore:
    """One session of a spoke; `hub_id` is known after WELCOME."""

    def __init__(self, node_id: str, name: str, agent: str, offers: list[StreamOffer]) -> None:
        self._hello = Hello([VERSION], node_id, name, agent, offers)
        self._streams = {offer.topic: _Stream(index, offer) for index, offer in enumerate(offers)}
        self._by_index = list(self._streams.values())
        self._window = 0
        self.hub_id: str | None = None

    @property
    def live(self) -> bool:
        """Whether all streams that can be sent are sent and acknowledged."""
        going = [stream for stream in self._by_index if stream.open]
        return bool(going) and all(stream.drained and not stream.in_flight for stream in going)

    def on_input(self, event: Input) -> list[Output]:
        """Take one input and return what is to be done, in order.

        Raises:
            LinkError: the session cannot go on; close the connection.
        """
        match event:
            case Opened():
                return [Send(self._hello)]
            case Received(frame):
                return self._received(frame)
            case Verified(topic, error):
                return self._verified(self._streams[topic], error)
            case LogRead(topic, frame, last):
                return self._read(self._streams[topic], frame, last)
            case Woken():
                return [output for stream in self._by_index for output in self._next(stream, woken=True)]

    def _received(self, frame: Frame) -> list[Output]:
        match frame:
            case Welcome() if self.hub_id is None:
                return self._welcome(frame)
            case Ack(index, offset):
                return self._ack(self._stream(index), offset)
            case Failure(code, message, None):
                raise from_code(code, message)
            case Failure(code, message, index) if index is not None:
                stream = self._stream(index)
                stream.open = False
                return [GiveUp(stream.offer.topic, from_code(code, message))]
            case _:
                raise MalformedError(f"{type(frame).__name__} may not come now")

    def _welcome(self, frame: Welcome) -> list[Output]:
        if frame.version != VERSION:
            raise VersionError(f"the hub chose version {frame.version}, we speak {VERSION}")
        if [position.topic for position in frame.streams] != list(self._streams) or frame.window < 1:
            raise MalformedError("WELCOME does not answer the streams of HELLO")
        self.hub_id = frame.hub_id
        self._window = frame.window
        outputs: list[Output] = []
        for position, stream in zip(frame.streams, self._by_index, strict=True):
            stream.sent = stream.acked = Cursor(position.offset, position.hash)
            outputs.append(Verify(position.topic, stream.offer.gen_id, stream.acked))
        return outputs

    def _verified(self, stream: _Stream, error: LinkError | None) -> list[Output]:
        topic = stream.offer.topic
        if error is not None:
            return [GiveUp(topic, error)]
        stream.open = True
        # The hub's word counts: it may have more than we noted (a lost ACK) or less (it was restored).
        return [SaveAck(topic, stream.offer.gen_id, stream.acked), *self._next(stream)]

    def _read(self, stream: _Stream, frame: Events | None, last: int) -> list[Output]:
        stream.reading = False
        if not stream.open:
            return []
        if frame is None:
            # tests/sim finds it when this look at `woken` is left out: events would wait for the next ones.
            stream.drained = not stream.woken
            return self._next(stream)
        stream.sent = Cursor(last, frame.hash)
        stream.in_flight.append((stream.sent, frame.count))
        stream.unacked += frame.count
        return [Send(frame), *self._next(stream)]

    def _ack(self, stream: _Stream, offset: int) -> list[Output]:
        if not stream.open:
            return []
        reached = stream.acked
        while stream.in_flight and stream.in_flight[0][0].offset <= offset:
            reached, count = stream.in_flight.popleft()
            stream.unacked -= count
        if reached.offset != offset:
            raise MalformedError(f"an ACK for offset {offset}, where no frame ended")
        if reached == stream.acked:
            return []
        stream.acked = reached
        return [SaveAck(stream.offer.topic, stream.offer.gen_id, reached), *self._next(stream)]

    def _next(self, stream: _Stream, *, woken: bool = False) -> list[Output]:
        if woken:
            stream.drained, stream.woken = False, stream.reading
        if not stream.open or stream.reading or stream.drained or stream.unacked >= self._window:
            return []
        stream.reading, stream.woken = True, False
        return [ReadLog(stream.offer.topic, stream.index, stream.sent)]

    def _stream(self, index: int) -> _Stream:
        if not 0 <= index < len(self._by_index):
            raise MalformedError(f"no stream number {index}")
        return self._by_index[index]
