"""Asking for work in the background, in the transaction of what makes it necessary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storage.engine import Transaction
from storage.engine.payload import dumps


def ask(
    tx: Transaction,
    queue: str,
    payload: Mapping[str, Any],
    *,
    once: bool = False,
    run_at: int | None = None,
    max_attempts: int = 5,
) -> None:
    """Queue a job that commits or rolls back with `tx`.

    Args:
        tx: the transaction.
        queue: the queue; `docs/events.md` lists them.
        payload: what to do.
        once: not when the very same job waits already. One that runs does not count: it may have looked before.
        run_at: unix seconds before which it does not run.
        max_attempts: then it is in the dead letters.
    """
    text = dumps(dict(payload))
    if once and tx.rows(
        "SELECT 1 FROM _honker_live WHERE queue = ? AND state = 'pending' AND payload = ? LIMIT 1", (queue, text)
    ):
        return
    tx.execute("SELECT honker_enqueue(?, ?, ?, NULL, 0, ?, NULL)", (queue, text, run_at, max_attempts))
