"""Jobs in SQL: every rule of the queue, as functions over a transaction (`reference/honker.md` b).

A job is pending, then processing while a worker holds a claim on it, then gone (acknowledged) or in `_honker_dead`.
A claim is `(worker_id, claim_expires_at)`; it is valid up to and including that second, and the job can be claimed by
others after it. `now` is always an argument, taken by the caller *after* the transaction began: a time from before
waiting for the writer would let a late worker acknowledge a claim that another one already has.

The cost of a claim does not depend on how many jobs wait, are delayed or are in flight (defects 1 and 2 of Honker):
exhausted jobs are dead-lettered when they are met, not looked for, and pending jobs are found through the index of
pending jobs. Only with *mixed* priorities in flight jobs of the same priority are walked over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from storage.engine.connection import Value
from storage.engine.readers import Snapshot
from storage.engine.transaction import Transaction

COLUMNS = (
    "id, queue, payload, state, priority, run_at, worker_id, claim_expires_at, attempts, max_attempts, created_at,"
    " expires_at"
)

SQL_ENQUEUE = """INSERT INTO _honker_live (queue, payload, run_at, priority, max_attempts, expires_at, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id"""

SQL_SURVEY = """-- highest and lowest priority of the queue, the earliest end of a claim, whether it rests: four seeks
SELECT
  (SELECT priority FROM _honker_live INDEXED BY _honker_live_claim
    WHERE queue = ?1 AND state IN ('pending', 'processing') ORDER BY priority DESC LIMIT 1),
  (SELECT priority FROM _honker_live INDEXED BY _honker_live_claim
    WHERE queue = ?1 AND state IN ('pending', 'processing') ORDER BY priority LIMIT 1),
  (SELECT claim_expires_at FROM _honker_live INDEXED BY _honker_live_processing_deadline
    WHERE queue = ?1 AND state = 'processing' ORDER BY claim_expires_at LIMIT 1),
  EXISTS (SELECT 1 FROM engine_paused_queues WHERE queue = ?1)"""

SQL_DUE = """-- the pending jobs that are due, oldest first; a literal LIMIT is 1.7x faster than a bound one
SELECT id, attempts, max_attempts, expires_at, priority, run_at FROM _honker_live
INDEXED BY _honker_live_pending_deadline
WHERE queue = ?1 AND state = 'pending' AND run_at <= ?2 ORDER BY run_at, id LIMIT {limit}"""

SQL_DUE_AT = """-- the same for one priority, by the index in claim order
SELECT id, attempts, max_attempts, expires_at, priority, run_at FROM _honker_live INDEXED BY _honker_live_claim
WHERE queue = ?1 AND priority = ?3 AND state IN ('pending', 'processing') AND run_at <= ?2 AND +state = 'pending'
ORDER BY run_at, id LIMIT {limit}"""

SQL_NEXT_PRIORITY = """SELECT priority FROM _honker_live INDEXED BY _honker_live_claim
WHERE queue = ?1 AND state IN ('pending', 'processing') AND priority < ?2 ORDER BY priority DESC LIMIT 1"""

SQL_ABANDONED = """-- claims that have run out, by the index of their ends; sorts only those, and there are few
SELECT id, attempts, max_attempts, expires_at, priority, run_at FROM _honker_live
INDEXED BY _honker_live_processing_deadline
WHERE queue = ?1 AND state = 'processing' AND claim_expires_at < ?2
ORDER BY priority DESC, run_at, id LIMIT {limit}"""

SQL_DEAD = """INSERT OR REPLACE INTO _honker_dead
  (id, queue, payload, priority, run_at, attempts, max_attempts, last_error, created_at, died_at)
SELECT id, queue, payload, priority, run_at, attempts, max_attempts, ?2, created_at, ?3 FROM _honker_live
WHERE id = ?1"""

OWNED = "id = ? AND worker_id = ? AND claim_expires_at >= ?"
SQL_ACK = f"DELETE FROM _honker_live WHERE {OWNED}"


class JobRow(NamedTuple):
    """A row of `_honker_live`; times in unix seconds. `last_error` is that of the attempt before."""

    id: int
    queue: str
    payload: str
    state: str
    priority: int
    run_at: int
    worker_id: str | None
    claim_expires_at: int | None
    attempts: int
    max_attempts: int
    created_at: int
    expires_at: int | None
    last_error: str | None = None


class DeadRow(NamedTuple):
    """What a dead job has beside queue, payload and priority; times in unix seconds."""

    id: int
    run_at: int
    attempts: int
    max_attempts: int
    last_error: str | None
    created_at: int
    died_at: int


class _Candidate(NamedTuple):
    id: int
    attempts: int
    max_attempts: int
    expires_at: int | None
    priority: int
    run_at: int

    @property
    def rank(self) -> tuple[int, int, int]:
        """Claim order: priority, then how long it has been due, then age."""
        return (-self.priority, self.run_at, self.id)


def enqueue(
    tx: Transaction,
    queue: str,
    payload: str,
    *,
    now: float,
    run_at: float | None = None,
    delay: float | None = None,
    priority: int = 0,
    max_attempts: int = 3,
    expires: float | None = None,
) -> int:
    """Add a job and return its id; it wakes the queue's workers at the commit.

    The format has whole seconds: a delay of 0.9 s is rounded *up*, a job never runs early (Honker drops the fraction).
    """
    due = now + delay if delay is not None else run_at if run_at is not None else None
    at = int(now) if due is None or (delay is not None and delay <= 0) else math.ceil(due)
    until = None if expires is None else math.ceil(now + expires)
    rows = tx.rows(SQL_ENQUEUE, (queue, payload, at, priority, max_attempts, until, int(now)))
    tx.touch("queue", queue)
    return int(rows[0][0])


def claim(tx: Transaction, queue: str, worker: str, number: int, timeout_s: float, *, now: float) -> list[JobRow]:
    """Claim up to `number` jobs for `timeout_s` seconds, in claim order.

    Jobs without attempts left, and those whose time has passed, are dead-lettered when they are met. A queue that is
    paused (`storage.engine.pauses`) hands out none and buries none.
    """
    claimed: list[JobRow] = []
    while (wanted := number - len(claimed)) > 0:
        found = _candidates(tx, queue, wanted, now)
        good: list[int] = []
        for candidate in found:
            if candidate.expires_at is not None and candidate.expires_at <= now:
                bury(tx, candidate.id, "expired", now=now)
            elif candidate.attempts >= candidate.max_attempts:
                bury(tx, candidate.id, "max attempts exceeded", now=now)
            else:
                good.append(candidate.id)
        claimed += _take(tx, good, worker, int(now + timeout_s), int(now))
        if len(good) == len(found):  # nobody was buried: either enough were found, or there are no more
            break
    return claimed


def _candidates(tx: Transaction, queue: str, number: int, now: float) -> list[_Candidate]:
    highest, lowest, first_end, paused = tx.rows(SQL_SURVEY, (queue,))[0]
    if highest is None or paused:
        return []
    if highest == lowest:
        found = [_Candidate(*row) for row in tx.rows(_limited(SQL_DUE, number), (queue, now))]
    else:
        found = _by_priority(tx, queue, number, now, highest)
    if first_end is not None and first_end < int(now):
        found += [_Candidate(*row) for row in tx.rows(_limited(SQL_ABANDONED, number), (queue, int(now)))]
        found.sort(key=lambda candidate: candidate.rank)
    return found[:number]


def _by_priority(tx: Transaction, queue: str, number: int, now: float, priority: int | None) -> list[_Candidate]:
    found: list[_Candidate] = []
    while priority is not None and len(found) < number:
        sql = _limited(SQL_DUE_AT, number - len(found))
        found += [_Candidate(*row) for row in tx.rows(sql, (queue, now, priority))]
        below = tx.rows(SQL_NEXT_PRIORITY, (queue, priority))
        priority = below[0][0] if below else None
    return found


def _take(tx: Transaction, jobs: list[int], worker: str, until: int, now: int) -> list[JobRow]:
    """Put a claim on jobs; they come back in the order given."""
    if not jobs:
        return []
    one = len(jobs) == 1
    params: tuple[Value, ...] = (worker, until, jobs[0] if one else _json(jobs))
    if tx.has_claimed_at:
        params = (*params, now)
    rows = tx.rows(_sql_take(one, tx.has_claimed_at), params)
    if len(rows) == 1:
        found = [JobRow(*rows[0])]
    else:
        by_id = {row[0]: JobRow(*row) for row in rows}
        found = [by_id[job] for job in jobs]
    return [row if row.attempts == 1 else row._replace(last_error=last_error(tx, row.id)) for row in found]


@cache
def _sql_take(one: bool, claimed_at: bool) -> str:
    which = "= ?3" if one else "IN (SELECT value FROM json_each(?3))"
    return (
        "UPDATE _honker_live SET state = 'processing', worker_id = ?1, claim_expires_at = ?2, attempts = attempts + 1"
        f"{', claimed_at = ?4' if claimed_at else ''} WHERE id {which} RETURNING {COLUMNS}"
    )


@lru_cache(128)
def _limited(sql: str, limit: int) -> str:
    """The statement with its literal LIMIT; the same string each time, so that it is hashed once."""
    return sql.format(limit=limit)


def _json(jobs: list[int]) -> str:
    return f"[{','.join(map(str, jobs))}]"


def bury(tx: Transaction, job: int, error: str | None, *, now: float) -> None:
    """Move a job to `_honker_dead`: the copy first, then the removal, in the caller's transaction.

    Honker removes first and can lose a job whose copy fails (issue 133); here a failure leaves it where it was.
    """
    tx.execute(SQL_DEAD, (job, error, int(now)))
    _remove(tx, job)


def _remove(tx: Transaction, job: int) -> None:
    tx.execute("DELETE FROM _honker_live WHERE id = ?", (job,))
    tx.execute("DELETE FROM engine_job_errors WHERE job_id = ?", (job,))


def unclaim(tx: Transaction, claimed: list[JobRow]) -> None:
    """Undo claims (the claimer was cancelled, or must end): pending again, and the attempt does not count."""
    cleared = ", claimed_at = NULL" if tx.has_claimed_at else ""
    for row in claimed:
        tx.execute(
            "UPDATE _honker_live SET state = 'pending', attempts = attempts - 1, worker_id = NULL,"
            f" claim_expires_at = NULL{cleared} WHERE id = ? AND worker_id = ? AND state = 'processing'",
            (row.id, row.worker_id),
        )
        tx.touch("queue", row.queue)


def ack(tx: Transaction, job: int, worker: str, *, now: float, attempts: int | None = None) -> bool:
    """Finish a job; False when the claim is not this worker's any more (it ran out, or another one has it).

    A caller that knows that this was the first of the `attempts` saves looking for an error to forget.
    """
    tx.execute(SQL_ACK, (job, worker, int(now)))
    if not tx.changes:
        return False
    if attempts != 1:
        tx.execute("DELETE FROM engine_job_errors WHERE job_id = ?", (job,))
    return True


def ack_batch(tx: Transaction, jobs: list[int], worker: str, *, now: float) -> int:
    """Finish several jobs; returns how many still belonged to this worker."""
    tx.execute(
        "DELETE FROM _honker_live WHERE id IN (SELECT value FROM json_each(?))"
        " AND worker_id = ? AND claim_expires_at >= ?",
        (_json(jobs), worker, int(now)),
    )
    finished = tx.changes
    tx.execute(
        "DELETE FROM engine_job_errors WHERE job_id IN (SELECT value FROM json_each(?1))"
        " AND job_id NOT IN (SELECT id FROM _honker_live WHERE id IN (SELECT value FROM json_each(?1)))",
        (_json(jobs),),
    )
    return finished


def retry(tx: Transaction, job: int, worker: str, delay_s: float, error: str, *, now: float) -> bool:
    """Give a job back to run again after `delay_s`; dead-letters it when that was its last attempt.

    The error is kept (defect 10 of Honker) and is the next claim's `last_error`.
    """
    rows = tx.rows(
        f"SELECT queue, attempts, max_attempts FROM _honker_live WHERE {OWNED} AND state = 'processing'",
        (job, worker, int(now)),
    )
    if not rows:
        return False
    queue, attempts, max_attempts = rows[0]
    if attempts >= max_attempts:
        bury(tx, job, error, now=now)
        return True
    cleared = ", claimed_at = NULL" if tx.has_claimed_at else ""
    tx.execute(
        "UPDATE _honker_live SET state = 'pending', run_at = ?, worker_id = NULL, claim_expires_at = NULL"
        f"{cleared} WHERE id = ?",
        (math.ceil(now + delay_s) if delay_s > 0 else int(now), job),
    )
    tx.execute(
        "INSERT INTO engine_job_errors (job_id, error) VALUES (?, ?)"
        " ON CONFLICT (job_id) DO UPDATE SET error = excluded.error",
        (job, error),
    )
    tx.touch("queue", queue)
    return True


def fail(tx: Transaction, job: int, worker: str, error: str, *, now: float) -> bool:
    """Dead-letter a job of this worker's straight away; False when the claim is not this worker's any more."""
    if not tx.rows(f"SELECT 1 FROM _honker_live WHERE {OWNED}", (job, worker, int(now))):
        return False
    bury(tx, job, error, now=now)
    return True


def heartbeat(tx: Transaction, job: int, worker: str, extend_s: float, *, now: float) -> bool:
    """Hold a claim for another `extend_s` seconds from now; False when it is not this worker's any more."""
    tx.execute(
        f"UPDATE _honker_live SET claim_expires_at = ? WHERE {OWNED} AND state = 'processing'",
        (int(now + extend_s), job, worker, int(now)),
    )
    return tx.changes > 0


def cancel(tx: Transaction, job: int) -> bool:
    """Remove a job, whoever holds it; its handler is not stopped, but its ack will find nothing."""
    tx.execute("DELETE FROM _honker_live WHERE id = ?", (job,))
    removed = tx.changes > 0
    tx.execute("DELETE FROM engine_job_errors WHERE job_id = ?", (job,))
    return removed


def retry_dead(tx: Transaction, queue: str, jobs: Sequence[int] | None = None, *, now: float) -> int:
    """Queue dead jobs of a queue anew, as new jobs that are due now: those given, or all. Returns how many.

    Two statements however many: the writer is not held for a statement a job.
    """
    given = None if jobs is None else json.dumps(jobs)
    wanted = "queue = ?1 AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2)))"
    tx.execute(
        "INSERT INTO _honker_live (queue, payload, run_at, priority, max_attempts, created_at)"
        f" SELECT queue, payload, ?3, priority, max(1, max_attempts), ?3 FROM _honker_dead WHERE {wanted} ORDER BY id",
        (queue, given, int(now)),
    )
    tx.execute(f"DELETE FROM _honker_dead WHERE {wanted}", (queue, given))
    tx.touch("queue", queue)
    return tx.changes


def retry_one(tx: Transaction, job: int, delay_s: float = 0, *, now: float) -> tuple[int, DeadRow] | None:
    """Queue a dead job anew, as a new job that is due after `delay_s`: its id, and what is known of the dead one.

    None when there is no such dead job. With what is returned `unretry` takes it back.
    """
    rows = tx.rows(
        f"SELECT queue, payload, priority, {', '.join(DeadRow._fields)} FROM _honker_dead WHERE id = ?", (job,)
    )
    if not rows:
        return None
    (queue, payload, priority), dead = rows[0][:3], DeadRow(*rows[0][3:])
    tx.execute("DELETE FROM _honker_dead WHERE id = ?", (job,))
    attempts = max(1, dead.max_attempts)
    return enqueue(tx, queue, payload, now=now, delay=delay_s, priority=priority, max_attempts=attempts), dead


def unretry(tx: Transaction, job: int, dead: DeadRow) -> bool:
    """Make a job that `retry_one` queued dead again, as it was; False when a worker has had it: nothing changes."""
    tx.execute(
        f"INSERT INTO _honker_dead (queue, payload, priority, {', '.join(DeadRow._fields)})"
        " SELECT queue, payload, priority, ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM _honker_live"
        " WHERE id = ?1 AND state = 'pending' AND attempts = 0",
        (job, *dead),
    )
    if not tx.changes:
        return False
    _remove(tx, job)
    return True


def get_job(source: Snapshot | Transaction, job: int) -> JobRow | None:
    """Return a job that is pending or processing."""
    rows = source.rows(f"SELECT {COLUMNS} FROM _honker_live WHERE id = ?", (job,))
    return JobRow(*rows[0])._replace(last_error=last_error(source, job)) if rows else None


def last_error(source: Snapshot | Transaction, job: int) -> str | None:
    """Return the error of a job's last failed attempt."""
    rows = source.rows("SELECT error FROM engine_job_errors WHERE job_id = ?", (job,))
    return str(rows[0][0]) if rows else None


def next_claim_at(source: Snapshot | Transaction, queue: str) -> int:
    """When the next job can be claimed, unix seconds, 0 when there is none, or when the queue is paused.

    A time that has passed means now (Honker answers 0 then, and its waker sleeps through it: issue 122).
    """
    rows = source.rows(
        "SELECT (SELECT run_at FROM _honker_live INDEXED BY _honker_live_pending_deadline"
        "  WHERE queue = ?1 AND state = 'pending' ORDER BY run_at LIMIT 1),"
        " (SELECT claim_expires_at + 1 FROM _honker_live INDEXED BY _honker_live_processing_deadline"
        "  WHERE queue = ?1 AND state = 'processing' ORDER BY claim_expires_at LIMIT 1)"
        " WHERE NOT EXISTS (SELECT 1 FROM engine_paused_queues WHERE queue = ?1)",
        (queue,),
    )
    return min((int(at) for row in rows for at in row if at is not None), default=0)


def sweep_expired(tx: Transaction, queue: str, *, now: float) -> int:
    """Dead-letter the pending jobs whose time has passed; returns how many."""
    rows = tx.rows(
        "SELECT id FROM _honker_live WHERE queue = ? AND state = 'pending' AND expires_at <= ?", (queue, int(now))
    )
    for (job,) in rows:
        bury(tx, job, "expired", now=now)
    return len(rows)
