"""The queue worker's graceful end: what runs is finished, nothing more is claimed, nothing stays claimed."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from app.services.worker import work
from storage.engine import Database


async def test_a_stop_finishes_the_job_that_runs_and_claims_no_other(tenant: Database) -> None:
    done: list[Any] = []
    started, go_on, stop = threading.Event(), threading.Event(), asyncio.Event()

    def handle(payload: Any) -> None:
        started.set()
        assert go_on.wait(60)
        done.append(payload)

    for number in range(3):
        tenant.queue("mine").enqueue(number)
    working = asyncio.create_task(work(tenant, {"mine": handle}, stop))
    assert await asyncio.to_thread(started.wait, 60)
    stop.set()
    go_on.set()
    await asyncio.wait_for(working, 60)
    assert done == [0]
    states = tenant.query("SELECT state, count(*) AS n FROM _honker_live GROUP BY state")
    assert states == [{"state": "pending", "n": 2}]
