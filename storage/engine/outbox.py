"""The outbox: side effects that happen if and only if the transaction that asked for them committed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from storage.engine.queue import Job, Queue
from storage.engine.transaction import Transaction

if TYPE_CHECKING:
    from storage.engine.database import Database


class Outbox:
    """A queue whose jobs are delivered by a function, with exponential back-off between attempts.

    Delivery is at least once: a crash between the delivery and its ack delivers again. `delivery(payload)` may be a
    function (run on a thread) or a coroutine function.
    """

    def __init__(
        self,
        db: Database,
        name: str,
        delivery: Callable[[Any], Any],
        max_attempts: int,
        base_backoff_s: float,
        visibility_timeout_s: float,
    ) -> None:
        if not callable(delivery):
            raise TypeError("delivery must be callable")
        self.name = name
        self.delivery = delivery
        self.max_attempts = max_attempts
        self.base_backoff_s = base_backoff_s
        self.visibility_timeout_s = visibility_timeout_s
        self.queue: Queue = db.queue(
            f"_outbox:{name}", visibility_timeout_s=visibility_timeout_s, max_attempts=max_attempts
        )

    def enqueue(self, payload: Any, tx: Transaction | None = None, **options: Any) -> None:
        """Ask for a delivery; inside `tx` it happens if and only if that commits."""
        self.queue.enqueue(payload, tx=tx, **options)

    async def run_worker(self, worker_id: str) -> None:
        """Deliver for ever."""
        async for job in self.queue.claim(worker_id):
            await self._deliver(job)

    async def _deliver(self, job: Job) -> None:
        import asyncio

        try:
            if inspect.iscoroutinefunction(self.delivery):
                await self.delivery(job.payload)
            else:
                await asyncio.to_thread(self.delivery, job.payload)
        except Exception as error:  # noqa: BLE001 - kept with the job and tried again
            delay = self.base_backoff_s * 2.0 ** (job.attempts - 1)
            await asyncio.to_thread(job.retry, delay, f"{type(error).__name__}: {error}")
        else:
            await asyncio.to_thread(job.ack)
