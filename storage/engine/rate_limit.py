"""Rate limits in fixed windows: at most `limit` in each `per` seconds, across processes."""

from __future__ import annotations

from storage.engine.errors import UsageError
from storage.engine.transaction import Transaction


def try_rate_limit(tx: Transaction, name: str, limit: int, per_s: int, *, now: float) -> bool:
    """Count one use; False (and not counted) when the window has no room."""
    if limit <= 0 or per_s <= 0:
        raise UsageError("limit and per must be positive")
    window = int(now) // int(per_s) * int(per_s)
    tx.execute(
        "INSERT INTO _honker_rate_limits (name, window_start, count) VALUES (?1, ?2, 1)"
        " ON CONFLICT (name, window_start) DO UPDATE SET count = count + 1 WHERE count < ?3",
        (name, window, limit),
    )
    return tx.changes > 0


def sweep_rate_limits(tx: Transaction, older_than_s: float, *, now: float) -> int:
    """Forget windows that began more than `older_than_s` ago; returns how many."""
    tx.execute("DELETE FROM _honker_rate_limits WHERE window_start < ?", (int(now - older_than_s),))
    return tx.changes
