"""Works through the queues of a file: one task for all of them, so that an idle file costs one waiter."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from app.services.draining import finished
from app.services.waiting import woken_or_stopped
from storage.engine import Database, Job
from storage.engine.worker import run_task

Handler: TypeAlias = Callable[[Any], Any]
"""Gets a job's payload, on a worker thread. Idempotent: a job may run again after a crash."""

SAFETY_POLL_S = 15.0
RETRY_DELAY_S = 10.0
BACKOFF = 3.0

log = logging.getLogger("spoke.worker")


async def work(db: Database, handlers: Mapping[str, Handler], stop: asyncio.Event) -> None:
    """Claim and run jobs of the queues until `stop`; a job that runs is finished first.

    When the process ends before it does (`app.services.draining`), it is given back, and the attempt does not count.

    A handler that raises leaves its job to be tried again after 10 s, 30 s, 90 s …, and in the dead letters after its
    last attempt, with the error.
    """
    worker_id = f"worker-{uuid.uuid4().hex[:8]}"
    queues = {name: db.queue(name) for name in handlers}
    waiter = db.wake.add([("queue", name) for name in handlers])
    stopped = asyncio.ensure_future(stop.wait())
    try:
        while not stop.is_set():
            waiter.clear()  # before the look: a commit in between wakes us again
            due: list[float] = []
            worked = False
            for name, queue in queues.items():
                at = await db.read(queue.next_claim_in)
                if not at:
                    continue
                if at > db.clock():
                    due.append(at - db.clock())
                    continue
                job = await asyncio.to_thread(queue.claim_one, worker_id)
                if job is not None:
                    worked = True
                    if not await _run(job, handlers[name], stopped):
                        return
                if stop.is_set():
                    return
            if not worked:
                await woken_or_stopped(waiter, stopped, min([SAFETY_POLL_S, *due]))
    finally:
        stopped.cancel()
        db.wake.remove(waiter)


async def _run(job: Job, handler: Handler, stopped: asyncio.Future[Any]) -> bool:
    """Run a job to its end; False when the process ended before it did, and it was given back."""
    about = {"ids": {"queue": job.queue.name, "job": job.id}}
    log.info("queue %s job %d attempt %d", job.queue.name, job.id, job.attempts, extra=about)

    def told(payload: Any) -> Any:
        try:
            return handler(payload)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            log.warning("queue %s job %d failed: %s", job.queue.name, job.id, reason, extra=about)
            raise

    running = asyncio.ensure_future(run_task(job, told, retry_delay=RETRY_DELAY_S, backoff=BACKOFF))
    waited: set[asyncio.Future[Any]] = {running, stopped}
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    if await finished({running}):
        running.result()
        return True
    await asyncio.to_thread(job.release)
    log.warning("queue %s job %d still runs: it is given back", job.queue.name, job.id, extra=about)
    return False
