"""Frames: what the two ends say to each other, one WebSocket message each, MessagePack, optionally zstd inside.

Behind the MessagePack lie four bytes of CRC-32 of it. The chain of hashes guards events; nothing else guards a POSITION
or an OFFER on plain TCP, and one flipped bit there would make the sender search for a divergence that is none.

Version 2. First who they are, then streams, in both directions with the same frames (S sends a log, R receives it):

    hub    CHALLENGE  a nonce, which versions        spoke  HELLO    who, signed; the ratchet of its last session
    hub    WELCOME    the epoch, the next ratchet    spoke  READY    the ratchet is on its disk

    S  OFFER    a log and its generations            R  POSITION  for each generation: how far it has it, with the hash
    S  PROBE    which hashes have you there?         R  PROBED
    S  RECOVER  give me back what I have lost        R  RECOVERED (events)
    S  OPEN     a generation begins                  R  ACK
    S  EVENTS   consecutive events                   R  ACK       cumulative, after the fsync
                                                     R  REJECTED  an event is in quarantine

    CALL, RESULT   a live call, stored nowhere       PING, PONG   at rest; PONG of the hub carries its time
    RENEW, PROOF   authentication anew, in band      ROTATEKEY, KEYROTATED   another key      GOAWAY, FAILURE
"""

from __future__ import annotations

import sys
import zlib
from typing import Any, TypeAlias

import msgspec

from sync.link.chain import LogEvent
from sync.link.errors import MalformedError, TooLargeError
from sync.link.lineage import Generation

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

VERSION = 2
VERSIONS = (2,)
"""What this program speaks, newest first."""
SUBPROTOCOL = "spoke.2"
MAX_FRAME_BYTES = 4 * 1024 * 1024
"""On the wire and after decompression; larger is refused before it is held in memory."""
MAX_FIRST_FRAME_BYTES = 16 * 1024
"""Before the other end is known."""
TARGET_BATCH_BYTES = 1024 * 1024
MAX_BATCH_EVENTS = 4_096
COMPRESS_FROM_BYTES = 512
CHECKSUM_BYTES = 4
MAX_STREAMS = 64
MAX_PROBES = 64


class Challenge(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The first frame, from the hub: sign this nonce. `time_ms` is the hub's clock."""

    versions: list[int]
    hub_id: str
    nonce: bytes
    time_ms: int


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Who the spoke is. `signature` is empty where an API key was shown in the upgrade request.

    `ratchet` is what the hub gave it in its last session (empty before the first), `epoch` the number of that session.
    """

    version: int
    node_id: str
    name: str
    agent: str
    boot_id: bytes
    ratchet: bytes
    epoch: int
    signature: bytes


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The hub takes the spoke. `ratchet` must be on the spoke's disk before it says READY.

    `restored`: this node's database is an older copy of one that was here before.
    """

    epoch: int
    ratchet: bytes
    tenant: str
    time_ms: int
    restored: bool = False
    rotate: bool = False
    """The node's key is old: ask for another. If it is past its date, this session is for nothing else."""


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The ratchet is stored; streams may begin. `follows` are patterns of other nodes' streams: `session-events@*`."""

    epoch: int
    follows: list[str] = []


class Offer(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """A log that this end sends, as number `stream`, and its generations, oldest first."""

    stream: int
    name: str
    generations: list[Generation]


class Reached(msgspec.Struct, frozen=True, array_like=True):
    """How far a generation was received: the source offset of its last event and the chain hash there."""

    offset: int
    hash: bytes


class Head(msgspec.Struct, frozen=True, array_like=True):
    """The newest generation of a log that the receiver knows, whoever sent it."""

    number: int
    gen_id: bytes


class Window(msgspec.Struct, frozen=True, array_like=True):
    """How much may be on its way unacknowledged, per stream."""

    events: int = 16_384
    bytes: int = MAX_FRAME_BYTES


class Position(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """The receiver's answer to OFFER: an entry for each generation offered, None where it was never opened."""

    stream: int
    reached: list[Reached | None]
    head: Head | None
    window: Window


class Probe(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """Which hashes does the receiver have at these offsets of a generation?"""

    stream: int
    generation: int
    offsets: list[int]


class Probed(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """The answer to PROBE; None where there is no event with that offset."""

    stream: int
    hashes: list[bytes | None]


class Open(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """A generation begins; everything of those before it has been sent."""

    stream: int
    generation: int


class Events(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """Consecutive events of a generation: those behind source offset `after`. `hash` is the chain after the last."""

    stream: int
    generation: int
    after: int
    count: int
    hash: bytes
    compressed: bool
    raw_bytes: int
    body: bytes


class Ack(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """Everything of a generation up to `offset` is on the receiver's disk.

    Up to `stable` (an offset of the same generation, with the hash there) it will be there again after the receiver was
    restored from its newest backup; the sender may forget up to there, if the hash is its own.
    """

    stream: int
    generation: int
    offset: int
    stable: Reached | None
    window: Window


class Recover(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """The sender has lost what lies behind `after`: the receiver shall give it back."""

    stream: int
    generation: int
    after: int


class Recovered(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """What the receiver gives back."""

    events: Events


class Rejected(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """An event is in the receiver's quarantine; the stream went on behind it."""

    stream: int
    generation: int
    offset: int
    code: str
    detail: str


class Ping(msgspec.Struct, frozen=True, array_like=True, tag=15):
    """Are you there? `sent_ms` comes back in PONG."""

    sent_ms: int


class Pong(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """Yes; `time_ms` is the clock of whoever answers."""

    sent_ms: int
    time_ms: int


class Call(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """A live call: executed if the other end is there now, stored nowhere on the way. `input` is JSON."""

    call_id: str
    operation_id: str
    input: str
    deadline_ms: int | None


class Result(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """The end of a live call: a call event as JSON (`call.responded` or `call.error`)."""

    call_id: str
    event: str


class Renew(msgspec.Struct, frozen=True, array_like=True, tag=19):
    """The hub wants the spoke to show again that it has its key."""

    nonce: bytes


class Proof(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """The answer to RENEW."""

    signature: bytes


class GoAway(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """The hub is about to stop: leave, and come back after so many milliseconds."""

    retry_after_ms: int


class Failure(msgspec.Struct, frozen=True, array_like=True, tag=22):
    """Something went wrong, with one stream or (None) with the session, which then ends."""

    code: str
    message: str
    stream: int | None = None
    retry_after_ms: int | None = None


class Rotation(msgspec.Struct, frozen=True, array_like=True):
    """A request to replace a node's key, signed by the old one and by the new one."""

    public: bytes
    by_old: bytes
    by_new: bytes


class RotateKey(msgspec.Struct, frozen=True, array_like=True, tag=23):
    """The spoke wants another key: signed by the old one and by the new one."""

    rotation: Rotation


class KeyRotated(msgspec.Struct, frozen=True, array_like=True, tag=24):
    """The hub has the new key on its disk; both open sessions until the new one has."""

    public: bytes


class Unknown(msgspec.Struct, frozen=True):
    """A frame of a kind that a newer program sends; it is left."""

    kind: int


Frame: TypeAlias = (
    Challenge
    | Hello
    | Welcome
    | Ready
    | Offer
    | Position
    | Probe
    | Probed
    | Open
    | Events
    | Ack
    | Recover
    | Recovered
    | Rejected
    | Ping
    | Pong
    | Call
    | Result
    | Renew
    | Proof
    | GoAway
    | Failure
    | RotateKey
    | KeyRotated
)
KNOWN = 24

_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)
_encoder = msgspec.msgpack.Encoder()
_body_decoder: msgspec.msgpack.Decoder[list[LogEvent]] = msgspec.msgpack.Decoder(list[LogEvent])


def encode(frame: Frame) -> bytes:
    """Return a frame's bytes."""
    return seal(_encoder.encode(frame))


def seal(message: bytes) -> bytes:
    """Append the checksum."""
    return message + zlib.crc32(message).to_bytes(CHECKSUM_BYTES, "big")


def decode(message: bytes | str) -> Frame | Unknown:
    """Return the frame that the message holds. Fields that a newer version added behind ours are left.

    Raises:
        MalformedError: it holds none.
    """
    if isinstance(message, str):
        raise MalformedError("a text message; frames are binary")
    whole = memoryview(message)
    data, checksum = whole[:-CHECKSUM_BYTES], whole[-CHECKSUM_BYTES:]
    if zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "big") != checksum:
        raise MalformedError("not a frame: the checksum is another one")
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        kind = _kind(data)
        if kind is not None and kind > KNOWN:
            return Unknown(kind)
        raise MalformedError(f"not a frame: {error}") from error


def _kind(data: memoryview) -> int | None:
    try:
        match msgspec.msgpack.decode(data, type=list[Any]):
            case [int(kind), *_]:
                return kind
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return None


def pack(stream: int, generation: int, after: int, events: list[LogEvent], chain: bytes) -> Events:
    """Make an EVENTS frame; `chain` is the hash after the last event.

    Raises:
        TooLargeError: the events are larger than a frame may be; `TARGET_BATCH_BYTES` keeps batches far below that.
    """
    raw = _encoder.encode(events)
    if len(raw) > MAX_FRAME_BYTES - 1024:
        raise TooLargeError(f"{len(events)} events behind {after} make a frame of {len(raw)} bytes")
    body = zstd.compress(raw, 1) if len(raw) >= COMPRESS_FROM_BYTES else raw
    compressed = len(body) < len(raw)
    return Events(stream, generation, after, len(events), chain, compressed, len(raw), body if compressed else raw)


def unpack(frame: Events) -> list[LogEvent]:
    """Return the events of a frame; memory is bounded whatever the frame claims.

    Raises:
        TooLargeError, MalformedError: it holds no such events.
    """
    if not 0 < frame.raw_bytes <= MAX_FRAME_BYTES or frame.count > MAX_BATCH_EVENTS:
        raise TooLargeError(f"a frame of {frame.count} events in {frame.raw_bytes} bytes")
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
