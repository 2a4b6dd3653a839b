"""The logs that this end receives: events, which of our offsets is which of the sender's, and the cursor, together."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import msgspec

from storage.engine import Database, Snapshot, Transaction
from sync.durable.topics import RESULTS
from sync.link import receiver as core
from sync.link.chain import STUB, Cursor, LogEvent, extend, receive
from sync.link.frames import MAX_BATCH_EVENTS, TARGET_BATCH_BYTES, Head, Reached, Window, pack, unpack
from sync.link.lineage import Generation

Stable: TypeAlias = Literal["acked", "backup"]
"""What the sender may forget: what is on our disk, or only what is in our newest backup (`mark_stable`)."""

OnStored: TypeAlias = Callable[[Transaction, str, Sequence[LogEvent]], None]

_json = msgspec.json.Decoder(msgspec.Raw)
_all_json = msgspec.json.Decoder(list[msgspec.Raw])
_WORD = msgspec.Raw(f'"{secrets.token_hex(16)}"'.encode())
_BETWEEN = f",{bytes(_WORD).decode()},"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an event is put into quarantine."""

    code: str
    detail: str


def judge(event: LogEvent) -> Fault | None:
    """Accept an event whose payload is JSON; our own readers could not read another."""
    if event.payload.startswith(STUB):
        return Fault("NOT_CARRIED", event.payload[len(STUB) : -1])
    try:
        _json.decode(event.payload)
    except (msgspec.DecodeError, UnicodeError) as error:
        return Fault("NOT_JSON", str(error))
    except RecursionError:
        return Fault("TOO_DEEP", "nested too deep")
    return None


def judge_all(events: Sequence[LogEvent]) -> list[tuple[LogEvent, Fault]]:
    """The events that are put into quarantine, and why.

    All payloads are parsed at once, with a word between them that their sender cannot know: only when that does not
    give each of them by itself is every one looked at.
    """
    whole = "[" + _BETWEEN.join([event.payload for event in events]) + "]"
    try:
        if _all_json.decode(whole)[1::2] == [_WORD] * (len(events) - 1) and STUB not in whole:
            return []
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass  # one of them is bad; which one, the look at each tells
    return [(event, fault) for event in events if (fault := judge(event)) is not None]


class IncomingLogs:
    """Answers the receiver's questions for one sender. Methods run in the caller's transaction or snapshot.

    Args:
        db: the file that the logs go into.
        node_id: the sender.
        topic_of: by name on the wire: the topic in this file.
        stable: what is declared stable.
        window: how much may be on its way from now on.
        on_stored: called with every batch, in the transaction that stores it.
    """

    def __init__(
        self,
        db: Database,
        node_id: str,
        topic_of: Callable[[str], str],
        *,
        clock_ms: Callable[[], int],
        stable: Stable = "acked",
        window: Callable[[], Window] = Window,
        on_stored: OnStored | None = None,
    ) -> None:
        self._db = db
        self._node_id = node_id
        self._topic_of = topic_of
        self._clock_ms = clock_ms
        self._stable = stable
        self._window = window
        self._on_stored = on_stored

    def load_position(self, source: Snapshot | Transaction, question: core.LoadPosition) -> core.PositionLoaded:
        """How far each generation has come."""
        cursors = [self._cursor(source, question.name, generation.gen_id) for generation in question.generations]
        heads = source.rows(
            "SELECT generation, gen_id FROM link_cursors WHERE node_id = ? AND topic = ?"
            " ORDER BY generation DESC, opened DESC LIMIT 1",
            (self._node_id, question.name),
        )
        reached = tuple(None if cursor is None else Reached(*cursor) for cursor in cursors)
        return core.PositionLoaded(question.stream, reached, Head(*heads[0]) if heads else None)

    def store(self, tx: Transaction, question: core.Store) -> core.Stored:
        """Store what is new of a frame and move the cursor.

        The cursor is read in the same transaction, so a frame that an older connection stored meanwhile changes
        nothing but the number of events that came again. Events that cannot be read go into quarantine; the cursor
        passes them.

        Raises:
            LinkError: a gap, a corrupt frame, no events; nothing is stored.
        """
        name, generation = question.name, question.generation
        cursor = self._cursor(tx, name, generation.gen_id)
        if cursor is None:
            cursor = self._open(tx, question)
        rejected: list[tuple[LogEvent, Fault]] = []
        if question.events is not None:
            frame = question.events
            events = unpack(frame)
            fresh, cursor = receive(cursor, frame.after, events, frame.hash)
            if fresh:
                rejected = self._append(tx, name, generation, fresh, cursor)
            if again := len(events) - len(fresh):
                self._count_again(tx, name, generation, again)
        return core.Stored(
            question.stream,
            generation.number,
            cursor.offset,
            Reached(*cursor) if self._stable == "acked" else self._marked(tx, name, generation.gen_id),
            self._window(),
            tuple((event.offset, fault.code, fault.detail) for event, fault in rejected),
        )

    def load_hashes(self, source: Snapshot | Transaction, question: core.LoadHashes) -> core.HashesLoaded:
        """The chain hashes at some offsets of what was received."""
        return core.HashesLoaded(
            question.stream,
            tuple(
                self._hash_at(source, question.name, question.gen_id, offset) if offset >= 0 else None
                for offset in question.offsets
            ),
        )

    def read_back(self, source: Snapshot | Transaction, question: core.ReadBack) -> core.BackRead:
        """The next batch of what was received, as the sender had it."""
        gen_id = question.generation.gen_id
        chain = self._hash_at(source, question.name, gen_id, question.after)
        if question.after == question.generation.base:
            chain = gen_id
        if chain is None:
            return core.BackRead(question.stream, None)
        events: list[LogEvent] = []
        size = 0
        for event in received(source, self._node_id, question.name, self._topic_of, gen_id, question.after):
            size += len(event.payload.encode())
            if events and size > TARGET_BATCH_BYTES:
                break
            events.append(event)
            if len(events) >= MAX_BATCH_EVENTS:
                break
        if not events:
            return core.BackRead(question.stream, None)
        frame = pack(question.stream, question.generation.number, question.after, events, extend(chain, events))
        return core.BackRead(question.stream, frame)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _cursor(self, source: Snapshot | Transaction, name: str, gen_id: bytes) -> Cursor | None:
        rows = source.rows(
            "SELECT offset, hash FROM link_cursors WHERE node_id = ? AND topic = ? AND gen_id = ?",
            (self._node_id, name, gen_id),
        )
        return Cursor(*rows[0]) if rows else None

    def _open(self, tx: Transaction, question: core.Store) -> Cursor:
        """Begin a generation; what should be here before it and is not is a gap, for good."""
        name, generation = question.name, question.generation
        for older in question.before:
            have = self._cursor(tx, name, older.gen_id)
            reached = max(have.offset if have is not None else older.base, older.end or 0)
            if older.seen > reached:
                self._note_gap(tx, name, older.gen_id, reached, older.seen)
        parent = self._cursor(tx, name, generation.parent) if generation.parent else None
        if parent is not None and parent.offset < generation.base:
            self._note_gap(tx, name, generation.parent, parent.offset, generation.base)
        elif parent is None and generation.reason == "gap":
            self._note_gap(tx, name, generation.parent or generation.gen_id, 0, generation.base)
        now = self._clock_ms()
        tx.touch("link", "peers")  # whoever follows this stream hears of it
        tx.execute(
            "INSERT INTO link_cursors (node_id, topic, gen_id, generation, base, parent, reason, offset, hash, events,"
            " opened, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
            (
                self._node_id,
                name,
                generation.gen_id,
                generation.number,
                generation.base,
                generation.parent,
                generation.reason,
                generation.base,
                generation.gen_id,
                now,
                now,
            ),
        )
        return Cursor(generation.base, generation.gen_id)

    def _note_gap(self, tx: Transaction, name: str, gen_id: bytes, after: int, upto: int) -> None:
        tx.execute(
            "INSERT OR IGNORE INTO link_gaps (node_id, topic, gen_id, after, upto, noted_at) VALUES (?, ?, ?, ?, ?, ?)",
            (self._node_id, name, gen_id, after, upto, self._clock_ms()),
        )
        tx.touch("link", "status")

    def _append(
        self, tx: Transaction, name: str, generation: Generation, fresh: Sequence[LogEvent], cursor: Cursor
    ) -> list[tuple[LogEvent, Fault]]:
        rejected = judge_all(fresh)
        bad = {event.offset for event, _ in rejected}
        good = [event for event in fresh if event.offset not in bad] if bad else fresh
        key = (self._node_id, name, generation.gen_id)
        now = self._clock_ms()
        if good:
            self._db.stream(self._topic_of(name)).append(
                [(event.key, event.payload, event.created_at) for event in good],
                tx,
                despite_limit=name == RESULTS,  # ends of calls that this end has made
            )
            tx.touch("received", name)
            # AUTOINCREMENT under the write lock: the rows of one statement have consecutive offsets.
            first = tx.last_insert_rowid - len(good) + 1
            tx.execute(
                "INSERT INTO link_batches (node_id, topic, gen_id, first_offset, source_offsets, last_source, hash)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*key, first, _pack_offsets(good), cursor.offset, cursor.hash),
            )
            if self._on_stored is not None:
                self._on_stored(tx, name, good)
        for event, fault in rejected:
            tx.execute(
                "INSERT OR IGNORE INTO link_quarantine (node_id, topic, gen_id, offset, key, payload, created_at,"
                " code, detail, noted_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*key, *event, fault.code, fault.detail, now),
            )
        tx.execute(
            "UPDATE link_cursors SET offset = ?, hash = ?, events = events + ?, updated_at = ?"
            " WHERE node_id = ? AND topic = ? AND gen_id = ?",
            (*cursor, len(fresh), now, *key),
        )
        return rejected

    def _count_again(self, tx: Transaction, name: str, generation: Generation, number: int) -> None:
        """Events that were here and came again: another connection of the same sender had stored them."""
        tx.execute(
            "UPDATE link_cursors SET duplicates = duplicates + ? WHERE node_id = ? AND topic = ? AND gen_id = ?",
            (number, self._node_id, name, generation.gen_id),
        )
        tx.touch("link", "status")

    def _marked(self, tx: Transaction, name: str, gen_id: bytes) -> Reached | None:
        rows = tx.rows(
            "SELECT stable_offset, stable_hash FROM link_cursors WHERE node_id = ? AND topic = ? AND gen_id = ?"
            " AND stable_hash IS NOT NULL",
            (self._node_id, name, gen_id),
        )
        return Reached(*rows[0]) if rows else None

    def _hash_at(self, source: Snapshot | Transaction, name: str, gen_id: bytes, offset: int) -> bytes | None:
        key = (self._node_id, name, gen_id)
        rows = source.rows(
            "SELECT last_source, hash FROM link_batches WHERE node_id = ? AND topic = ? AND gen_id = ?"
            " AND last_source <= ? ORDER BY last_source DESC LIMIT 1",
            (*key, offset),
        )
        if not rows:
            started = source.rows(
                "SELECT base, gen_id FROM link_cursors WHERE node_id = ? AND topic = ? AND gen_id = ?", key
            )
            if not started:
                return None
            rows = started
        reached, chain = rows[0]
        if reached == offset:
            return bytes(chain)
        for event in received(source, self._node_id, name, self._topic_of, gen_id, int(reached)):
            if event.offset > offset:
                return None
            chain = extend(chain, (event,))
            if event.offset == offset:
                return bytes(chain)
        return None


def mark_stable(tx: Transaction, backup: Snapshot) -> None:
    """Declare stable what a verified backup of this file holds (for `stable="backup"`)."""
    for row in backup.rows("SELECT offset, hash, node_id, topic, gen_id FROM link_cursors"):
        tx.execute(
            "UPDATE link_cursors SET stable_offset = ?, stable_hash = ?"
            " WHERE node_id = ? AND topic = ? AND gen_id = ? AND coalesce(stable_offset, -1) < ?",
            (*row, row[0]),
        )


def received(
    source: Snapshot | Transaction,
    node_id: str,
    name: str,
    topic_of: Callable[[str], str],
    gen_id: bytes,
    after: int = -1,
) -> Iterator[LogEvent]:
    """Yield what was received of a generation behind a source offset, as the sender had it, quarantine included.

    In the order of the sender's log; memory is bounded.
    """
    quarantined = iter(
        [
            LogEvent(*row)
            for row in source.rows(
                "SELECT offset, key, payload, created_at FROM link_quarantine"
                " WHERE node_id = ? AND topic = ? AND gen_id = ? AND offset > ? ORDER BY offset",
                (node_id, name, gen_id, after),
            )
        ]
    )
    waiting = next(quarantined, None)
    for event in _good(source, node_id, name, topic_of(name), gen_id, after):
        while waiting is not None and waiting.offset < event.offset:
            yield waiting
            waiting = next(quarantined, None)
        yield event
    while waiting is not None:
        yield waiting
        waiting = next(quarantined, None)


def _good(
    source: Snapshot | Transaction, node_id: str, name: str, topic: str, gen_id: bytes, after: int
) -> Iterator[LogEvent]:
    key = (node_id, name, gen_id)
    # Batches that version 1 stored do not say where they end; NULL sorts first, and one of them means: from the start.
    starts = source.rows(
        "SELECT iif(last_source IS NULL, 0, first_offset) FROM link_batches WHERE node_id = ? AND topic = ?"
        " AND gen_id = ? AND (last_source IS NULL OR last_source > ?) ORDER BY last_source LIMIT 1",
        (*key, after),
    )
    ours = int(starts[0][0]) - 1 if starts else -1
    while True:
        batches = source.rows(
            "SELECT first_offset, source_offsets FROM link_batches WHERE node_id = ? AND topic = ? AND gen_id = ?"
            " AND first_offset > ? ORDER BY first_offset LIMIT 1",
            (*key, ours),
        )
        if not batches:
            return
        ours, packed = batches[0]
        offsets = _unpack_offsets(packed)
        rows = source.rows(
            "SELECT key, payload, created_at FROM _honker_stream WHERE topic = ? AND offset >= ? AND offset < ?"
            " ORDER BY offset",
            (topic, ours, ours + len(offsets)),
        )
        for offset, row in zip(offsets, rows, strict=True):
            if offset > after:
                yield LogEvent(offset, *row)


def _pack_offsets(events: Sequence[LogEvent]) -> bytes:
    """The first offset and the distances that follow: one or two bytes an event."""
    offsets = [event.offset for event in events]
    return msgspec.msgpack.encode([offsets[0], *(b - a for a, b in pairwise(offsets))])


def _unpack_offsets(packed: bytes) -> list[int]:
    offsets: list[int] = []
    for distance in msgspec.msgpack.decode(packed, type=list[int]):
        offsets.append(distance + (offsets[-1] if offsets else 0))
    return offsets
