"""`queue.*`: jobs that wait, run, or failed for good."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from pydantic import Field

from app.operations.declare import Group, Json, NothingInput, check_name
from app.views.queues import fingerprint, read_causes
from storage.engine import jobs, pauses
from storage.engine.errors import PayloadError
from storage.engine.payload import loads
from storage.graphs.errors import NotFoundError
from storage.operations.spec import Model, OperationContext
from sync.calls.registry import Registry


class QueueOutput(Model):
    """How a queue stands."""

    queue: str
    pending: int
    processing: int
    dead: int
    paused: bool


class QueuesOutput(Model):
    """All queues."""

    queues: list[QueueOutput]


class EnqueueInput(Model):
    """A job to do."""

    queue: str
    payload: Json
    delay_s: float = Field(default=0, ge=0)
    priority: int = 0
    max_attempts: int = Field(default=3, ge=1, le=100)


class JobInput(Model):
    """Which job."""

    id: int


class RetryInput(JobInput):
    """Which dead job, and after how many seconds it is due."""

    delay_s: float = Field(default=0, ge=0)


class WasOutput(Model):
    """A dead job before it was queued anew. Times are unix seconds."""

    id: int
    run_at: int
    attempts: int
    max_attempts: int
    last_error: str | None
    created_at: int
    died_at: int


class RetriedOutput(Model):
    """The new job's id, and what the dead one was: `queue.unretry` takes it."""

    id: int
    was: WasOutput


class NoSuchJobError(NotFoundError):
    """There is no dead job of that number."""

    hint = "`spoke queue dead QUEUE` shows those that there are"


class UnretryInput(Model):
    """What `queue.retry` returned, of one or of several."""

    jobs: list[RetriedOutput] = Field(min_length=1)


class UnretryOutput(Model):
    """Ids of the jobs that are dead again, and of the new ones that a worker has had meanwhile."""

    dead: list[int]
    left: list[int]


class JobOutput(Model):
    """A job's id."""

    id: int


class DoneOutput(Model):
    """Whether something changed."""

    done: bool


class JobsInput(Model):
    """Which jobs."""

    queue: str
    state: Literal["live", "dead"] = "live"
    limit: int = Field(default=100, ge=1, le=1_000)
    before: int | None = None
    """Only jobs older than that one."""


class JobRowOutput(Model):
    """A job. Times are unix seconds."""

    id: int
    state: str
    payload: Any
    priority: int
    attempts: int
    max_attempts: int
    run_at: int
    error: str | None


class RetryAllInput(Model):
    """Which dead jobs: all of a queue, or those that died of one cause."""

    queue: str
    cause: str | None = None
    """An error, or what `queue.dead` gives: the error without what varies."""


class CauseOutput(Model):
    """Dead jobs that died of the same."""

    error: str
    jobs: int
    newest_ms: int
    example: int


class QueueInput(Model):
    """Which queue."""

    queue: str


class CausesOutput(Model):
    """Why the dead jobs of a queue died, the most frequent cause first."""

    causes: list[CauseOutput]


class CountOutput(Model):
    """How many jobs changed."""

    jobs: int


class PurgeInput(Model):
    """Which jobs to delete for good."""

    queue: str
    state: Literal["dead", "all"] = "dead"


class JobsOutput(Model):
    """Jobs, the newest first."""

    jobs: list[JobRowOutput]


def register(registry: Registry) -> None:
    """Add the operations of this module."""
    group = Group(registry, "queue")

    @group.query("list", "The queues of this node, and how many jobs wait, run, or failed for good.")
    def queues(_: NothingInput, context: OperationContext) -> QueuesOutput:
        with context.database.snapshot() as snapshot:
            rows = snapshot.rows(
                "SELECT queue, sum(state = 'pending'), sum(state = 'processing'), sum(state = 'dead'),"
                " max(state = 'paused') FROM (SELECT queue, state FROM _honker_live"
                " UNION ALL SELECT queue, 'dead' FROM _honker_dead"
                " UNION ALL SELECT queue, 'paused' FROM engine_paused_queues) GROUP BY queue ORDER BY queue"
            )
        return QueuesOutput(
            queues=[
                QueueOutput(queue=row[0], pending=row[1], processing=row[2], dead=row[3], paused=row[4]) for row in rows
            ]
        )

    @group.query("jobs", "The jobs of a queue.")
    def list_jobs(given: JobsInput, context: OperationContext) -> JobsOutput:
        table, state, error = (
            ("_honker_dead", "'dead'", "last_error") if given.state == "dead" else ("_honker_live", "state", "NULL")
        )
        with context.database.snapshot() as snapshot:
            rows = snapshot.query(
                f"SELECT id, {state} AS state, payload, priority, attempts, max_attempts, run_at, {error} AS error"
                f" FROM {table} WHERE queue = ?1 AND (?3 IS NULL OR id < ?3) ORDER BY id DESC LIMIT ?2",
                (given.queue, given.limit, given.before),
            )
            errors = {
                row["id"]: jobs.last_error(snapshot, row["id"]) if given.state == "live" else row["error"]
                for row in rows
            }
        return JobsOutput(
            jobs=[
                JobRowOutput(**{**row, "payload": _payload(row["payload"]), "error": errors[row["id"]]}) for row in rows
            ]
        )

    @group.mutation("enqueue", "Queue a job.")
    def enqueue(given: EnqueueInput, context: OperationContext) -> JobOutput:
        job = context.database.queue(check_name(given.queue)).enqueue(
            given.payload,
            tx=context.transaction,
            delay=given.delay_s or None,
            priority=given.priority,
            max_attempts=given.max_attempts,
        )
        return JobOutput(id=job)

    @group.mutation("cancel", "Remove a job that waits or runs.")
    def cancel(given: JobInput, context: OperationContext) -> DoneOutput:
        return DoneOutput(done=jobs.cancel(context.transaction, given.id))

    @group.mutation("pause", "Hand out no job of a queue until it is resumed; what runs goes on.")
    def pause(given: QueueInput, context: OperationContext) -> DoneOutput:
        return DoneOutput(done=pauses.pause(context.transaction, given.queue, now=context.database.clock()))

    @group.mutation("resume", "Let a queue go on that was paused.")
    def resume(given: QueueInput, context: OperationContext) -> DoneOutput:
        return DoneOutput(done=pauses.resume(context.transaction, given.queue))

    @group.mutation("retry", "Queue a dead job anew.")
    def retry(given: RetryInput, context: OperationContext) -> RetriedOutput:
        found = jobs.retry_one(context.transaction, given.id, given.delay_s, now=context.database.clock())
        if found is None:
            raise NoSuchJobError(f"no dead job {given.id}")
        return RetriedOutput(id=found[0], was=WasOutput(**found[1]._asdict()))

    @group.mutation("unretry", "Take retries back: the jobs are dead again, as they were. What a worker has had stays.")
    def unretry(given: UnretryInput, context: OperationContext) -> UnretryOutput:
        dead, left = [], []
        for one in given.jobs:
            if jobs.unretry(context.transaction, one.id, jobs.DeadRow(**one.was.model_dump())):
                dead.append(one.was.id)
            else:
                left.append(one.id)
        return UnretryOutput(dead=dead, left=left)

    @group.query("dead", "Why the dead jobs of a queue died, grouped by cause.")
    def dead(given: QueueInput, context: OperationContext) -> CausesOutput:
        with context.database.snapshot() as snapshot:
            causes = read_causes(snapshot, given.queue)
        return CausesOutput(causes=[CauseOutput(**asdict(cause)) for cause in causes])

    @group.mutation("retry_all", "Queue all dead jobs of a queue anew, or those that died of one cause.")
    def retry_all(given: RetryAllInput, context: OperationContext) -> CountOutput:
        tx, chosen = context.transaction, None
        if given.cause is not None:
            cause = fingerprint(given.cause)
            rows = tx.rows("SELECT id, last_error FROM _honker_dead WHERE queue = ?", (given.queue,))
            chosen = [job for job, error in rows if fingerprint(error) == cause]
        return CountOutput(jobs=jobs.retry_dead(tx, given.queue, chosen, now=context.database.clock()))

    @group.mutation("purge", "Delete the dead jobs of a queue for good, or all of its jobs.")
    def purge(given: PurgeInput, context: OperationContext) -> CountOutput:
        tx = context.transaction
        tx.execute("DELETE FROM _honker_dead WHERE queue = ?", (given.queue,))
        removed = tx.changes
        if given.state == "all":
            tx.execute(
                "DELETE FROM engine_job_errors WHERE job_id IN (SELECT id FROM _honker_live WHERE queue = ?)",
                (given.queue,),
            )
            tx.execute("DELETE FROM _honker_live WHERE queue = ?", (given.queue,))
            removed += tx.changes
        return CountOutput(jobs=removed)


def _payload(text: str) -> Any:
    try:
        return loads(text)
    except PayloadError:
        return text  # a foreign program wrote it; shown as it is
