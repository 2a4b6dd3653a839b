"""Schedules and locks as columns."""

from __future__ import annotations

from app.views.columns import Column
from app.views.queue_text import When
from app.views.schedules import LockRow, ScheduleRow


def schedule_columns(when: When) -> tuple[Column[ScheduleRow], ...]:
    """The columns of a list of schedules."""
    return (
        Column("name", "NAME", lambda row: row.name, 14, grow=True),
        Column("state", "STATE", lambda row: "on" if row.enabled else "paused", 6),
        Column("when", "WHEN", lambda row: row.expression, 14),
        Column("queue", "QUEUE", lambda row: row.queue, 12, rank=1),
        Column("next", "NEXT", lambda row: ", ".join(map(when, row.next_ms[:1])), 14, _next),
        Column("then", "THEN", lambda row: ", ".join(map(when, row.next_ms[1:])), 28, rank=3),
        Column("waiting", "WAITING", lambda row: str(row.waiting), 7, lambda row: row.waiting, right=True, rank=2),
        Column("dead", "DEAD", lambda row: str(row.dead), 6, lambda row: row.dead, right=True),
    )


def _next(row: ScheduleRow) -> int | None:
    return row.next_ms[0] if row.next_ms else None


def lock_columns(when: When) -> tuple[Column[LockRow], ...]:
    """The columns of a list of locks."""
    return (
        Column("name", "LOCK", lambda row: row.name, 24, grow=True),
        Column("owner", "HELD BY", lambda row: row.owner, 34),
        Column("until", "UNTIL", lambda row: when(row.expires_ms), 14, lambda row: row.expires_ms),
    )
