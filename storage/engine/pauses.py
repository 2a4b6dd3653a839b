"""Queues that rest: their jobs are handed to nobody until somebody resumes them.

A pause is a row of a table of our own, `engine_paused_queues`, since Honker's format has no place for it. `jobs.claim`
and `jobs.next_claim_at` look there in the statements that they run anyway, so a commit of `pause` is the moment from
which nobody gets a job, in whatever process. Everything else goes on: enqueueing, the claims that are held (they are
extended, acknowledged, given back), the scheduler, delays and expiry. What runs out while the queue rests is handed out
again, or dead-lettered, when it is resumed.
"""

from __future__ import annotations

from storage.engine.readers import Snapshot
from storage.engine.transaction import Transaction


def pause(tx: Transaction, queue: str, *, now: float) -> bool:
    """Let a queue rest, whether or not it has jobs yet; False when it rests already. Claims that are held stay."""
    tx.execute(
        "INSERT INTO engine_paused_queues (queue, paused_at) VALUES (?, ?) ON CONFLICT DO NOTHING", (queue, int(now))
    )
    return tx.changes > 0


def resume(tx: Transaction, queue: str) -> bool:
    """Let a queue go on and wake its workers at the commit; False when it did not rest."""
    tx.execute("DELETE FROM engine_paused_queues WHERE queue = ?", (queue,))
    tx.touch("queue", queue)
    return tx.changes > 0


def paused_queues(source: Snapshot | Transaction) -> dict[str, int]:
    """The queues that rest, by name, and since when (unix seconds)."""
    return {
        str(queue): int(at)
        for queue, at in source.rows("SELECT queue, paused_at FROM engine_paused_queues ORDER BY queue")
    }
