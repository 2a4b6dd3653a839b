"""The spoke's log as the link sees it: which log it is, what its hash is somewhere, what comes next."""

from __future__ import annotations

import secrets

from storage.engine import Database, Snapshot, Transaction
from storage.engine.stream import last_offset
from sync.link.chain import HASH_BYTES, Cursor, LogEvent, extend
from sync.link.errors import DivergedError, LinkError, RolledBackError
from sync.link.frames import MAX_BATCH_EVENTS, TARGET_BATCH_BYTES, Events, StreamOffer, pack

CHUNK = 128
"""Rows read at a time: bounds the memory that large payloads take."""
CHECKPOINT_EVERY = 4_096
"""Events between stored hashes: bounds what is read again when positions are compared."""

SQL_EVENTS = """-- the next events of a topic, by _honker_stream_topic(topic, offset)
SELECT offset, key, payload, created_at FROM _honker_stream WHERE topic = ? AND offset > ? AND offset <= ?
ORDER BY offset LIMIT ?"""
END = (1 << 63) - 1


class SpokeLog:
    """Reads for one hub session. Methods block; call them off the event loop."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._durable: dict[str, int] = {}
        self._checkpoint: dict[str, Cursor] = {}

    def offers(self, topics: tuple[str, ...]) -> list[StreamOffer]:
        """Say which logs these are; a topic gets its generation id when it is first offered."""
        with self._db.transaction() as tx:
            for topic in topics:
                tx.execute(
                    "INSERT OR IGNORE INTO link_generations (topic, generation, gen_id) VALUES (?, 1, ?)",
                    (topic, secrets.token_bytes(HASH_BYTES)),
                )
            found = {
                row[0]: (row[1], row[2]) for row in tx.rows("SELECT topic, generation, gen_id FROM link_generations")
            }
        return [StreamOffer(topic, *found[topic]) for topic in topics]

    def verify(self, topic: str, gen_id: bytes, position: Cursor) -> LinkError | None:
        """Tell whether the hub's position lies on this log (None), or why not.

        * the hub has an offset behind our last one -> our log was rolled back;
        * we have no event there, or another hash -> the logs diverged.
        """
        if position.offset == 0:
            return None if position.hash == gen_id else DivergedError(f"{topic}: the hub knows another log")
        with self._db.snapshot() as snapshot:
            last = last_offset(snapshot, topic)
            if position.offset > last:
                return RolledBackError(f"{topic}: the hub has events up to {position.offset}, this log ends at {last}")
            found = hash_at(snapshot, topic, gen_id, position.offset)
        if found != position.hash:
            return DivergedError(f"{topic}: the hub's events up to {position.offset} are not those of this log")
        return None

    def read_frame(self, topic: str, stream: int, cursor: Cursor) -> tuple[Events, int] | None:
        """Return the next frame behind the cursor and the offset of its last event; None when there is none.

        Never an event that a power cut could take back: the events are read (so they are committed), and unless a
        barrier that began *later* than their commit is known to have passed, one is made before they are returned.
        Foreign programs may write with synchronous=NORMAL, so our own setting is not enough
        (tests/sync/spoke/test_log.py::test_what_is_sent_is_durable).

        Raises:
            TooLargeError: an event is larger than the link carries.
        """
        events: list[LogEvent] = []
        size = 0
        with self._db.snapshot() as snapshot:
            newest = last_offset(snapshot, topic)
            after = cursor.offset
            while len(events) < MAX_BATCH_EVENTS and size < TARGET_BATCH_BYTES:
                rows = snapshot.rows(SQL_EVENTS, (topic, after, END, min(CHUNK, MAX_BATCH_EVENTS - len(events))))
                events += [LogEvent(*row) for row in rows]
                size += sum(len(row[2]) for row in rows)
                if len(rows) < CHUNK:
                    break
                after = events[-1].offset
        if not events:
            return None
        if events[-1].offset > self._durable.get(topic, 0):
            self._db.barrier()
            self._durable[topic] = newest
        return pack(stream, cursor.offset, events, extend(cursor.hash, events)), events[-1].offset

    def save_ack(self, tx: Transaction, hub_id: str, topic: str, gen_id: bytes, position: Cursor, at_ms: int) -> None:
        """Note what the hub has on disk, and now and then the hash there."""
        tx.execute(
            "INSERT INTO link_positions (hub_id, topic, gen_id, offset, hash, acked_at) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (hub_id, topic) DO UPDATE SET gen_id = excluded.gen_id, offset = excluded.offset,"
            " hash = excluded.hash, acked_at = excluded.acked_at",
            (hub_id, topic, gen_id, position.offset, position.hash, at_ms),
        )
        before = self._checkpoint.get(topic)
        if position.offset and (before is None or position.offset - before.offset >= CHECKPOINT_EVERY):
            tx.execute(
                "INSERT OR IGNORE INTO link_checkpoints (topic, gen_id, offset, hash) VALUES (?, ?, ?, ?)",
                (topic, gen_id, position.offset, position.hash),
            )
            self._checkpoint[topic] = position


def hash_at(snapshot: Snapshot, topic: str, gen_id: bytes, offset: int) -> bytes | None:
    """Return the chain hash at an offset of the log, recomputed from the nearest checkpoint before it.

    None when the log has no event with that offset.
    """
    stored = snapshot.rows(
        "SELECT offset, hash FROM link_checkpoints WHERE topic = ? AND gen_id = ? AND offset < ?"
        " ORDER BY offset DESC LIMIT 1",
        (topic, gen_id, offset),
    )
    cursor = Cursor(*stored[0]) if stored else Cursor(0, gen_id)
    while cursor.offset < offset:
        events = [LogEvent(*row) for row in snapshot.rows(SQL_EVENTS, (topic, cursor.offset, offset, CHUNK))]
        if not events:
            return None
        cursor = Cursor(events[-1].offset, extend(cursor.hash, events))
    return cursor.hash if cursor.offset == offset else None
