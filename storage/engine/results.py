"""Results of jobs: a JSON value with a time to live."""

from __future__ import annotations

import math
from typing import Any

from storage.engine.payload import loads
from storage.engine.readers import Snapshot
from storage.engine.transaction import Transaction


def save_result(tx: Transaction, job: int, value: str | None, ttl_s: float | None, *, now: float) -> None:
    """Store a job's result (JSON text), replacing an older one; without a positive `ttl_s` it stays."""
    expires = math.ceil(now + ttl_s) if ttl_s is not None and ttl_s > 0 else None
    tx.execute(
        "INSERT INTO _honker_results (job_id, value, created_at, expires_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (job_id) DO UPDATE SET value = excluded.value, created_at = excluded.created_at,"
        " expires_at = excluded.expires_at",
        (job, value, int(now), expires),
    )
    tx.touch("result", str(job))


def find_result(source: Snapshot | Transaction, job: int, *, now: float) -> tuple[bool, Any]:
    """Return `(True, value)`, or `(False, None)` when there is none or its time has passed."""
    rows = source.rows(
        "SELECT value FROM _honker_results WHERE job_id = ? AND (expires_at IS NULL OR expires_at > ?)",
        (job, int(now)),
    )
    if not rows:
        return False, None
    return True, None if rows[0][0] is None else loads(rows[0][0])


def sweep_results(tx: Transaction, *, now: float) -> int:
    """Delete the results whose time has passed; returns how many."""
    tx.execute("DELETE FROM _honker_results WHERE expires_at <= ?", (int(now),))
    return tx.changes
