"""The queue worker's graceful end: what runs is finished, nothing more is claimed, nothing stays claimed."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from app.services import draining
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


async def test_a_job_that_outlives_the_end_of_the_process_is_given_back_and_its_attempt_does_not_count(
    tenant: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(draining, "_ends_at", None)
    monkeypatch.setattr(draining, "_left", 0)
    started, go_on, stop = threading.Event(), threading.Event(), asyncio.Event()

    def handle(_: Any) -> None:
        started.set()
        assert go_on.wait(60)

    tenant.queue("mine").enqueue(1)
    working = asyncio.create_task(work(tenant, {"mine": handle}, stop))
    assert await asyncio.to_thread(started.wait, 60)
    (row,) = tenant.query("SELECT state, attempts FROM _honker_live")
    assert row == {"state": "processing", "attempts": 1}
    draining.begin(0)
    stop.set()
    await asyncio.wait_for(working, 60)
    (row,) = tenant.query("SELECT state, attempts, worker_id FROM _honker_live")
    assert row == {"state": "pending", "attempts": 0, "worker_id": None}
    assert draining._left == 1
    assert "it is given back" in caplog.text
    go_on.set()
    others = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
    await asyncio.wait(others, timeout=60)
    assert tenant.query("SELECT state FROM _honker_live") == [{"state": "pending"}], "its late end changes nothing"


async def test_a_pause_is_no_end_of_the_process(tenant: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that changes waits for what runs, however long: the job would run twice otherwise."""
    monkeypatch.setattr(draining, "_ends_at", None)
    work_to_do: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(draining.finished({work_to_do}))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    work_to_do.set_result(None)
    assert await asyncio.wait_for(waiting, 60)
