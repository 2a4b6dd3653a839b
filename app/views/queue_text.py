"""Queues, jobs and causes as columns and text; `when` writes times in the format of whoever shows them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

from app.views.columns import Column
from app.views.queues import Cause, JobRow, QueueRow
from app.views.text import safe

When: TypeAlias = Callable[[float | None], str]


def queue_columns(when: When) -> tuple[Column[QueueRow], ...]:
    """The columns of a list of queues."""
    return (
        Column("queue", "QUEUE", lambda row: row.name, 20, grow=True),
        Column("ready", "READY", lambda row: str(row.ready), 8, lambda row: row.ready, right=True),
        Column("delayed", "DELAYED", lambda row: str(row.delayed), 8, lambda row: row.delayed, right=True),
        Column("running", "RUNNING", lambda row: str(row.running), 8, lambda row: row.running, right=True),
        Column("dead", "DEAD", lambda row: str(row.dead), 8, lambda row: row.dead, right=True),
        Column("oldest", "OLDEST", lambda row: when(row.oldest_ms), 12, lambda row: row.oldest_ms),
    )


def job_columns(when: When) -> tuple[Column[JobRow], ...]:
    """The columns of a list of jobs."""
    return (
        Column("id", "JOB", lambda row: str(row.id), 8, lambda row: row.id, right=True),
        Column("state", "STATE", lambda row: row.state, 8),
        Column("tries", "TRIES", lambda row: f"{row.attempts}/{row.max_attempts}", 6, lambda row: row.attempts),
        Column("at", "AT", lambda row: when(row.at_ms), 12, lambda row: row.at_ms),
        Column("error", "ERROR", lambda row: (row.error or "").strip().split("\n")[0], 24, grow=True, rank=1),
        Column("payload", "PAYLOAD", lambda row: row.payload[:200], 30, rank=2),
    )


def cause_columns(when: When) -> tuple[Column[Cause], ...]:
    """The columns of a list of causes."""
    return (
        Column("jobs", "JOBS", lambda row: str(row.jobs), 8, lambda row: row.jobs, right=True),
        Column("newest", "NEWEST", lambda row: when(row.newest_ms), 12, lambda row: row.newest_ms),
        Column("example", "EXAMPLE", lambda row: str(row.example), 8, lambda row: row.example, right=True),
        Column("error", "CAUSE", lambda row: row.error, 40, grow=True),
    )


def job_text(row: JobRow, payload: str, when: When) -> list[str]:
    """Everything about a job, a line each."""
    try:
        text = json.dumps(json.loads(payload), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        text = payload  # another program's; shown as it is
    return [*job_facts(row, when), *(f"  {safe(line)}" for line in text.splitlines())]


def job_facts(row: JobRow, when: When) -> list[str]:
    """What stands above a job's payload."""
    told = {"ready": "due", "delayed": "due", "running": "claimed until", "dead": "died"}[row.state]
    lines = [
        f"job       {row.id} in {safe(row.queue)}: {row.state}",
        f"attempts  {row.attempts} of {row.max_attempts}, priority {row.priority}",
        f"queued    {when(row.created_ms)}; {told} {when(row.at_ms)}",
    ]
    lines += [f"worker    {safe(row.worker)}"] if row.worker else []
    lines += ["error", *(f"  {safe(line)}" for line in row.error.splitlines())] if row.error else []
    return [*lines, "payload"]
