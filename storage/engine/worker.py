"""Workers: they claim jobs, run their tasks, and store result and end in one transaction."""

from __future__ import annotations

import inspect
import os
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from storage.engine import jobs, results
from storage.engine.payload import dumps
from storage.engine.queue import Job, Queue
from storage.engine.tasks import ENVELOPE, Retryable, UnknownTaskError, call, find_task, registry
from storage.engine.transaction import Transaction

if TYPE_CHECKING:
    import asyncio

    from storage.engine.database import Database


def _compute_delay(attempts: int, retry_delay: float, backoff: float) -> float:
    """Seconds before the next attempt: `retry_delay * backoff^(attempts - 1)`."""
    return float(retry_delay * backoff ** max(0, attempts - 1))


async def run_task(
    job: Job,
    handler: Callable[[Any], Any],
    *,
    timeout: float | None = None,
    retries: int | None = None,
    retry_delay: float = 60.0,
    backoff: float = 1.0,
    save_result: bool = False,
    result_ttl: float = 3_600.0,
) -> None:
    """Run one job through `handler(payload)` and end it.

    * it returns: result (if wanted) and ack in **one** transaction, so no crash leaves one without the other;
    * it raises `Retryable`, anything else, or takes longer than `timeout`: retried after
      `retry_delay * backoff^(attempts - 1)` seconds (`Retryable` names its own), dead-lettered after `retries`;
    * the claim ran out meanwhile: nothing is written, the job is another worker's.
    """
    import asyncio

    try:
        async with asyncio.timeout(timeout):
            value = await _handle(handler, job.payload)
    except TimeoutError:
        await _again(job, f"timeout after {timeout:g}s", _compute_delay(job.attempts, retry_delay, backoff), retries)
    except Retryable as error:
        await _again(job, str(error), error.delay_s, retries)
    except Exception as error:  # noqa: BLE001 - kept with the job
        text = f"{type(error).__name__}: {error}"
        await _again(job, text, _compute_delay(job.attempts, retry_delay, backoff), retries)
    else:
        await _finish(job, value, save_result=save_result, result_ttl=result_ttl)


async def _handle(handler: Callable[[Any], Any], payload: Any) -> Any:
    import asyncio

    if inspect.iscoroutinefunction(handler):
        return await handler(payload)
    return await asyncio.to_thread(handler, payload)


async def _finish(job: Job, value: Any, *, save_result: bool, result_ttl: float) -> None:
    db = job.queue.db
    text = dumps(value) if save_result else None

    def work(tx: Transaction) -> None:
        now = db.clock()
        if jobs.ack(tx, job.id, job.worker_id or "", now=now) and text is not None:
            results.save_result(tx, job.id, text, result_ttl, now=now)

    await db.run(work)


async def _again(job: Job, error: str, delay_s: float, retries: int | None) -> None:
    db = job.queue.db
    last = retries is not None and job.attempts >= retries

    def work(tx: Transaction) -> None:
        now = db.clock()
        if last:
            jobs.fail(tx, job.id, job.worker_id or "", error, now=now)
        else:
            jobs.retry(tx, job.id, job.worker_id or "", delay_s, error, now=now)

    await db.run(work)


async def run_job(job: Job) -> None:
    """Run a job of a decorated task; one that is none, or whose task is unknown here, is dead-lettered."""
    envelope = job.payload.get(ENVELOPE) if isinstance(job.payload, dict) else None
    if not isinstance(envelope, dict):
        await job.queue.db.run(lambda tx: _bury(tx, job, "not a task: the payload is raw"))
        return
    try:
        spec = find_task(str(envelope.get("task")))
    except UnknownTaskError as error:
        text = str(error)
        await job.queue.db.run(lambda tx: _bury(tx, job, text))
        return
    args, kwargs = list(envelope.get("args", [])), dict(envelope.get("kwargs", {}))

    async def handler(_: Any) -> Any:
        return await call(spec, args, kwargs)

    await run_task(
        job,
        handler,
        timeout=spec.timeout_s,
        retries=spec.retries,
        retry_delay=spec.retry_delay_s,
        save_result=spec.store_result,
        result_ttl=spec.result_ttl_s,
    )


def _bury(tx: Transaction, job: Job, error: str) -> None:
    jobs.fail(tx, job.id, job.worker_id or "", error, now=job.queue.db.clock())


async def run_workers(
    db: Database,
    queue: str | list[str] | None = None,
    concurrency: int | None = None,
    stop_event: asyncio.Event | None = None,
) -> None:
    """Run the tasks of a queue (default: of every queue that has tasks) until `stop_event`.

    On stop no new job is claimed; those that run are finished first. A worker that is killed leaves its jobs claimed
    until their visibility time-out; then another one has them.
    """
    import asyncio

    names = [queue] if isinstance(queue, str) else queue or sorted({spec.queue for spec in registry().values()})
    stop = stop_event or asyncio.Event()
    workers = concurrency or os.cpu_count() or 1
    async with asyncio.TaskGroup() as group:
        for name in names:
            for _ in range(workers):
                group.create_task(_work(db.queue(name), f"worker-{uuid.uuid4().hex[:8]}", stop))


async def _work(queue: Queue, worker_id: str, stop: asyncio.Event) -> None:
    import asyncio

    stopping = asyncio.ensure_future(stop.wait())
    claims = queue.claim(worker_id)
    try:
        while not stop.is_set():
            claiming = asyncio.ensure_future(anext(claims))
            await asyncio.wait({claiming, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not claiming.done():
                claiming.cancel()
                await asyncio.gather(claiming, return_exceptions=True)
                return
            await run_job(claiming.result())
    finally:
        stopping.cancel()
        await claims.aclose()  # type: ignore[attr-defined]
