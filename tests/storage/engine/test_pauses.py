"""Queues that rest: who gets no job, what goes on all the same, and that it lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from storage import engine
from storage.engine import Database, Queue, jobs, pauses, schedules
from tests.storage.engine.clock import Clock
from tests.storage.engine.test_queue import must

LIMIT_S = 60


@pytest.fixture
def db(path: Path, clock: Clock) -> Iterator[Database]:
    database = engine.open(path, clock=clock, durability="normal")
    yield database
    database.close()


def test_a_paused_queue_hands_out_no_job_and_what_is_held_goes_on(queue: Queue, db: Database) -> None:
    for number in range(5):
        queue.enqueue(number)
    acked, retried, failed, released = queue.claim_batch("w", 4)
    assert queue.pause()
    assert not queue.pause()
    waiting = queue.enqueue("while it rests", priority=9)
    assert queue.claim_one("other") is None
    assert queue.claim_batch("other", 10) == []
    assert queue.next_claim_at() == 0
    with db.transaction() as tx:
        assert tx.rows("SELECT honker_claim_batch('q', 'other', 10, 10)") == [("[]",)]
    assert acked.heartbeat()
    assert acked.ack()
    assert retried.retry(0, "again")
    assert failed.fail("no")
    released.release()
    assert queue.claim_one("other") is None
    another = db.queue("another")
    another.enqueue(1)
    assert another.claim_one("w") is not None  # of this queue alone
    assert queue.resume()
    assert not queue.resume()
    assert [job.id for job in queue.claim_batch("w", 10)] == [waiting, retried.id, released.id, 5]


def test_delays_claims_that_run_out_and_expiry_go_on_while_a_queue_rests(
    queue: Queue, db: Database, clock: Clock
) -> None:
    abandoned = queue.enqueue("its worker died")
    must(queue.claim_one("w"))
    queue.pause()
    delayed = queue.enqueue("delayed", delay=20)
    queue.enqueue("expires", expires=15)
    queue.enqueue("expires too", expires=60)
    with db.transaction() as tx:
        schedules.register(tx, "s", "q", "@every 10s", "1", priority=0, expires_s=None, now=clock())
    clock.advance(30)
    assert queue.claim_one("w") is None
    assert queue.sweep_expired() == 1
    with db.transaction() as tx:
        fired = [one.job_id for one in schedules.tick(tx, now=clock())]
    assert len(fired) == 3  # a schedule is paused by itself: its jobs wait here
    assert db.query("SELECT 1 FROM _honker_dead WHERE last_error <> 'expired'") == []
    clock.advance(60)
    queue.resume()
    assert {job.id for job in queue.claim_batch("w", 10)} == {abandoned, delayed, *fired}
    assert [row["last_error"] for row in db.query("SELECT * FROM _honker_dead")] == ["expired", "expired"]


def test_a_pause_outlives_its_process_and_holds_for_every_handle(path: Path, clock: Clock) -> None:
    with closing(engine.open(path, clock=clock)) as db:
        db.queue("q").enqueue(1)
        db.queue("q").pause()
    with closing(engine.open(path, clock=clock)) as db, closing(engine.open(path, clock=clock)) as other:
        with db.snapshot() as snapshot:
            assert pauses.paused_queues(snapshot) == {"q": int(clock())}
        assert db.queue("q").claim_one("w") is None
        assert other.queue("q").resume()
        assert db.queue("q").claim_one("w") is not None
        other.queue("q").pause()
        db.queue("q").enqueue(2)
        assert db.queue("q").claim_one("w") is None


def test_a_file_from_before_pauses_gets_their_table_whatever_else_is_in_it(path: Path) -> None:
    with closing(engine.open(path)) as db:
        db.queue("q").enqueue(1)
        with db.transaction() as tx:
            tx.execute("DROP TABLE engine_paused_queues")
            tx.execute("CREATE TABLE _honker_queues (name TEXT)")  # as newer Honkers plan it
    with closing(engine.open(path)) as db:
        assert db.queue("q").pause()
        assert db.queue("q").claim_one("w") is None


def test_a_pause_that_is_rolled_back_was_none(queue: Queue, db: Database) -> None:
    queue.enqueue(1)
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        assert queue.pause(tx)
        assert jobs.claim(tx, "q", "w", 1, 10, now=db.clock()) == []
        raise ZeroDivisionError
    assert queue.claim_one("w") is not None


@pytest.mark.parametrize("by", ["this handle", "another"])
async def test_waiting_workers_are_woken_by_a_resume_and_take_no_write_lock_before(
    queue: Queue, db: Database, path: Path, by: str
) -> None:
    writes = 0
    run = db.run

    async def counted(fn: Any) -> Any:
        nonlocal writes
        writes += 1
        return await run(fn)

    with pytest.MonkeyPatch.context() as patch, closing(engine.open(path, durability="normal")) as other:
        patch.setattr(db, "run", counted)
        queue.pause()
        claims = queue.claim("w", idle_poll_s=None)  # nothing but a wake-up can end its wait
        waiting = asyncio.ensure_future(anext(claims))
        for number in range(20):
            await run(lambda tx, number=number: jobs.enqueue(tx, "q", str(number), now=db.clock()))  # type: ignore[misc]
        assert (waiting.done(), writes) == (False, 0)
        await asyncio.to_thread((db if by == "this handle" else other).queue("q", 10).resume)
        async with asyncio.timeout(LIMIT_S):
            assert (await waiting).payload == 0
        await claims.aclose()  # type: ignore[attr-defined]
