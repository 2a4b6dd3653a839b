"""Work queues: at-least-once jobs with priority, delay, claims that run out, retries and dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from storage.engine import jobs, pauses, results, tasks
from storage.engine.cron import CronSchedule
from storage.engine.errors import UsageError
from storage.engine.payload import dumps, loads
from storage.engine.transaction import Transaction

if TYPE_CHECKING:
    from storage.engine.database import Database
    from storage.engine.readers import Snapshot

VISIBILITY_TIMEOUT_S = 300
MAX_ATTEMPTS = 3


class Job:
    """A claimed job. `payload` decodes the JSON when it is first asked for.

    Its claim is this worker's until `claim_expires_at`; after that another worker may have it, and `ack`, `retry`,
    `fail` and `heartbeat` return False and change nothing.
    """

    __slots__ = ("_decoded", "_payload", "queue", "row")

    def __init__(self, queue: Queue, row: jobs.JobRow) -> None:
        self.queue = queue
        self.row = row
        self._decoded = False
        self._payload: Any = None

    @property
    def payload(self) -> Any:
        """The decoded payload.

        Raises:
            PayloadError: a foreign program stored something that is not JSON.
        """
        if not self._decoded:
            self._payload, self._decoded = loads(self.row.payload), True
        return self._payload

    @property
    def id(self) -> int:
        """The job's id; never reused."""
        return self.row.id

    @property
    def queue_name(self) -> str:
        """The queue's name."""
        return self.row.queue

    @property
    def state(self) -> str:
        """`processing`, as far as this worker knows."""
        return self.row.state

    @property
    def priority(self) -> int:
        """Higher ones are claimed first."""
        return self.row.priority

    @property
    def run_at(self) -> int:
        """When it was due, unix seconds."""
        return self.row.run_at

    @property
    def worker_id(self) -> str | None:
        """Who holds the claim."""
        return self.row.worker_id

    @property
    def claim_expires_at(self) -> int | None:
        """The last second of the claim."""
        return self.row.claim_expires_at

    @property
    def attempts(self) -> int:
        """How often it was claimed, this time included."""
        return self.row.attempts

    @property
    def max_attempts(self) -> int:
        """After so many attempts it is dead-lettered."""
        return self.row.max_attempts

    @property
    def last_error(self) -> str | None:
        """The error of the attempt before."""
        return self.row.last_error

    @property
    def created_at(self) -> int:
        """When it was enqueued, unix seconds."""
        return self.row.created_at

    def ack(self) -> bool:
        """The work is done: remove the job."""
        with self.queue.db.transaction() as tx:
            return jobs.ack(tx, self.id, self._worker, now=self.queue.db.clock(), attempts=self.attempts)

    def retry(self, delay_s: float = 60, error: str = "") -> bool:
        """Run it again after a delay, or dead-letter it when this was its last attempt."""
        return self.queue.retry(self.id, self._worker, delay_s, error)

    def fail(self, error: str = "") -> bool:
        """Dead-letter it straight away."""
        return self.queue.fail(self.id, self._worker, error)

    def heartbeat(self, extend_s: float | None = None) -> bool:
        """Hold the claim for longer."""
        return self.queue.heartbeat(self.id, self._worker, extend_s)

    def release(self) -> None:
        """Give it back undone: others may claim it at once, and this attempt does not count."""
        with self.queue.db.transaction() as tx:
            jobs.unclaim(tx, [self.row])

    @property
    def _worker(self) -> str:
        return self.row.worker_id or ""

    def __repr__(self) -> str:
        return f"Job(id={self.id}, queue={self.queue_name!r}, attempts={self.attempts})"


class Queue:
    """A named queue. Get it with `db.queue(name)`; every method may be called from any thread.

    Methods without `async` take the writer on the calling thread; in an event loop use `claim()` and `run_workers`,
    or `await db.run(…)` with the functions of `storage.engine.jobs`.
    """

    def __init__(self, db: Database, name: str, visibility_timeout_s: float, max_attempts: int) -> None:
        self._db = db
        self.name = name
        self.visibility_timeout_s = visibility_timeout_s
        self.max_attempts = max_attempts
        self._was_empty = False  # the last claim found nothing: look before taking the writer again

    @property
    def db(self) -> Database:
        """The database that holds it."""
        return self._db

    def enqueue(
        self,
        payload: Any,
        tx: Transaction | None = None,
        run_at: float | None = None,
        delay: float | None = None,
        priority: int = 0,
        expires: float | None = None,
        max_attempts: int | None = None,
    ) -> int:
        """Add a job and return its id.

        Args:
            payload: anything that has a JSON form.
            tx: add it inside this transaction, so that it exists if and only if what else is in there does.
            run_at: not before this time (unix seconds).
            delay: not before so many seconds from now; rounded up to whole seconds, which is what the format has.
            priority: higher ones first.
            expires: seconds after which it is not worth running any more.
            max_attempts: for this job; the queue's by default.

        Raises:
            LimitError: the file holds as much as it may. House-keeping, which makes room, is queued all the same.
            FullError: the disk is full, or all but.
        """
        text = dumps(payload)
        attempts = self.max_attempts if max_attempts is None else max_attempts
        with self._inside(tx) as inside:
            inside.require_room()
            return jobs.enqueue(
                inside,
                self.name,
                text,
                now=self._db.clock(),
                run_at=run_at,
                delay=delay,
                priority=priority,
                max_attempts=attempts,
                expires=expires,
            )

    def claim_one(self, worker_id: str) -> Job | None:
        """Claim the next job, or None. Polling an empty queue takes no write lock."""
        claimed = self.claim_batch(worker_id, 1)
        return claimed[0] if claimed else None

    def claim_batch(self, worker_id: str, n: int) -> list[Job]:
        """Claim up to `n` jobs, in claim order: priority, then run_at, then id."""
        if n <= 0 or (self._was_empty and not self._due()):
            return []
        with self._db.transaction() as tx:
            rows = jobs.claim(tx, self.name, worker_id, n, self.visibility_timeout_s, now=self._db.clock())
        self._was_empty = not rows
        return [Job(self, row) for row in rows]

    def _due(self) -> bool:
        with self._db.snapshot() as snapshot:
            at = jobs.next_claim_at(snapshot, self.name)
        return 0 < at <= self._db.clock()

    def next_claim_in(self, snapshot: Snapshot) -> float:
        """When a job of this queue can be claimed next, unix seconds; 0: there is none, or it rests. Reads only."""
        return jobs.next_claim_at(snapshot, self.name)

    async def claim(self, worker_id: str, idle_poll_s: float | None = 5.0) -> AsyncIterator[Job]:
        """Yield jobs for ever, one claim at a time; waits for a wake-up, the next due time, or `idle_poll_s`.

        The event loop is never blocked. A wake-up costs a read; only when a job is due is the writer taken.
        """
        waiter = self._db.wake.add([("queue", self.name)])
        try:
            while True:
                waiter.clear()  # before the look: a commit in between wakes us again
                at = await self._db.read(lambda snapshot: jobs.next_claim_at(snapshot, self.name))
                now = self._db.clock()
                if 0 < at <= now:
                    for row in await self._claim(worker_id, 1):
                        yield Job(self, row)
                    continue
                pauses = [pause for pause in (idle_poll_s, at - now if at else None) if pause is not None]
                await waiter.wait(min(pauses) if pauses else None)
        finally:
            self._db.wake.remove(waiter)

    async def _claim(self, worker_id: str, number: int) -> list[jobs.JobRow]:
        """Claim on the writer thread; a claim that is committed while we are cancelled is given back."""
        import asyncio

        claiming = asyncio.ensure_future(
            self._db.run(
                lambda tx: jobs.claim(tx, self.name, worker_id, number, self.visibility_timeout_s, now=self._db.clock())
            )
        )
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claimed = await claiming
            if claimed:
                await self._db.run(lambda tx: jobs.unclaim(tx, claimed))
            raise

    def ack(self, job_id: int, worker_id: str, tx: Transaction | None = None) -> bool:
        """Finish a job; inside `tx` the effects of the work and its end commit together."""
        with self._inside(tx) as inside:
            return jobs.ack(inside, job_id, worker_id, now=self._db.clock())

    def ack_batch(self, ids: list[int], worker_id: str, tx: Transaction | None = None) -> int:
        """Finish several jobs in one transaction; returns how many were still this worker's."""
        if not ids:
            return 0
        with self._inside(tx) as inside:
            return jobs.ack_batch(inside, ids, worker_id, now=self._db.clock())

    def retry(self, job_id: int, worker_id: str, delay_s: float, error: str, tx: Transaction | None = None) -> bool:
        """Give a job back to run again later; keeps the error."""
        with self._inside(tx) as inside:
            return jobs.retry(inside, job_id, worker_id, delay_s, error, now=self._db.clock())

    def fail(self, job_id: int, worker_id: str, error: str, tx: Transaction | None = None) -> bool:
        """Dead-letter a job."""
        with self._inside(tx) as inside:
            return jobs.fail(inside, job_id, worker_id, error, now=self._db.clock())

    def heartbeat(self, job_id: int, worker_id: str, extend_s: float | None = None) -> bool:
        """Hold a claim for longer; the visibility time-out by default."""
        extend = self.visibility_timeout_s if extend_s is None else extend_s
        with self._db.transaction() as tx:
            return jobs.heartbeat(tx, job_id, worker_id, extend, now=self._db.clock())

    def cancel(self, job_id: int) -> bool:
        """Remove a job whoever holds it; a handler that runs is not stopped, its ack will return False."""
        with self._db.transaction() as tx:
            return jobs.cancel(tx, job_id)

    def pause(self, tx: Transaction | None = None) -> bool:
        """Hand out no job any more, to no process, until `resume`; what is claimed goes on. False: it rests already."""
        with self._inside(tx) as inside:
            return pauses.pause(inside, self.name, now=self._db.clock())

    def resume(self, tx: Transaction | None = None) -> bool:
        """Hand out jobs again; workers that wait are woken at the commit. False when it did not rest."""
        with self._inside(tx) as inside:
            return pauses.resume(inside, self.name)

    def get_job(self, job_id: int) -> dict[str, Any] | None:
        """Return a pending or processing job as a dictionary of its columns, None when there is none. Reads only."""
        with self._db.snapshot() as snapshot:
            row = jobs.get_job(snapshot, job_id)
        return None if row is None else row._asdict()

    def next_claim_at(self) -> int:
        """When the next job can be claimed, unix seconds; 0: there is none, or the queue rests. Reads only."""
        with self._db.snapshot() as snapshot:
            return jobs.next_claim_at(snapshot, self.name)

    def sweep_expired(self) -> int:
        """Dead-letter pending jobs whose time has passed; returns how many."""
        with self._db.transaction() as tx:
            return jobs.sweep_expired(tx, self.name, now=self._db.clock())

    # -- tasks ---------------------------------------------------------------------------------------------------

    def task(
        self,
        name: str | None = None,
        *,
        retries: int | None = None,
        retry_delay_s: float = 60,
        timeout_s: float | None = None,
        priority: int = 0,
        expires_s: float | None = None,
        store_result: bool = True,
        result_ttl_s: float = 3_600,
    ) -> Callable[[Callable[..., Any]], tasks.Task]:
        """Make a function a task of this queue: calling it enqueues it and returns a `TaskResult`.

        `retries` is the number of attempts (default: the queue's `max_attempts`). A function that is no coroutine runs
        on a thread; its `timeout_s` ends the wait, not the thread.
        """

        def decorate(fn: Callable[..., Any]) -> tasks.Task:
            return tasks.define(
                self,
                fn,
                name,
                retries=self.max_attempts if retries is None else retries,
                retry_delay_s=retry_delay_s,
                timeout_s=timeout_s,
                priority=priority,
                expires_s=expires_s,
                store_result=store_result,
                result_ttl_s=result_ttl_s,
            )

        return decorate

    def periodic_task(
        self,
        schedule: CronSchedule | str,
        *,
        name: str | None = None,
        scheduler_name: str | None = None,
        expires_s: float | None = None,
        priority: int = 0,
        store_result: bool = False,
        result_ttl_s: float = 3_600,
    ) -> Callable[[Callable[..., Any]], tasks.Task]:
        """Make a function a task and register the schedule that enqueues it (`Scheduler.run` must run somewhere)."""

        def decorate(fn: Callable[..., Any]) -> tasks.Task:
            return tasks.define_periodic(
                self,
                fn,
                schedule,
                name,
                scheduler_name,
                retries=self.max_attempts,
                priority=priority,
                expires_s=expires_s,
                store_result=store_result,
                result_ttl_s=result_ttl_s,
            )

        return decorate

    # -- results -------------------------------------------------------------------------------------------------

    def save_result(self, job_id: int, value: Any, ttl: float | None = None, tx: Transaction | None = None) -> None:
        """Store a job's result; inside the `tx` that acknowledges it, neither is there without the other."""
        text = dumps(value)
        with self._inside(tx) as inside:
            results.save_result(inside, job_id, text, ttl, now=self._db.clock())

    def get_result(self, job_id: int) -> tuple[bool, Any]:
        """Return `(found, value)`. Reads only."""
        with self._db.snapshot() as snapshot:
            return results.find_result(snapshot, job_id, now=self._db.clock())

    async def wait_result(self, job_id: int, timeout: float | None = None) -> Any:
        """Wait for a result.

        Raises:
            asyncio.TimeoutError: there is none after `timeout` seconds.
        """
        import asyncio

        waiter = self._db.wake.add([("result", str(job_id))])
        try:
            async with asyncio.timeout(timeout):
                while True:
                    waiter.clear()
                    found, value = await self._db.read(
                        lambda snapshot: results.find_result(snapshot, job_id, now=self._db.clock())
                    )
                    if found:
                        return value
                    await waiter.wait()
        finally:
            self._db.wake.remove(waiter)

    def sweep_results(self) -> int:
        """Delete results whose time has passed; returns how many."""
        with self._db.transaction() as tx:
            return results.sweep_results(tx, now=self._db.clock())

    def _inside(self, tx: Transaction | None) -> Any:
        return nullcontext(tx) if tx is not None else self._db.transaction()


def check_options(name: str, visibility_timeout_s: float, max_attempts: int) -> None:
    """Refuse options that make no queue."""
    if not name:
        raise UsageError("a queue needs a name")
    if visibility_timeout_s <= 0 or max_attempts < 1:
        raise UsageError("visibility_timeout_s must be positive and max_attempts at least 1")
