"""What the hub stores, in one transaction: events, which of our offsets is which of the spoke's, and the cursor."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import msgspec

from storage.engine import Database, Snapshot, Transaction
from sync.link.chain import Cursor, LogEvent, receive
from sync.link.frames import Events, Hello, StreamOffer, unpack

READ_ROWS = 2_048


def topic_of(node_id: str, topic: str) -> str:
    """The name under which the hub keeps a spoke's stream; neither part holds an '@'."""
    return f"{topic}@{node_id}"


def load_cursor(source: Snapshot | Transaction, node_id: str, offer: StreamOffer) -> Cursor:
    """Return how far a spoke's stream has come; a log that is new here begins at 0."""
    rows = source.rows(
        "SELECT offset, hash FROM link_cursors WHERE node_id = ? AND topic = ? AND gen_id = ?",
        (node_id, offer.topic, offer.gen_id),
    )
    return Cursor(*rows[0]) if rows else Cursor(0, offer.gen_id)


def store(tx: Transaction, db: Database, node_id: str, offer: StreamOffer, frame: Events, at_ms: int) -> int:
    """Store what is new of a frame and move the cursor; returns the cursor's offset.

    The cursor is read in the same transaction, so a frame that an older connection stored meanwhile changes nothing.

    Raises:
        LinkError: a gap, a corrupt frame, no events; nothing is stored.
    """
    cursor = load_cursor(tx, node_id, offer)
    fresh, reached = receive(cursor, frame.after, unpack(frame), frame.hash)
    if fresh:
        ours = topic_of(node_id, offer.topic)
        db.stream(ours).append([(event.key, event.payload, event.created_at) for event in fresh], tx)
        # AUTOINCREMENT under the write lock: the rows of one statement have consecutive offsets.
        first = tx.last_insert_rowid - len(fresh) + 1
        tx.execute(
            "INSERT INTO link_batches (node_id, topic, gen_id, first_offset, source_offsets) VALUES (?, ?, ?, ?, ?)",
            (node_id, offer.topic, offer.gen_id, first, _pack_offsets(fresh)),
        )
        tx.execute(
            "INSERT INTO link_cursors (node_id, topic, gen_id, generation, offset, hash, events, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (node_id, topic, gen_id) DO UPDATE SET"
            " offset = excluded.offset, hash = excluded.hash, events = events + excluded.events,"
            " updated_at = excluded.updated_at",
            (node_id, offer.topic, offer.gen_id, offer.generation, *reached, len(fresh), at_ms),
        )
    return reached.offset


def greet(tx: Transaction, hello: Hello, account_id: str, at_ms: int) -> None:
    """Note that a spoke is here.

    Raises:
        PermissionError: the node belongs to another account of this tenant.
    """
    owner = tx.rows("SELECT account_id FROM link_spokes WHERE node_id = ?", (hello.node_id,))
    if owner and owner[0][0] != account_id:
        raise PermissionError(f"node {hello.node_id} belongs to another key's account")
    tx.execute(
        "INSERT INTO link_spokes (node_id, name, agent, account_id, connected, sessions, connected_at, seen_at)"
        " VALUES (?, ?, ?, ?, 1, 1, ?, ?) ON CONFLICT (node_id) DO UPDATE SET name = excluded.name,"
        " agent = excluded.agent, connected = connected + 1, sessions = sessions + 1,"
        " connected_at = excluded.connected_at, seen_at = excluded.seen_at",
        (hello.node_id, hello.name, hello.agent, account_id, at_ms, at_ms),
    )


def part(tx: Transaction, node_id: str, at_ms: int) -> None:
    """Note that a connection of a spoke has ended."""
    tx.execute(
        "UPDATE link_spokes SET connected = max(0, connected - 1), seen_at = ? WHERE node_id = ?", (at_ms, node_id)
    )


def received(source: Snapshot, node_id: str, topic: str) -> Iterator[LogEvent]:
    """Yield everything received of a spoke's stream as the spoke had it, in the order of its log; bounded memory."""
    ours = topic_of(node_id, topic)
    after = -1
    while True:
        batches = source.rows(
            "SELECT first_offset, source_offsets FROM link_batches WHERE node_id = ? AND topic = ? AND first_offset > ?"
            " ORDER BY first_offset LIMIT 1",
            (node_id, topic, after),
        )
        if not batches:
            return
        after, packed = batches[0]
        offsets = _unpack_offsets(packed)
        rows = source.rows(
            "SELECT key, payload, created_at FROM _honker_stream WHERE topic = ? AND offset >= ? AND offset < ?"
            " ORDER BY offset",
            (ours, after, after + len(offsets)),
        )
        for offset, row in zip(offsets, rows, strict=True):
            yield LogEvent(offset, *row)


def _pack_offsets(events: list[LogEvent]) -> bytes:
    """The first offset and the distances that follow: one or two bytes an event."""
    offsets = [event.offset for event in events]
    return msgspec.msgpack.encode([offsets[0], *(b - a for a, b in pairwise(offsets))])


def _unpack_offsets(packed: bytes) -> list[int]:
    offsets: list[int] = []
    for distance in msgspec.msgpack.decode(packed, type=list[int]):
        offsets.append(distance + (offsets[-1] if offsets else 0))
    return offsets
