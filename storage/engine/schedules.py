"""Schedules in SQL: what is due, when next, as functions over a transaction. A fire is an enqueue, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from storage.engine import jobs
from storage.engine.cron import next_fire
from storage.engine.payload import dumps, loads
from storage.engine.readers import Snapshot
from storage.engine.transaction import Transaction

MAX_CATCH_UP = 64
"""Missed fires that one tick makes up for, per schedule; those beyond are skipped."""


@dataclass(frozen=True, slots=True)
class Fired:
    """One fire: which schedule, for which time, as which job."""

    name: str
    queue: str
    fire_at: int
    job_id: int


def register(
    tx: Transaction,
    name: str,
    queue: str,
    expr: str,
    payload: str,
    *,
    priority: int = 0,
    expires_s: int | None = None,
    max_attempts: int | None = 3,
    now: float,
) -> None:
    """Add or replace a schedule. An unchanged expression keeps its next time: registering at each start must not
    postpone it for ever (Honker does). A paused one stays paused.

    Raises:
        UsageError: the expression is no schedule.
    """
    following = next_fire(expr, now)
    tx.execute(
        "INSERT INTO _honker_scheduler_tasks"
        " (name, queue, cron_expr, payload, priority, expires_s, next_fire_at, max_attempts)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET queue = excluded.queue,"
        " next_fire_at = iif(cron_expr = excluded.cron_expr, next_fire_at, excluded.next_fire_at),"
        " cron_expr = excluded.cron_expr, payload = excluded.payload, priority = excluded.priority,"
        " expires_s = excluded.expires_s, max_attempts = excluded.max_attempts",
        (
            name,
            queue,
            expr,
            payload,
            priority,
            expires_s,
            following,
            max(1, 3 if max_attempts is None else max_attempts),
        ),
    )
    tx.touch("schedule", "")


def unregister(tx: Transaction, name: str) -> bool:
    """Remove a schedule; jobs that it has enqueued stay."""
    tx.execute("DELETE FROM _honker_scheduler_tasks WHERE name = ?", (name,))
    tx.touch("schedule", "")
    return tx.changes > 0


def set_enabled(tx: Transaction, name: str, *, enabled: bool, now: float) -> bool:
    """Pause or resume; False when nothing changed. What was missed while paused is not made up for."""
    rows = tx.rows("SELECT cron_expr, enabled FROM _honker_scheduler_tasks WHERE name = ?", (name,))
    if not rows or bool(rows[0][1]) is enabled:
        return False
    following = next_fire(rows[0][0], now)
    tx.execute(
        "UPDATE _honker_scheduler_tasks SET enabled = ?1,"
        " next_fire_at = iif(?1 AND next_fire_at < ?2, ?3, next_fire_at)"
        " WHERE name = ?4",
        (int(enabled), int(now), following, name),
    )
    tx.touch("schedule", "")
    return True


def list_schedules(source: Snapshot | Transaction) -> list[dict[str, Any]]:
    """Every schedule by name; the payload decoded, `enabled` a bool."""
    rows = source.query("SELECT * FROM _honker_scheduler_tasks ORDER BY name")
    return [row | {"payload": loads(row["payload"]), "enabled": bool(row["enabled"])} for row in rows]


def update(tx: Transaction, name: str, fields: dict[str, Any], *, now: float) -> bool:
    """Change only the given fields (`schedule payload priority expires max_attempts`); False when nothing is given or
    there is no such schedule. Another expression gets its next time from now.
    """
    if not fields or not tx.rows("SELECT 1 FROM _honker_scheduler_tasks WHERE name = ?", (name,)):
        return False
    columns: dict[str, Any] = {}
    if "schedule" in fields:
        expr = str(fields["schedule"])
        columns |= {"cron_expr": expr, "next_fire_at": next_fire(expr, now)}
    if "payload" in fields:
        columns["payload"] = dumps(fields["payload"])
    if "priority" in fields:
        columns["priority"] = fields["priority"]
    if "expires" in fields:
        columns["expires_s"] = fields["expires"]
    if "max_attempts" in fields:
        columns["max_attempts"] = 3 if fields["max_attempts"] is None else max(1, fields["max_attempts"])
    assignments = ", ".join(f"{column} = ?" for column in columns)
    tx.execute(f"UPDATE _honker_scheduler_tasks SET {assignments} WHERE name = ?", (*columns.values(), name))
    tx.touch("schedule", "")
    return True


def tick(tx: Transaction, *, now: float) -> list[Fired]:
    """Enqueue what is due and move each schedule on, in one transaction: a fire is never lost or doubled."""
    fired: list[Fired] = []
    due = tx.rows(
        "SELECT name, queue, cron_expr, payload, priority, expires_s, next_fire_at, max_attempts"
        " FROM _honker_scheduler_tasks WHERE enabled = 1 AND next_fire_at <= ? ORDER BY next_fire_at, name",
        (int(now),),
    )
    for name, queue, expr, payload, priority, expires_s, fire_at, max_attempts in due:
        count = 0
        while fire_at <= now and count < MAX_CATCH_UP:
            job = jobs.enqueue(
                tx, queue, payload, now=now, priority=priority, max_attempts=max_attempts, expires=expires_s
            )
            fired.append(Fired(name, queue, fire_at, job))
            fire_at, count = next_fire(expr, fire_at), count + 1
        if fire_at <= now:
            fire_at = next_fire(expr, now)
        tx.execute("UPDATE _honker_scheduler_tasks SET next_fire_at = ? WHERE name = ?", (fire_at, name))
    return fired


def soonest(source: Snapshot | Transaction) -> int:
    """The next time of any enabled schedule, 0 when there is none."""
    rows = source.rows("SELECT min(next_fire_at) FROM _honker_scheduler_tasks WHERE enabled = 1")
    return int(rows[0][0] or 0)
