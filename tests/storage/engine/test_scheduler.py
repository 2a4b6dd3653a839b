"""The scheduler: fires, catches up, leads, gives way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import engine
from storage.engine import Database, LeadershipLost, LockHeld, Scheduler, UsageError, every_s, schedules
from tests.storage.engine.clock import Clock

LIMIT_S = 30


@pytest.fixture
def db(path: Path, clock: Clock) -> Iterator[Database]:
    database = engine.open(path, clock=clock, durability="normal")
    yield database
    database.close()


def tick(db: Database) -> int:
    with db.transaction() as tx:
        return len(schedules.tick(tx, now=db.clock()))


def test_a_due_schedule_becomes_a_job(db: Database, clock: Clock) -> None:
    scheduler = Scheduler(db)
    scheduler.add(name="clean", queue="m", schedule=every_s(60), payload={"task": 1}, priority=4, max_attempts=7)
    assert tick(db) == 0
    clock.advance(60)
    assert tick(db) == 1
    job = db.queue("m").claim_one("w")
    assert job is not None
    assert (job.payload, job.priority, job.max_attempts) == ({"task": 1}, 4, 7)


def test_missed_fires_are_made_up_for_up_to_a_limit(db: Database, clock: Clock) -> None:
    Scheduler(db).add(name="s", queue="m", schedule=every_s(10))
    clock.advance(35)
    assert tick(db) == 3
    clock.advance(10_000)
    assert tick(db) == schedules.MAX_CATCH_UP
    assert tick(db) == 0


def test_registering_again_does_not_postpone(db: Database, clock: Clock) -> None:
    """Honker computes the next time anew at each start: a program that restarts often never fires."""
    for _ in range(5):
        Scheduler(db).add(name="s", queue="m", schedule=every_s(60))
        clock.advance(20)
    assert tick(db) == 1
    Scheduler(db).add(name="s", queue="m", schedule=every_s(500))
    assert Scheduler(db).list()[0]["next_fire_at"] == int(clock()) + 500


def test_pause_and_resume(db: Database, clock: Clock) -> None:
    scheduler = Scheduler(db)
    scheduler.add(name="s", queue="m", schedule=every_s(10))
    assert scheduler.pause("s")
    assert not scheduler.pause("s")
    clock.advance(1_000)
    assert tick(db) == 0
    assert scheduler.resume("s")
    assert tick(db) == 0  # what was missed while paused is not made up for
    clock.advance(10)
    assert tick(db) == 1
    assert not scheduler.resume("nowhere")
    assert scheduler.remove("s")
    assert not scheduler.remove("s")


def test_update_changes_only_what_is_given(db: Database) -> None:
    scheduler = Scheduler(db)
    scheduler.add(name="s", queue="m", schedule="0 3 * * *", payload=1, expires=5, max_attempts=2)
    before = scheduler.list()[0]
    assert not scheduler.update("s")
    assert not scheduler.update("nowhere", priority=1)
    assert scheduler.update("s", payload=[1], max_attempts=0)
    assert scheduler.list()[0] == before | {"payload": [1], "max_attempts": 1}
    assert scheduler.update("s", expires=None, max_attempts=None)
    assert scheduler.list()[0] == before | {"payload": [1], "max_attempts": 3, "expires_s": None}
    with pytest.raises(UsageError):
        scheduler.update("s", schedule="nonsense")


async def test_it_runs_until_nothing_is_left_to_do(path: Path) -> None:
    db = engine.open(path, durability="normal")
    scheduler = Scheduler(db)
    with pytest.raises(RuntimeError, match="no schedules"):
        await scheduler.run()
    scheduler.add(name="s", queue="m", schedule=every_s(1))
    running = asyncio.ensure_future(scheduler.run())
    async with asyncio.timeout(LIMIT_S):
        async for job in db.queue("m").claim("w"):
            job.ack()
            break
    await asyncio.to_thread(scheduler.remove, "s")
    async with asyncio.timeout(LIMIT_S):
        await running
    assert db.query("SELECT * FROM _honker_locks") == []
    db.close()


async def test_only_one_leads_and_a_lost_leader_fires_nothing(db: Database, clock: Clock) -> None:
    scheduler = Scheduler(db)
    scheduler.add(name="s", queue="m", schedule=every_s(100))
    stop = asyncio.Event()
    leading = asyncio.ensure_future(scheduler.run(stop))
    async with asyncio.timeout(LIMIT_S):
        while not db.query("SELECT * FROM _honker_locks"):
            await asyncio.sleep(0)
    with pytest.raises(LockHeld):
        await Scheduler(db).run()
    with db.transaction() as tx:
        tx.execute("UPDATE _honker_locks SET owner = 'thief'")
    clock.advance(200)
    await asyncio.to_thread(scheduler.add, name="wake", queue="m", schedule=every_s(1_000))
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(LeadershipLost):
            await leading
    assert db.query("SELECT count(*) AS n FROM _honker_live") == [{"n": 0}]


async def test_commits_that_are_no_schedules_do_not_wake_it_4(db: Database) -> None:
    Scheduler(db).add(name="s", queue="m", schedule=every_s(1_000))
    looks = 0
    read = db.read

    async def counted(fn: object) -> object:
        nonlocal looks
        looks += 1
        return await read(fn)  # type: ignore[arg-type]

    db.read = counted  # type: ignore[method-assign, assignment]
    stop = asyncio.Event()
    running = asyncio.ensure_future(Scheduler(db).run(stop))
    async with asyncio.timeout(LIMIT_S):
        while not looks:
            await asyncio.sleep(0)
        for n in range(50):
            await db.run(lambda tx, n=n: db.stream("s").publish(n, tx=tx))  # type: ignore[misc]
        stop.set()
        await running
    assert looks <= 2
