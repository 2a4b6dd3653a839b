"""Durable streams: append-only logs with named consumers and saved offsets (Honker's `_honker_stream`)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from storage.engine.errors import UsageError
from storage.engine.payload import dumps, loads
from storage.engine.readers import Snapshot
from storage.engine.transaction import Transaction

if TYPE_CHECKING:
    from storage.engine.database import Database

READ_BATCH = 1_000
SAFETY_POLL_S = 15.0

SQL_PUBLISH = "INSERT INTO _honker_stream (topic, key, payload) VALUES (?, ?, ?) RETURNING offset"
SQL_APPEND = "INSERT INTO _honker_stream (topic, key, payload, created_at) VALUES (?, ?, ?, ?)"
SQL_READ = """-- served by _honker_stream_topic(topic, offset)
SELECT offset, topic, key, payload, created_at FROM _honker_stream
WHERE topic = ? AND offset > ? ORDER BY offset LIMIT ?"""
SQL_SAVE = """-- monotonic: an older offset never rewinds a consumer
INSERT INTO _honker_stream_consumers (name, topic, offset) VALUES (?, ?, ?)
ON CONFLICT (name, topic) DO UPDATE SET offset = excluded.offset WHERE excluded.offset > offset"""


class Event:
    """One event of a stream. `payload` decodes the JSON when it is first asked for; `payload_json` is the text."""

    __slots__ = ("_decoded", "_payload", "created_at", "key", "offset", "payload_json", "topic")

    def __init__(self, offset: int, topic: str, key: str | None, payload_json: str, created_at: int) -> None:
        self.offset = offset
        self.topic = topic
        self.key = key
        self.payload_json = payload_json
        self.created_at = created_at
        self._decoded = False
        self._payload: Any = None

    @property
    def payload(self) -> Any:
        """The decoded payload.

        Raises:
            PayloadError: a foreign program stored something that is not JSON.
        """
        if not self._decoded:
            self._payload = loads(self.payload_json)
            self._decoded = True
        return self._payload

    def __repr__(self) -> str:
        return f"Event(offset={self.offset}, topic={self.topic!r}, key={self.key!r})"


def read_events(source: Snapshot | Transaction, topic: str, after: int, limit: int) -> list[Event]:
    """Read up to `limit` events of a topic behind offset `after`, in order, in the caller's snapshot or transaction."""
    return [Event(*row) for row in source.rows(SQL_READ, (topic, after, limit))]


def append_event(
    tx: Transaction, topic: str, key: str | None, payload_json: str, *, despite_limit: bool = False
) -> int:
    """Append one event inside `tx` without decoding its payload; returns its offset.

    `despite_limit`: the limit of the file does not hold it up. For how something ended that has begun, and for what a
    node must tell of itself.
    """
    tx.require_room(despite_limit=despite_limit)
    offset = int(tx.rows(SQL_PUBLISH, (topic, key, payload_json))[0][0])
    tx.touch("stream", topic)
    return offset


def save_offset(tx: Transaction, consumer: str, topic: str, offset: int) -> bool:
    """Move a consumer's saved offset forward inside `tx`; False when it was already there or further."""
    tx.execute(SQL_SAVE, (consumer, topic, offset))
    return tx.changes > 0


def saved_offset(source: Snapshot | Transaction, consumer: str, topic: str) -> int:
    """Return a consumer's saved offset, 0 when it has none."""
    rows = source.rows("SELECT offset FROM _honker_stream_consumers WHERE name = ? AND topic = ?", (consumer, topic))
    return int(rows[0][0]) if rows else 0


def last_offset(source: Snapshot | Transaction, topic: str) -> int:
    """Return the offset of the topic's newest event, 0 when it is empty."""
    rows = source.rows("SELECT max(offset) FROM _honker_stream WHERE topic = ?", (topic,))
    return int(rows[0][0] or 0)


class Stream:
    """A topic of the event log.

    * Offsets are ascending and never reused while the file lives; they are shared by all topics of a file, so a
      topic's own offsets have holes.
    * `publish` returns after the commit; with `durability="full"` the event is then on disk.
    * Delivery to a named consumer is at least once; save the offset in the transaction that holds the effects to
      make it exactly once.
    """

    def __init__(self, db: Database, name: str) -> None:
        self._db = db
        self.name = name

    def publish(self, payload: Any, key: str | None = None, tx: Transaction | None = None) -> int:
        """Append one event and return its offset.

        Args:
            payload: anything that has a JSON form.
            key: free text for the consumers' use.
            tx: append inside this transaction; otherwise in one of its own.

        Raises:
            PayloadError: the payload has no JSON form; nothing is written.
            LimitError: the file holds as much as it may.
            FullError: the disk is full, or all but.
        """
        text = dumps(payload)
        with nullcontext(tx) if tx is not None else self._db.transaction() as inside:
            return append_event(inside, self.name, key, text)

    def append(
        self, events: Iterable[tuple[str | None, str, int]], tx: Transaction, *, despite_limit: bool = False
    ) -> None:
        """Append many `(key, payload_json, created_at)` inside `tx` without decoding the payloads.

        For events that were encoded elsewhere, such as those that arrive over the link. `despite_limit` as in
        `append_event`.
        """
        name = self.name
        tx.require_room(despite_limit=despite_limit)
        tx.executemany(SQL_APPEND, [(name, key, payload, created_at) for key, payload, created_at in events])
        tx.touch("stream", name)

    def read(self, after: int = 0, limit: int = READ_BATCH) -> list[Event]:
        """Return up to `limit` events behind offset `after`, in order, on a reader connection."""
        with self._db.snapshot() as snapshot:
            return read_events(snapshot, self.name, after, limit)

    def _read_since(self, offset: int, limit: int = READ_BATCH) -> list[Event]:
        """Honker's name for `read`."""
        return self.read(offset, limit)

    def get_offset(self, consumer: str) -> int:
        """Return the saved offset of a consumer, 0 when it has none."""
        with self._db.snapshot() as snapshot:
            return saved_offset(snapshot, consumer, self.name)

    def save_offset(self, consumer: str, offset: int, tx: Transaction | None = None) -> bool:
        """Move a consumer's saved offset forward; False when it was already there or further (never rewinds)."""
        with nullcontext(tx) if tx is not None else self._db.transaction() as inside:
            return save_offset(inside, consumer, self.name, offset)

    async def subscribe(
        self,
        consumer: str | None = None,
        from_offset: int | None = None,
        save_every_n: int = 1_000,
        save_every_s: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> AsyncIterator[Event]:
        """Yield events for ever: first those behind the consumer's saved offset, then new ones as they are committed.

        The offset of an event is saved only after the caller came back for the next one, so a crash delivers it
        again (at least once). It is saved every `save_every_n` events, every `save_every_s` seconds, whenever the
        subscription has caught up, and when it is closed; both 0 means never.
        """
        if save_every_n < 0 or save_every_s < 0:
            raise UsageError("save_every_n and save_every_s must not be negative")
        position = from_offset if from_offset is not None else await self._start(consumer)
        saves = consumer is not None and (save_every_n > 0 or save_every_s > 0)
        saved, unsaved, saved_at = position, 0, clock()
        waiter = self._db.wake.add([("stream", self.name)])
        try:
            while True:
                waiter.clear()
                batch = await self._db.read(_reader(self.name, position))
                for event in batch:
                    yield event
                    position, unsaved = event.offset, unsaved + 1
                    due = (save_every_n and unsaved >= save_every_n) or (
                        save_every_s and clock() - saved_at >= save_every_s
                    )
                    if saves and due:
                        saved, unsaved, saved_at = await self._save(consumer, position), 0, clock()
                if not batch:
                    if saves and position > saved:
                        saved, unsaved, saved_at = await self._save(consumer, position), 0, clock()
                    await waiter.wait(SAFETY_POLL_S)
        finally:
            self._db.wake.remove(waiter)
            if saves and position > saved and not self._db.closed:
                await self._save(consumer, position)

    async def _start(self, consumer: str | None) -> int:
        if consumer is None:
            return 0
        return await self._db.read(lambda snapshot: saved_offset(snapshot, consumer, self.name))

    async def _save(self, consumer: str | None, position: int) -> int:
        await self._db.run(lambda tx: save_offset(tx, str(consumer), self.name, position))
        return position


def _reader(topic: str, after: int) -> Callable[[Snapshot], Sequence[Event]]:
    return lambda snapshot: read_events(snapshot, topic, after, READ_BATCH)
