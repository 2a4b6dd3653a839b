"""Schedules and locks as lists show them; times are unix milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

from storage.engine import Snapshot
from storage.engine.cron import next_fire
from storage.engine.errors import EngineError

NEXT = 3


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule. `next_ms`: its next times, at most three, none while it is paused."""

    name: str
    queue: str
    expression: str
    payload: str
    enabled: bool
    next_ms: tuple[int, ...]
    waiting: int
    """Jobs of its queue that wait or run."""
    dead: int
    """Jobs of its queue that failed for good."""


@dataclass(frozen=True, slots=True)
class LockRow:
    """A lock that is held."""

    name: str
    owner: str
    expires_ms: int


def read_schedules(snapshot: Snapshot) -> list[ScheduleRow]:
    """Every schedule, by name."""
    rows = snapshot.rows(
        """SELECT name, queue, cron_expr, payload, enabled, next_fire_at,
          (SELECT count(*) FROM _honker_live l WHERE l.queue = s.queue),
          (SELECT count(*) FROM _honker_dead d WHERE d.queue = s.queue)
        FROM _honker_scheduler_tasks s ORDER BY name"""
    )
    return [
        ScheduleRow(name, queue, expression, payload, bool(on), upcoming(expression, at) if on else (), waiting, dead)
        for name, queue, expression, payload, on, at, waiting, dead in rows
    ]


def upcoming(expression: str, first: int) -> tuple[int, ...]:
    """The next firings in unix milliseconds, from the first on (unix seconds).

    An expression that only another program's cron understands gives the first alone: that one is in the table.
    """
    found = [first]
    try:
        while len(found) < NEXT:
            found.append(next_fire(expression, found[-1]))
    except EngineError:
        pass
    return tuple(at * 1000 for at in found)


def read_locks(snapshot: Snapshot) -> list[LockRow]:
    """The locks that have not expired, by name."""
    rows = snapshot.rows(
        "SELECT name, owner, expires_at * 1000 FROM _honker_locks WHERE expires_at > unixepoch() ORDER BY name"
    )
    return [LockRow(*row) for row in rows]
