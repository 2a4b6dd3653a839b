"""Queues and their jobs as lists show them; times are unix milliseconds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

from app.views.text import readable
from storage.engine import Snapshot
from storage.engine.errors import EngineError

JobState: TypeAlias = Literal["ready", "delayed", "running", "dead"]
STATES: tuple[JobState, ...] = get_args(JobState)
GLYPHS: dict[JobState, str] = {"ready": "…", "delayed": "◷", "running": "▶", "dead": "✗"}
ASCII_GLYPHS: dict[JobState, str] = {"ready": ".", "delayed": "d", "running": ">", "dead": "x"}
JOBS_SHOWN = 5_000
"""A list of jobs holds the newest of so many: a backlog of millions is counted, not listed."""
ERROR_READ = 4_000
"""Of an error so many characters are read to tell its cause."""
SQL_STATE = "CASE WHEN state = 'processing' THEN 'running' WHEN run_at > unixepoch() THEN 'delayed' ELSE 'ready' END"
_VARIABLE = re.compile(
    r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}"
    r"|\b(?![a-f]?\d+\b)[0-9a-f]{12,}\b"  # not E1234567890123 (a code), nor a number, which may have a fraction
    r"|(?:/[\w.@~+-]+){2,}|'[^']*'|\"[^\"]*\"|\d+(?:\.\d+)*",
    re.IGNORECASE,
)


class NoSuchJobError(EngineError, LookupError):
    """There is no job of that number."""

    hint = "`spoke queue jobs QUEUE` shows them"


@dataclass(frozen=True, slots=True)
class QueueRow:
    """How a queue stands. `oldest_ms`: since when the oldest job that is ready has been; `paused_ms`: it rests."""

    name: str
    ready: int
    delayed: int
    running: int
    dead: int
    oldest_ms: int | None
    paused_ms: int | None


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job. `at_ms`: due (ready, delayed), claimed until (running), died (dead); `paused_ms`: its queue rests."""

    id: int
    queue: str
    state: JobState
    payload: str
    priority: int
    attempts: int
    max_attempts: int
    created_ms: int
    at_ms: int | None
    worker: str | None
    error: str | None
    paused_ms: int | None


@dataclass(frozen=True, slots=True)
class Cause:
    """Dead jobs that died of the same: `error` with what varies taken out, one of them as an example."""

    error: str
    jobs: int
    newest_ms: int
    example: int
    """A job's id."""


def read_queues(snapshot: Snapshot) -> list[QueueRow]:
    """Every queue that has jobs or rests, by name."""
    rows = snapshot.rows(
        f"""SELECT queue, sum(state = 'ready'), sum(state = 'delayed'), sum(state = 'running'), sum(state = 'dead'),
          min(CASE WHEN state = 'ready' THEN run_at END) * 1000, max(paused_at) * 1000
        FROM (SELECT queue, {SQL_STATE} AS state, run_at, NULL AS paused_at FROM _honker_live
          UNION ALL SELECT queue, 'dead', NULL, NULL FROM _honker_dead
          UNION ALL SELECT queue, 'paused', NULL, paused_at FROM engine_paused_queues)
        GROUP BY queue ORDER BY queue"""
    )
    return [QueueRow(*row) for row in rows]


_SQL_LIVE = f"""SELECT id, queue, {SQL_STATE} AS is_now, substr(payload, 1, 4000), priority, attempts, max_attempts,
  created_at * 1000, CASE WHEN state = 'processing' THEN claim_expires_at ELSE run_at END * 1000, worker_id,
  (SELECT error FROM engine_job_errors e WHERE e.job_id = id),
  (SELECT paused_at * 1000 FROM engine_paused_queues p WHERE p.queue = _honker_live.queue)
FROM _honker_live"""
_SQL_DEAD = """SELECT id, queue, 'dead', substr(payload, 1, 4000), priority, attempts, max_attempts, created_at * 1000,
  died_at * 1000, NULL, last_error, NULL
FROM _honker_dead"""


_LAST_ID = 2**63 - 1


def read_jobs(
    snapshot: Snapshot,
    queue: str,
    state: JobState | None = None,
    limit: int = JOBS_SHOWN,
    before: int | None = None,
) -> list[JobRow]:
    """The newest jobs of a queue, of one state or of all, the newest first; with `before` those older than that job."""
    found, end = [], _LAST_ID if before is None else before
    if state != "dead":
        found += snapshot.rows(
            f"{_SQL_LIVE} WHERE queue = ?1 AND id < ?4 AND (?2 IS NULL OR is_now = ?2) ORDER BY id DESC LIMIT ?3",
            (queue, state, limit, end),
        )
    if state in ("dead", None):
        sql = f"{_SQL_DEAD} WHERE queue = ? AND id < ? ORDER BY id DESC LIMIT ?"
        found += snapshot.rows(sql, (queue, end, limit))
    return sorted((_job(row) for row in found), key=lambda job: -job.id)[:limit]


def count_jobs(snapshot: Snapshot, queue: str, state: JobState | None = None) -> int:
    """How many jobs a queue has, of one state or in all."""
    ((live, dead),) = snapshot.rows(
        f"""SELECT (SELECT count(*) FROM _honker_live WHERE queue = ?1 AND (?2 IS NULL OR ?2 = {SQL_STATE})),
          (SELECT count(*) FROM _honker_dead WHERE queue = ?1 AND (?2 IS NULL OR ?2 = 'dead'))""",
        (queue, state),
    )
    return int(live) + int(dead)


def read_job(snapshot: Snapshot, job: int) -> tuple[JobRow, str | bytes]:
    """A job and its whole payload, as it lies in the file: bytes where a foreign program stored some.

    Raises:
        NoSuchJobError: it is neither waiting, running nor dead: it is done, or never was.
    """
    for sql, table in ((_SQL_LIVE, "_honker_live"), (_SQL_DEAD, "_honker_dead")):
        rows = snapshot.rows(f"{sql} WHERE id = ?", (job,))
        if rows:
            ((payload,),) = snapshot.rows(f"SELECT payload FROM {table} WHERE id = ?", (job,))
            return _job(rows[0]), payload
    raise NoSuchJobError(f"there is no job {job}: it is done, or never was")


def _job(row: tuple[Any, ...]) -> JobRow:
    job = JobRow(*row)
    return replace(job, payload=readable(job.payload))


def fingerprint(error: str | None) -> str:
    """An error with what varies from job to job taken out: numbers, ids, paths, quoted texts; its first line.

    What it returns is its own fingerprint.

    >>> fingerprint("E42: no file '/a/b' after 1.5 s")
    'E#: no file # after # s'
    """
    lines = (error or "")[:ERROR_READ].strip().splitlines()
    return _VARIABLE.sub("#", lines[0][:400]).strip() if lines else "(no error was given)"


def read_causes(snapshot: Snapshot, queue: str) -> list[Cause]:
    """What all dead jobs of a queue died of, the most frequent first; payloads are not read, errors not kept."""
    rows = snapshot.rows(
        "SELECT substr(last_error, 1, ?), id, died_at * 1000 FROM _honker_dead WHERE queue = ? ORDER BY id DESC",
        (ERROR_READ, queue),
    )
    return by_cause(rows)


def by_cause(dead: Iterable[tuple[str | None, int, int]]) -> list[Cause]:
    """Dead jobs (error, id, when it died) grouped by what they died of, the most frequent first.

    `newest_ms` and `example` of a cause are those of the job that died last; of several, of the first that is given.
    """
    causes: dict[str, tuple[int, int, int]] = {}
    for error, job, died_ms in dead:
        cause = fingerprint(error)
        jobs, newest_ms, example = causes.get(cause, (0, -1, job))
        causes[cause] = (jobs + 1, died_ms, job) if died_ms > newest_ms else (jobs + 1, newest_ms, example)
    found = [Cause(cause, *of_it) for cause, of_it in causes.items()]
    return sorted(found, key=lambda cause: (-cause.jobs, cause.error))
