"""Queues, jobs and causes as columns and text; `when` writes times in the format of whoever shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from app.views.columns import Column
from app.views.queues import Cause, JobRow, QueueRow
from app.views.text import of, safe, since
from app.views.times import WIDTH
from app.views.times import When as When


def queue_columns(when: When) -> tuple[Column[QueueRow], ...]:
    """The columns of a list of queues."""
    return (
        Column("queue", "QUEUE", lambda row: row.name, 20, grow=True),
        Column("ready", "READY", lambda row: str(row.ready), 8, lambda row: row.ready, right=True),
        Column("delayed", "DELAYED", lambda row: str(row.delayed), 8, lambda row: row.delayed, right=True),
        Column("running", "RUNNING", lambda row: str(row.running), 8, lambda row: row.running, right=True),
        Column("dead", "DEAD", lambda row: str(row.dead), 8, lambda row: row.dead, right=True),
        Column("oldest", "OLDEST", lambda row: when(row.oldest_ms), WIDTH, lambda row: row.oldest_ms),
        Column("state", "STATE", lambda row: "on" if row.paused_ms is None else "paused", 6),
    )


def job_columns(when: When) -> tuple[Column[JobRow], ...]:
    """The columns of a list of jobs."""
    return (
        Column("id", "JOB", lambda row: str(row.id), 8, lambda row: row.id, right=True),
        Column("state", "STATE", lambda row: row.state, 8),
        Column("tries", "TRIES", lambda row: f"{row.attempts}/{row.max_attempts}", 6, lambda row: row.attempts),
        Column("at", "AT", lambda row: when(row.at_ms), WIDTH, lambda row: row.at_ms),
        Column("error", "ERROR", lambda row: (row.error or "").strip().split("\n")[0], 24, grow=True, rank=1),
        Column("payload", "PAYLOAD", lambda row: row.payload[:200], 30, rank=2),
    )


def cause_columns(when: When) -> tuple[Column[Cause], ...]:
    """The columns of a list of causes."""
    return (
        Column("jobs", "JOBS", lambda row: str(row.jobs), 8, lambda row: row.jobs, right=True),
        Column("newest", "NEWEST", lambda row: when(row.newest_ms), WIDTH, lambda row: row.newest_ms),
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
    if row.paused_ms is not None and row.state in ("ready", "delayed"):
        lines.append(
            f"waits     {safe(row.queue)} is paused ({when(row.paused_ms)}): spoke queue resume {safe(row.queue)}"
        )
    lines += [f"worker    {safe(row.worker)}"] if row.worker else []
    lines += ["error", *(f"  {safe(line)}" for line in row.error.splitlines())] if row.error else []
    return [*lines, "payload"]


def paused_note(paused: Mapping[str, int], now_ms: int) -> tuple[str, str] | None:
    """What is said of the queues that rest (name, since when in unix seconds), and what to do; None when none does."""
    if not paused:
        return None
    names = [safe(name) for name in paused]
    if len(names) == 1:
        return (
            f"queue {names[0]} paused {since(next(iter(paused.values())) * 1000, now_ms)}",
            f"spoke queue resume {names[0]}",
        )
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{of(len(names), 'queue')} paused: {', '.join(names[:3])}{more}", "spoke queue list"
