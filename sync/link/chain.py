"""The chain over a log: one hash that stands for every event up to an offset.

    h_0 = the generation's random id
    h_n = BLAKE2b-128(h_{n-1} ‖ MessagePack(offset, key, payload, created_at))

Two logs with the same hash at the same offset are the same log up to there, however it was cut into frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from sync.link.errors import CorruptFrameError, GapError, MalformedError

HASH_BYTES = 16
MAX_EVENT_BYTES = 3 * 1024 * 1024
"""A payload that is longer is not carried: `carried` puts a stub in its place."""
ALWAYS_FITS = MAX_EVENT_BYTES // 4
"""So many characters fit even when each takes four bytes."""
MAX_TIME = 2**62
STUB = '{"spoke.stub":'

_encode = msgspec.msgpack.Encoder().encode


class LogEvent(NamedTuple):
    """An event as it travels: its offset in the source's log, and the columns of the stream table."""

    offset: int
    key: str | None
    payload: str
    created_at: int


def carried_rows(rows: Iterable[tuple[Any, ...]]) -> list[LogEvent]:
    """`carried` for many rows; those that are as they should be, nearly all, cost next to nothing."""
    return [
        LogEvent._make(row)
        if type(row[2]) is str
        and len(row[2]) <= ALWAYS_FITS
        and (row[1] is None or type(row[1]) is str)
        and type(row[3]) is int
        and -MAX_TIME < row[3] < MAX_TIME
        else carried(*row)
        for row in rows
    ]


def carried(offset: int, key: object, payload: object, created_at: object) -> LogEvent:
    """Return a row of the stream table as it travels.

    Foreign programs can put anything into a row. What the link cannot carry (a payload that is no text or too long,
    a key that is no text) travels as a stub that says what it stands for: the stream goes on behind it, the receiver
    puts it into quarantine, and the row itself stays where it is. A function of the row alone, so that both ends
    agree on the chain.
    """
    at = int(created_at) if isinstance(created_at, int | float) and abs(created_at) < MAX_TIME else 0
    if isinstance(payload, str) and (key is None or isinstance(key, str)) and len(payload) <= ALWAYS_FITS:
        return LogEvent(offset, key, payload, at)
    raw = payload if isinstance(payload, bytes) else str(payload).encode("utf-8", "surrogatepass")
    if isinstance(payload, str) and (key is None or isinstance(key, str)) and len(raw) <= MAX_EVENT_BYTES:
        return LogEvent(offset, key, payload, at)
    code = "TOO_LARGE" if len(raw) > MAX_EVENT_BYTES else "NOT_TEXT"
    digest = blake2b(raw, digest_size=HASH_BYTES).hexdigest()
    return LogEvent(offset, None, f'{STUB}{{"code":"{code}","bytes":{len(raw)},"blake2b":"{digest}"}}}}', at)


def extend(chain: bytes, events: Iterable[LogEvent]) -> bytes:
    """Return the chain hash after the events."""
    for event in events:
        chain = blake2b(chain + _encode(event), digest_size=HASH_BYTES).digest()
    return chain


class Cursor(NamedTuple):
    """How far a log has been received: the source offset of the last event and the chain hash there."""

    offset: int
    hash: bytes


def receive(cursor: Cursor, after: int, events: Sequence[LogEvent], chain: bytes) -> tuple[list[LogEvent], Cursor]:
    """Return the events of a frame that are new, and the cursor behind them.

    Args:
        cursor: how far the log has been received.
        after: the source offset before the frame's first event.
        events: the frame's events.
        chain: the chain hash that the sender has after the last of them.

    Events that were received before are left out (a frame sent twice changes nothing).

    Raises:
        GapError: the frame begins behind the cursor: what lies between is missing.
        MalformedError: offsets do not ascend.
        CorruptFrameError: the chain does not fit: these are not the events that were sent.
    """
    before = after
    for event in events:
        if event.offset <= before:
            raise MalformedError(f"offset {event.offset} follows {before}")
        before = event.offset
    if after > cursor.offset:
        raise GapError(f"events behind {after} came, but only those up to {cursor.offset} are here")
    fresh = [event for event in events if event.offset > cursor.offset]
    if not fresh:
        return [], cursor
    reached = Cursor(fresh[-1].offset, extend(cursor.hash, fresh))
    if reached.hash != chain:
        raise CorruptFrameError(f"the events behind {cursor.offset} are not those that were sent")
    return fresh, reached
