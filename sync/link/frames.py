"""Frames: what the two ends say to each other, one WebSocket message each, MessagePack, optionally zstd.

Version 1:

    spoke                                   hub
    HELLO  who, which streams        ->
                                     <-     WELCOME  for each stream: how far the hub has it (offset, hash)
    EVENTS after, events…            ->              committed in one fsynced transaction with the cursor, then
                                     <-     ACK      cumulative
    FAILURE code, message            <->    then the connection is closed, or the stream is given up
"""

from __future__ import annotations

import sys
from typing import TypeAlias

import msgspec

from sync.link.chain import LogEvent
from sync.link.errors import MalformedError, TooLargeError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

VERSION = 1
SUBPROTOCOL = "spoke.1"
MAX_FRAME_BYTES = 16 * 1024 * 1024
"""On the wire and after decompression; larger is refused before it is held in memory."""
TARGET_BATCH_BYTES = 1024 * 1024
MAX_BATCH_EVENTS = 2_048
COMPRESS_FROM_BYTES = 512
MAX_STREAMS = 64


class StreamOffer(msgspec.Struct, frozen=True, array_like=True):
    """A stream that the spoke wants to send: `gen_id` (16 bytes) says which log it is."""

    topic: str
    generation: int
    gen_id: bytes


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The first frame of a session, from the spoke."""

    versions: list[int]
    node_id: str
    name: str
    agent: str
    streams: list[StreamOffer]


class StreamPosition(msgspec.Struct, frozen=True, array_like=True):
    """How far the hub has a stream: the source offset of its last event and the chain hash there; 0 is none."""

    topic: str
    offset: int
    hash: bytes


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The hub's answer. `window` is how many events may be on their way unacknowledged, per stream."""

    version: int
    hub_id: str
    streams: list[StreamPosition]
    window: int


class Events(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Consecutive events of a stream: those behind source offset `after`. `hash` is the chain after the last one."""

    stream: int
    after: int
    count: int
    hash: bytes
    compressed: bool
    raw_bytes: int
    body: bytes


class Ack(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Everything up to source offset `offset` is on the hub's disk."""

    stream: int
    offset: int


class Failure(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Something went wrong, with one stream or (None) with the session."""

    code: str
    message: str
    stream: int | None = None


Frame: TypeAlias = Hello | Welcome | Events | Ack | Failure

_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)
_encoder = msgspec.msgpack.Encoder()
_body_decoder: msgspec.msgpack.Decoder[list[LogEvent]] = msgspec.msgpack.Decoder(list[LogEvent])


def encode(frame: Frame) -> bytes:
    """Return a frame's bytes."""
    return _encoder.encode(frame)


def decode(data: bytes | str) -> Frame:
    """Return the frame that the bytes hold.

    Raises:
        MalformedError: they hold none.
    """
    if isinstance(data, str):
        raise MalformedError("a text message; frames are binary")
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedError(f"not a frame: {error}") from error


def pack(stream: int, after: int, events: list[LogEvent], chain: bytes) -> Events:
    """Make an EVENTS frame.

    Raises:
        TooLargeError: a single event is larger than a frame may be.
    """
    raw = _encoder.encode(events)
    if len(raw) > MAX_FRAME_BYTES - 1024:
        raise TooLargeError(f"event {events[0].offset} makes a frame of {len(raw)} bytes")
    body = zstd.compress(raw, 1) if len(raw) >= COMPRESS_FROM_BYTES else raw
    compressed = len(body) < len(raw)
    return Events(stream, after, len(events), chain, compressed, len(raw), body if compressed else raw)


def unpack(frame: Events) -> list[LogEvent]:
    """Return the events of a frame; memory is bounded whatever the frame claims.

    Raises:
        TooLargeError, MalformedError: it holds no such events.
    """
    if not 0 < frame.raw_bytes <= MAX_FRAME_BYTES:
        raise TooLargeError(f"a frame of {frame.raw_bytes} bytes")
    raw = frame.body
    if frame.compressed:
        try:
            raw = zstd.ZstdDecompressor().decompress(frame.body, max_length=frame.raw_bytes + 1)
        except zstd.ZstdError as error:
            raise MalformedError(f"not zstd: {error}") from error
    if len(raw) != frame.raw_bytes:
        raise MalformedError(f"{len(raw)} bytes where {frame.raw_bytes} were announced")
    try:
        events = _body_decoder.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedError(f"not events: {error}") from error
    if len(events) != frame.count or not events:
        raise MalformedError(f"{len(events)} events where {frame.count} were announced")
    return events
