"""Tasks, workers, outbox."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from storage import engine
from storage.engine import Database, Retryable, UnknownTaskError, UsageError, _worker, every_s, registry
from storage.engine.tasks import find_task

LIMIT_S = 30


@pytest.fixture
def db(path: Path) -> Iterator[Database]:
    database = engine.open(path, durability="normal")
    yield database
    database.close()


@pytest.fixture(autouse=True)
def clean_registry() -> Iterator[None]:
    before = dict(registry())
    yield
    registry().clear()
    registry().update(before)


async def work_until(db: Database, good: Callable[[], bool]) -> None:
    """Run workers until something is true."""
    stop = asyncio.Event()
    running = asyncio.ensure_future(db.run_workers(concurrency=2, stop_event=stop))
    waiter = db.wake.add(None)
    async with asyncio.timeout(LIMIT_S):
        while not good():
            await waiter.wait(0.05)
            waiter.clear()
        stop.set()
        await running


def live(db: Database) -> int:
    return int(db.query("SELECT count(*) AS n FROM _honker_live")[0]["n"])


async def test_a_call_becomes_a_result(db: Database) -> None:
    @db.task("math")
    def add(a: int, b: int = 1) -> int:
        return a + b

    @db.task("math", name="shout")
    async def shout(text: str) -> str:
        return text.upper()

    results = [add(1, b=2), add(5), shout("hi")]
    assert add.call_local(1) == 2
    assert shout.spec.queue == "math"
    await work_until(db, lambda: live(db) == 0)
    assert [await result.aget(LIMIT_S) for result in results] == [3, 6, "HI"]


async def test_failures_are_kept_and_tried_again(db: Database) -> None:
    calls: list[int] = []

    @db.task("q", retries=3, retry_delay_s=0)
    def flaky() -> str:
        calls.append(1)
        if len(calls) < 3:
            raise Retryable("not yet", delay_s=0)
        return "done"

    @db.task("q", retries=2, retry_delay_s=0)
    def broken() -> None:
        raise ValueError("no")

    @db.task("q", retries=1, timeout_s=0.01)
    async def slow() -> None:
        await asyncio.sleep(60)

    result = flaky()
    broken()
    slow()
    await work_until(db, lambda: live(db) == 0)
    assert await result.aget(LIMIT_S) == "done"
    errors = {row["last_error"] for row in db.query("SELECT last_error FROM _honker_dead")}
    assert errors == {"ValueError: no", "timeout after 0.01s"}


async def test_result_and_ack_share_a_transaction_12(db: Database) -> None:
    """Honker stores the result, then acknowledges: a crash between runs a job whose result is there."""
    job_id = db.queue("q", visibility_timeout_s=60).enqueue({"n": 1})
    job = db.queue("q").claim_one("w")
    assert job is not None
    with db.transaction() as tx:
        tx.execute("UPDATE _honker_live SET worker_id = 'other'")  # the claim is lost
    await _worker.run_task(job, lambda payload: payload["n"] + 1, save_result=True)
    assert db.queue("q").get_result(job_id) == (False, None)
    with db.transaction() as tx:
        tx.execute("UPDATE _honker_live SET worker_id = 'w'")
    await _worker.run_task(job, lambda payload: payload["n"] + 1, save_result=True)
    assert db.queue("q").get_result(job_id) == (True, 2)
    assert live(db) == 0


@pytest.mark.parametrize(("attempts", "expected"), [(1, 10.0), (2, 20.0), (4, 80.0)])
def test_back_off_grows(attempts: int, expected: float) -> None:
    assert _worker._compute_delay(attempts, 10, 2) == expected


async def test_jobs_that_are_no_tasks_are_buried(db: Database) -> None:
    @db.task("q")
    def known() -> None:
        pass

    db.queue("q").enqueue("raw")
    db.queue("q").enqueue({"__honker_task__": {"task": "unknown", "args": [], "kwargs": {}}})
    known()
    await work_until(db, lambda: live(db) == 0)
    errors = [row["last_error"] for row in db.query("SELECT last_error FROM _honker_dead ORDER BY id")]
    assert errors == ["not a task: the payload is raw", "unknown task 'unknown'"]


def test_names_are_unique(db: Database) -> None:
    @db.task(name="one")
    def first() -> None:
        pass

    with pytest.raises(UsageError, match="another function"):

        @db.task(name="one")
        def second() -> None:
            pass

    assert find_task("one").fn is first.fn
    with pytest.raises(UnknownTaskError):
        find_task("two")


def test_a_periodic_task_registers_its_schedule(db: Database) -> None:
    @db.periodic_task(every_s(60), name="tidy", queue="m")
    def tidy() -> None:
        pass

    (row,) = db.scheduler().list()
    assert (row["name"], row["queue"], row["cron_expr"]) == ("tidy", "m", "@every 60s")
    assert row["payload"] == {"__honker_task__": {"task": "tidy", "args": [], "kwargs": {}}}


async def test_the_outbox_delivers_what_was_committed(db: Database) -> None:
    delivered: list[Any] = []

    async def deliver(payload: Any) -> None:
        if payload == "fails once" and payload not in delivered:
            delivered.append(payload)
            raise OSError("down")
        delivered.append(payload)

    outbox = db.outbox("mail", deliver, base_backoff_s=0)
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        outbox.enqueue("never", tx=tx)
        raise ZeroDivisionError
    with db.transaction() as tx:
        outbox.enqueue("fails once", tx=tx)
    working = asyncio.ensure_future(outbox.run_worker("w"))
    waiter = db.wake.add(None)
    async with asyncio.timeout(LIMIT_S):
        while live(db):
            await waiter.wait(0.05)
            waiter.clear()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert delivered == ["fails once", "fails once"]
    assert db.outbox("mail", deliver, base_backoff_s=0) is outbox
    with pytest.raises(ValueError, match="other options"):
        db.outbox("mail", print)
    with pytest.raises(TypeError):
        db.outbox("bad", "not callable")  # type: ignore[arg-type]


MODULE = """
from pathlib import Path
from storage import engine
db = engine.open(Path(__file__).with_suffix(".db"))

@db.task("mail", name="send")
def send(to):
    return "sent to " + to
"""


def test_the_worker_command_runs_tasks_until_it_is_told_to_stop(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(MODULE)
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[3]))
    command = [sys.executable, "-m", "storage.engine", "worker", "jobs:db"]
    listed = subprocess.run(
        [*command, "--list"], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert listed.stdout == "mail\tsend\n"
    db = engine.open(tmp_path / "jobs.db")
    queue = db.queue("mail")
    job = queue.enqueue({"__honker_task__": {"task": "send", "args": ["alice"], "kwargs": {}}})
    with subprocess.Popen([*command, "--concurrency", "1"], cwd=tmp_path, env=environment) as worker:
        assert asyncio.run(queue.wait_result(job, timeout=LIMIT_S)) == "sent to alice"
        worker.terminate()
        assert worker.wait(LIMIT_S) == 0
    db.close()
    wrong = subprocess.run(
        [*command[:-1], "json:dumps"], cwd=tmp_path, env=environment, check=False, capture_output=True
    )
    assert wrong.returncode == 2
