"""The logs that this end sends: their generations, what their hash is somewhere, what comes next."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Protocol

from storage.engine import Database, Snapshot, Transaction
from storage.engine.stream import last_offset, save_offset
from sync.link import sending as core
from sync.link.chain import HASH_BYTES, Cursor, LogEvent, extend, receive
from sync.link.errors import LinkError
from sync.link.frames import MAX_BATCH_EVENTS, MAX_PROBES, TARGET_BATCH_BYTES, pack, unpack
from sync.link.lineage import Generation
from sync.logs.chains import CHECKPOINT_EVERY, CHUNK, END, events_between, hash_at, known_before, log_begins, remember
from sync.logs.generations import generations

Question = core.LoadLineage | core.Examine | core.Sample | core.Fork | core.Insert | core.ReadLog | core.SaveAck


class Marks(Protocol):
    """Who wants to hear how far some topics have come, in the transaction that notes it."""

    def concerns(self, topic: str) -> bool:
        """Whether anybody wants to hear of this topic."""
        ...

    def sent(self, tx: Transaction, topic: str, offset: int) -> None:
        """Its events are about to be sent, up to this offset."""
        ...

    def acked(self, tx: Transaction, topic: str, offset: int) -> None:
        """The other end has it on disk, up to this offset."""
        ...


class OutgoingLogs:
    """Answers the sender's questions for one session. Methods block; call them off the event loop.

    Args:
        db: the file that holds the logs.
        peer: the other end: a hub's id, or a node's.
        topics: by name on the wire: the topic in this file.
        consumer: whose saved offset is how far the other end will have a log for good (retention keeps the rest).
        clock_ms: unix milliseconds.
        marks: who hears of it.
    """

    def __init__(
        self,
        db: Database,
        peer: str,
        topics: Mapping[str, str],
        consumer: str,
        clock_ms: Callable[[], int],
        marks: Marks | None = None,
    ) -> None:
        self._db = db
        self._peer = peer
        self._topics = dict(topics)
        self._names = list(topics)
        self._consumer = consumer
        self._clock_ms = clock_ms
        self._marks = marks
        self._durable: dict[str, int] = {}
        self._checkpoint: dict[str, Cursor] = {}

    def topic(self, stream: int) -> str:
        """The topic of a stream of this session."""
        return self._topics[self._names[stream]]

    def add(self, name: str, topic: str) -> None:
        """One more log, as the next stream."""
        self._topics[name] = topic
        self._names.append(name)

    def answer(self, question: Question) -> core.Answer | None:
        """Do what the core asks; None where it expects no answer.

        Raises:
            LinkError: the log cannot be sent.
            EngineError: the file cannot be read or written.
        """
        topic = self.topic(question.stream)
        match question:
            case core.LoadLineage(stream):
                return core.Lineage(stream, self._lineage(topic))
            case core.Examine():
                return self._examine(topic, question)
            case core.Sample():
                return self._sample(topic, question)
            case core.Fork():
                return self._fork(topic, question)
            case core.Insert():
                return self._insert(topic, question)
            case core.ReadLog():
                return self._read(topic, question)
            case core.SaveAck():
                with self._db.transaction() as tx:
                    self._save(tx, topic, question)
                return None

    # -- comparing -------------------------------------------------------------------------------------------------

    def _lineage(self, topic: str) -> tuple[Generation, ...]:
        with self._db.snapshot() as snapshot:
            known = generations(snapshot, topic)
        if not known:
            with self._db.transaction() as tx:
                tx.execute(
                    "INSERT OR IGNORE INTO link_generations (topic, number, gen_id, base, reason, created_at)"
                    " VALUES (?, 1, ?, 0, 'first', ?)",
                    (topic, secrets.token_bytes(HASH_BYTES), self._clock_ms()),
                )
                known = generations(tx, topic)
            self._db.barrier()
        return tuple(generation for generation in known if generation.active)

    def _examine(self, topic: str, question: core.Examine) -> core.Examined:
        verdicts: list[core.Verdict] = []
        ends: list[Cursor] = []
        with self._db.snapshot() as snapshot:
            begins = log_begins(snapshot, topic)
            for generation, cursor in question.positions:
                end = generation.end
                if end is None:
                    end = max(last_offset(snapshot, topic), generation.base)
                verdict = _verdict(snapshot, topic, generation, cursor, end, begins)
                # Where the log ends is compared only when the other end has more: a hash over a backlog is not free.
                chain = hash_at(snapshot, topic, generation, end) if verdict == "beyond" else None
                verdicts.append(verdict)
                ends.append(Cursor(end, chain or b""))
        return core.Examined(question.stream, tuple(verdicts), tuple(ends), begins)

    def _sample(self, topic: str, question: core.Sample) -> core.Sampled:
        generation, found = question.generation, list[Cursor]()
        with self._db.snapshot() as snapshot:
            start = known_before(snapshot, topic, generation, question.low)
            if start is None:
                stored = snapshot.rows(
                    "SELECT offset, hash FROM link_checkpoints WHERE topic = ? AND gen_id = ? AND offset >= ?"
                    " ORDER BY offset LIMIT 1",
                    (topic, generation.gen_id, log_begins(snapshot, topic)),
                )
                if not stored or stored[0][0] > question.high:
                    return core.Sampled(question.stream, ())
                start = Cursor(*stored[0])
            ((between,),) = snapshot.rows(
                "SELECT count(*) FROM _honker_stream WHERE topic = ? AND offset > ? AND offset <= ?",
                (topic, max(start.offset, question.low), question.high),
            )
            every = max(1, -(-int(between) // MAX_PROBES))
            position, number = start, 0
            for event in events_between(snapshot, topic, start.offset, question.high):
                position = Cursor(event.offset, extend(position.hash, (event,)))
                if event.offset > question.low:
                    number += 1
                    if number % every == 0:
                        found.append(position)
            if position.offset > question.low and (not found or found[-1] != position):
                found = [*found[: MAX_PROBES - 1], position]
        return core.Sampled(question.stream, tuple(found))

    def _fork(self, topic: str, question: core.Fork) -> core.Lineage:
        parent = question.parent
        with self._db.transaction() as tx:
            tx.execute(
                "UPDATE link_generations SET sealed_at = ?, seen = ? WHERE topic = ? AND number = ?",
                (question.end, question.seen, topic, parent.number),
            )
            tx.execute(
                "UPDATE link_generations SET sealed_at = base WHERE topic = ? AND number > ?", (topic, parent.number)
            )
            # One that never held anything is no parent: the other end does not know it.
            origin = parent.gen_id if question.end > parent.base else parent.parent or parent.gen_id
            tx.execute(
                "INSERT INTO link_generations (topic, number, gen_id, base, parent, reason, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    topic,
                    question.number,
                    secrets.token_bytes(HASH_BYTES),
                    question.base,
                    origin,
                    question.reason,
                    self._clock_ms(),
                ),
            )
            known = generations(tx, topic)
            tx.touch("link", "status")
        self._db.barrier()
        self._checkpoint.pop(topic, None)
        return core.Lineage(question.stream, tuple(generation for generation in known if generation.active))

    def _insert(self, topic: str, question: core.Insert) -> core.Inserted:
        frame = question.events
        try:
            fresh, reached = receive(question.cursor, frame.after, unpack(frame), frame.hash)
        except LinkError:
            return core.Inserted(question.stream, None)
        with self._db.transaction() as tx:
            taken = any(tx.rows("SELECT 1 FROM _honker_stream WHERE offset = ?", (event.offset,)) for event in fresh)
            if taken or last_offset(tx, topic) > question.cursor.offset:
                return core.Inserted(question.stream, None)
            tx.executemany(
                "INSERT INTO _honker_stream (offset, topic, key, payload, created_at) VALUES (?, ?, ?, ?, ?)",
                [(event.offset, topic, *event[1:]) for event in fresh],
            )
            tx.touch("stream", topic)
        self._db.barrier()
        return core.Inserted(question.stream, reached)

    # -- sending ---------------------------------------------------------------------------------------------------

    def _read(self, topic: str, question: core.ReadLog) -> core.LogRead:
        """Read the next frame behind the cursor.

        Never an event that a power cut could take back: the events are read (so they are committed), and unless a
        barrier that began *later* than their commit is known to have passed, one is made before they are returned.
        Foreign programs may write with synchronous=NORMAL, so our own setting is not enough
        (tests/sync/logs/test_outgoing.py::test_what_is_sent_is_durable).
        """
        generation, cursor = question.generation, question.cursor
        room = min(MAX_BATCH_EVENTS, question.window.events)
        budget = min(TARGET_BATCH_BYTES, question.window.bytes)
        upto = END if generation.end is None else generation.end
        events: list[LogEvent] = []
        size = 0
        with self._db.snapshot() as snapshot:
            newest = last_offset(snapshot, topic)
            for event in events_between(snapshot, topic, cursor.offset, upto, min(room, CHUNK)):
                payload = event.payload
                size += len(payload) if payload.isascii() else len(payload.encode())
                if size > budget and events:
                    break
                events.append(event)
                if len(events) == room:
                    break
        if not events:
            return core.LogRead(question.stream, None)
        last = events[-1].offset
        if self._marks is not None and self._marks.concerns(topic):
            with self._db.transaction() as tx:
                self._marks.sent(tx, topic, last)
        if last > self._durable.get(topic, 0):
            self._db.barrier()
            self._durable[topic] = newest
        frame = pack(question.stream, generation.number, cursor.offset, events, extend(cursor.hash, events))
        return core.LogRead(question.stream, frame, last)

    def _save(self, tx: Transaction, topic: str, question: core.SaveAck) -> None:
        """Note what the other end has on disk, now and then the hash there, and what it will have for good."""
        generation, position, stable = question.generation, question.position, question.stable
        tx.execute(
            "INSERT INTO link_positions (hub_id, topic, gen_id, offset, hash, acked_at) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (hub_id, topic) DO UPDATE SET gen_id = excluded.gen_id, offset = excluded.offset,"
            " hash = excluded.hash, acked_at = excluded.acked_at",
            (self._peer, topic, generation.gen_id, *position, self._clock_ms()),
        )
        tx.touch("link", "status")
        if self._marks is not None and self._marks.concerns(topic):
            self._marks.acked(tx, topic, position.offset)
        before = self._checkpoint.get(topic)
        if position.offset and (before is None or position.offset - before.offset >= CHECKPOINT_EVERY):
            remember(tx, topic, generation, position)
            self._checkpoint[topic] = position
        if stable is None:
            return
        mark = Cursor(stable.offset, stable.hash)
        # A number alone is not enough: after a restore, another copy may have filled the same offsets
        # (reference 4.17, v2; tests/sync/logs/test_outgoing.py::test_stable_counts_only_with_our_hash).
        if (mark == position or hash_at(tx, topic, generation, mark.offset) == mark.hash) and save_offset(
            tx, self._consumer, topic, mark.offset
        ):
            remember(tx, topic, generation, mark)


def _verdict(
    source: Snapshot, topic: str, generation: Generation, cursor: Cursor, end: int, begins: int
) -> core.Verdict:
    if cursor.offset > end:
        return "beyond"
    if cursor.offset < min(begins, end):
        return "pruned"
    if cursor.offset == generation.base:
        return "same" if cursor.hash == generation.gen_id else "differs"
    if known_before(source, topic, generation, cursor.offset) is None:
        return "same" if cursor.offset == end else "pruned"
    return "same" if hash_at(source, topic, generation, cursor.offset) == cursor.hash else "differs"
