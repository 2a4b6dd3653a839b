"""Retention: deleting what nobody needs any more, by age, number and size; reported, never in silence.

A stream is never cut before the slowest *required* consumer: an event that one of them has not finished stays, however
old. A required consumer that was never seen holds everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from storage.engine.errors import UsageError
from storage.engine.readers import Snapshot
from storage.engine.transaction import Transaction

BATCH = 2_000
"""Rows deleted in one transaction, so that nobody waits long for the writer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may be kept; None is no limit. The strictest one counts."""

    max_age_s: float | None = None
    max_count: int | None = None
    max_bytes: int | None = None
    """Of payload text; the file is larger."""

    def __post_init__(self) -> None:
        for value in (self.max_age_s, self.max_count, self.max_bytes):
            if value is not None and value < 0:
                raise UsageError("limits must not be negative")


@dataclass(frozen=True, slots=True)
class Cut:
    """What a limit asks for and what is done: `wanted` is the offset to cut at, `until` the one that is cut at."""

    topic: str
    wanted: int
    until: int
    events: int
    held_by: str | None
    """The required consumer that keeps the rest."""


def plan_stream(
    source: Snapshot | Transaction, topic: str, limits: Limits, required: Sequence[str], *, now: float
) -> Cut:
    """Say what would be deleted of a stream; deletes nothing."""
    wanted = max(
        _by_age(source, topic, limits.max_age_s, now),
        _by_count(source, topic, limits.max_count),
        _by_bytes(source, topic, limits.max_bytes),
    )
    until, held_by = wanted, None
    for consumer in required:
        rows = source.rows(
            "SELECT offset FROM _honker_stream_consumers WHERE name = ? AND topic = ?", (consumer, topic)
        )
        reached = int(rows[0][0]) if rows else 0
        if reached < until:
            until, held_by = reached, consumer
    events = source.rows("SELECT count(*) FROM _honker_stream WHERE topic = ? AND offset <= ?", (topic, until))[0][0]
    return Cut(topic, wanted, until, int(events), held_by)


def cut_stream(tx: Transaction, cut: Cut, limit: int = BATCH) -> int:
    """Delete up to `limit` of the oldest events of a plan; returns how many. Call it until it returns 0."""
    tx.execute(
        "DELETE FROM _honker_stream WHERE offset IN (SELECT offset FROM _honker_stream WHERE topic = ? AND offset <= ?"
        " ORDER BY offset LIMIT ?)",
        (cut.topic, cut.until, limit),
    )
    return tx.changes


def prune_dead(tx: Transaction, queue: str, limits: Limits, *, now: float) -> int:
    """Delete dead jobs of a queue beyond the limits, the oldest first; returns how many."""
    return _prune(tx, "_honker_dead", "id", "died_at", "payload", ("queue", queue), limits, now)


def prune_results(tx: Transaction, limits: Limits, *, now: float) -> int:
    """Delete results beyond the limits, the oldest first; returns how many."""
    return _prune(tx, "_honker_results", "job_id", "created_at", "value", None, limits, now)


def _prune(
    tx: Transaction,
    table: str,
    key: str,
    at: str,
    text: str,
    where: tuple[str, str] | None,
    limits: Limits,
    now: float,
) -> int:
    condition, params = ("1", ()) if where is None else (f"{where[0]} = ?", (where[1],))
    pruned = 0
    if limits.max_age_s is not None:
        tx.execute(f"DELETE FROM {table} WHERE {condition} AND {at} < ?", (*params, int(now - limits.max_age_s)))
        pruned += tx.changes
    if limits.max_count is not None:
        tx.execute(
            f"DELETE FROM {table} WHERE {condition} AND {key} NOT IN"
            f" (SELECT {key} FROM {table} WHERE {condition} ORDER BY {at} DESC, {key} DESC LIMIT ?)",
            (*params, *params, limits.max_count),
        )
        pruned += tx.changes
    if limits.max_bytes is not None:
        tx.execute(
            f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM (SELECT {key},"
            f" sum(coalesce(length(CAST({text} AS BLOB)), 0)) OVER (ORDER BY {at} DESC, {key} DESC) AS bytes"
            f" FROM {table} WHERE {condition}) WHERE bytes > ?)",
            (*params, limits.max_bytes),
        )
        pruned += tx.changes
    return pruned


def _by_age(source: Snapshot | Transaction, topic: str, max_age_s: float | None, now: float) -> int:
    if max_age_s is None:
        return 0
    # The first event that is young enough: what stands before it goes. Times ascend with offsets, clock steps aside.
    rows = source.rows(
        "SELECT offset FROM _honker_stream WHERE topic = ? AND created_at >= ? ORDER BY offset LIMIT 1",
        (topic, int(now - max_age_s)),
    )
    if rows:
        return int(rows[0][0]) - 1
    return int(source.rows("SELECT max(offset) FROM _honker_stream WHERE topic = ?", (topic,))[0][0] or 0)


def _by_count(source: Snapshot | Transaction, topic: str, max_count: int | None) -> int:
    if max_count is None:
        return 0
    rows = source.rows(
        "SELECT offset FROM _honker_stream WHERE topic = ? ORDER BY offset DESC LIMIT 1 OFFSET ?", (topic, max_count)
    )
    return int(rows[0][0]) if rows else 0


def _by_bytes(source: Snapshot | Transaction, topic: str, max_bytes: int | None) -> int:
    if max_bytes is None:
        return 0
    rows = source.rows(
        "SELECT max(offset) FROM (SELECT offset, sum(length(CAST(payload AS BLOB))) OVER (ORDER BY offset DESC)"
        " AS bytes FROM _honker_stream WHERE topic = ?) WHERE bytes > ?",
        (topic, max_bytes),
    )
    return int(rows[0][0] or 0)
