"""The chain of hashes over a log of this file: what it is at an offset, from the nearest stored checkpoint on."""

from __future__ import annotations

from collections.abc import Iterator

from storage.engine import Snapshot, Transaction
from storage.tenants import find_fact
from sync.link.chain import Cursor, LogEvent, carried_rows, extend
from sync.link.lineage import Generation

CHUNK = 512
"""Rows read at a time: bounds the memory that large payloads take."""
CHECKPOINT_EVERY = 4_096
"""Offsets between stored hashes: bounds what is read again when positions are compared."""
END = (1 << 63) - 1

SQL_EVENTS = """-- the next events of a topic, by _honker_stream_topic(topic, offset)
SELECT offset, key, payload, created_at FROM _honker_stream WHERE topic = ? AND offset > ? AND offset <= ?
ORDER BY offset LIMIT ?"""


def events_between(
    source: Snapshot | Transaction, topic: str, after: int, upto: int, chunk: int = CHUNK
) -> Iterator[LogEvent]:
    """Yield the events with `after < offset <= upto` as they travel, in order, in bounded memory."""
    while True:
        rows = source.rows(SQL_EVENTS, (topic, after, upto, chunk))
        yield from carried_rows(rows)
        if len(rows) < chunk:
            return
        after = int(rows[-1][0])


def log_begins(source: Snapshot | Transaction, topic: str) -> int:
    """The offset up to which retention may have deleted events; 0 when it never did."""
    return int(find_fact(source, f"log_begins:{topic}") or 0)


def known_before(source: Snapshot | Transaction, topic: str, generation: Generation, offset: int) -> Cursor | None:
    """Return the nearest position at or before the offset whose hash is known and behind which nothing was deleted."""
    begins = log_begins(source, topic)
    stored = source.rows(
        "SELECT offset, hash FROM link_checkpoints WHERE topic = ? AND gen_id = ? AND offset <= ? AND offset >= ?"
        " ORDER BY offset DESC LIMIT 1",
        (topic, generation.gen_id, offset, begins),
    )
    if stored:
        return Cursor(*stored[0])
    return Cursor(generation.base, generation.gen_id) if begins <= generation.base else None


def hash_at(source: Snapshot | Transaction, topic: str, generation: Generation, offset: int) -> bytes | None:
    """Return the chain hash of a generation at an offset; None where there is no event, or it cannot be told."""
    cursor = known_before(source, topic, generation, offset)
    if cursor is None:
        return None
    reached, chain = cursor
    for event in events_between(source, topic, cursor.offset, offset):
        reached, chain = event.offset, extend(chain, (event,))
    return chain if reached == offset else None


def remember(tx: Transaction, topic: str, generation: Generation, position: Cursor) -> None:
    """Store the hash at a position."""
    tx.execute(
        "INSERT OR IGNORE INTO link_checkpoints (topic, gen_id, offset, hash) VALUES (?, ?, ?, ?)",
        (topic, generation.gen_id, *position),
    )
