"""The contract of a projection, and the one transaction that holds its rows and its cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from storage.engine import Event, Transaction
from storage.engine.stream import read_events, save_offset, saved_offset

Apply: TypeAlias = Callable[[Transaction, Sequence[Event]], None]

BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Projection:
    """A named consumer of one topic and the function that applies its events inside a transaction."""

    consumer: str
    topic: str
    apply: Apply


def step(tx: Transaction, projection: Projection, limit: int = BATCH) -> int:
    """Apply the next events behind the cursor, move the cursor, and return how many there were.

    Rows and cursor commit or roll back with `tx`, so every event is applied exactly once, whatever crashes when.
    """
    after = saved_offset(tx, projection.consumer, projection.topic)
    events = read_events(tx, projection.topic, after, limit)
    if events:
        projection.apply(tx, events)
        save_offset(tx, projection.consumer, projection.topic, events[-1].offset)
    return len(events)


def reject(tx: Transaction, event: Event, reason: str) -> None:
    """Note why an event is in no row."""
    tx.execute(
        "INSERT OR IGNORE INTO projection_rejects (topic, offset, reason) VALUES (?, ?, ?)",
        (event.topic, event.offset, reason),
    )
