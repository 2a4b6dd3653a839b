"""Queues: claims, retries, dead letters, against a model and case by case. The numbers are Honker's defects."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from storage import engine
from storage.engine import Database, Job, PayloadError, Queue, UsageError, jobs
from tests.storage.engine.clock import Clock

LIMIT_S = 30


@pytest.fixture
def db(path: Path, clock: Clock) -> Iterator[Database]:
    database = engine.open(path, clock=clock, durability="normal")
    yield database
    database.close()


def must(job: Job | None) -> Job:
    assert job is not None
    return job


def dead(db: Database) -> list[tuple[int, str]]:
    return [(row["id"], row["last_error"]) for row in db.query("SELECT id, last_error FROM _honker_dead ORDER BY id")]


def test_a_job_is_claimed_acknowledged_and_gone(queue: Queue, db: Database) -> None:
    job_id = queue.enqueue({"to": "alice"}, priority=2)
    job = must(queue.claim_one("w"))
    assert (job.id, job.payload, job.state, job.worker_id, job.attempts) == (
        job_id,
        {"to": "alice"},
        "processing",
        "w",
        1,
    )
    assert queue.claim_one("other") is None
    assert job.ack()
    assert not job.ack()
    assert queue.get_job(job_id) is None
    assert dead(db) == []


def test_fields_of_a_claimed_job_are_its_own_11(queue: Queue, clock: Clock) -> None:
    enqueued_at = int(clock())
    queue.enqueue(1, priority=7, run_at=enqueued_at + 5, max_attempts=9)
    clock.advance(60)
    job = must(queue.claim_one("w"))
    assert (job.priority, job.run_at, job.created_at, job.max_attempts) == (7, enqueued_at + 5, enqueued_at, 9)


def test_claim_order_is_priority_then_due_time_then_id(queue: Queue, clock: Clock) -> None:
    now = clock()
    first = queue.enqueue("late", run_at=now - 1)
    second = queue.enqueue("early", run_at=now - 5)
    third = queue.enqueue("urgent", priority=5)
    fourth = queue.enqueue("most urgent", priority=9)
    fifth = queue.enqueue("same as late", run_at=now - 1)
    assert [job.id for job in queue.claim_batch("w", 10)] == [fourth, third, second, first, fifth]


@pytest.mark.parametrize("delay", [0.1, 0.9, 1, 1.5, 59.99])
def test_a_job_never_runs_before_its_delay(queue: Queue, clock: Clock, delay: float) -> None:
    """Honker drops the fraction: 0.9 s is at once."""
    clock.now = 1_000_000.4
    queue.enqueue(1, delay=delay)
    clock.advance(delay - 0.05)
    assert queue.claim_one("w") is None
    clock.advance(1.1)
    assert queue.claim_one("w") is not None


def test_a_claim_that_ran_out_is_another_workers(queue: Queue, clock: Clock) -> None:
    queue.enqueue(1)
    first = must(queue.claim_one("a"))
    clock.advance(10)
    assert queue.claim_one("b") is None  # the deadline's own second still belongs to the first
    clock.advance(1)
    second = must(queue.claim_one("b"))
    assert (second.id, second.attempts) == (first.id, 2)
    assert not first.ack()
    assert not first.retry()
    assert not first.fail()
    assert not first.heartbeat()
    assert second.ack()


def test_a_heartbeat_holds_the_claim(queue: Queue, clock: Clock) -> None:
    queue.enqueue(1)
    job = must(queue.claim_one("a"))
    for _ in range(5):
        clock.advance(8)
        assert job.heartbeat()
    assert queue.claim_one("b") is None
    assert job.ack()


def test_the_error_of_a_retry_is_kept_10(queue: Queue, clock: Clock, db: Database) -> None:
    queue.enqueue(1)
    for attempt in (1, 2, 3):
        job = must(queue.claim_one("w"))
        assert job.attempts == attempt
        assert job.last_error == (None if attempt == 1 else f"error {attempt - 1}")
        assert job.retry(delay_s=0, error=f"error {attempt}")
    assert queue.claim_one("w") is None
    assert dead(db) == [(1, "error 3")]
    assert db.query("SELECT * FROM engine_job_errors") == []


def test_exhausted_jobs_are_buried_when_they_are_met(queue: Queue, clock: Clock, db: Database) -> None:
    queue.enqueue("crashes its workers", max_attempts=2)
    for _ in range(2):
        must(queue.claim_one("w"))
        clock.advance(11)
    good = queue.enqueue("good")
    assert must(queue.claim_one("w")).id == good
    assert dead(db) == [(1, "max attempts exceeded")]


def test_expired_jobs_are_buried_when_they_are_met_or_swept(queue: Queue, clock: Clock, db: Database) -> None:
    for _ in range(3):
        queue.enqueue("old", expires=5)
    clock.advance(6)
    good = queue.enqueue("good")
    assert [job.id for job in queue.claim_batch("w", 2)] == [good]
    queue.enqueue("old", expires=5)
    clock.advance(6)
    assert queue.sweep_expired() == 1
    assert {error for _, error in dead(db)} == {"expired"}


def test_fail_never_loses_a_job(queue: Queue, db: Database) -> None:
    """Honker's issue 133: a value of the wrong type made fail() return False and the job vanish."""
    job_id = queue.enqueue(1)
    with db.transaction() as tx:
        tx.execute("UPDATE _honker_live SET priority = 'not a number' WHERE id = ?", (job_id,))
    job = must(queue.claim_one("w"))
    assert job.fail("bad")
    assert dead(db) == [(job_id, "bad")]


def test_cancel_takes_a_job_from_whoever_has_it(queue: Queue) -> None:
    pending, held = queue.enqueue(1, delay=60), queue.enqueue(2)
    job = must(queue.claim_one("w"))
    assert job.id == held
    assert queue.cancel(pending)
    assert queue.cancel(held)
    assert not queue.cancel(held)
    assert not job.ack()


def test_batches(queue: Queue) -> None:
    ids = [queue.enqueue(n) for n in range(5)]
    claimed = queue.claim_batch("w", 3)
    assert [job.id for job in claimed] == ids[:3]
    assert queue.ack_batch([*ids[:2], 999], "w") == 2
    assert queue.ack_batch(ids, "other") == 0
    assert queue.ack_batch([], "w") == 0
    assert queue.claim_batch("w", 0) == []
    assert queue.claim_batch("w", -1) == []


def test_an_enqueue_belongs_to_its_transaction(queue: Queue, db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        queue.enqueue(1, tx=tx)
        raise ZeroDivisionError
    assert queue.claim_one("w") is None
    with db.transaction() as tx:
        queue.enqueue(2, tx=tx)
    with db.transaction() as tx:
        job = jobs.claim(tx, "q", "w", 1, 10, now=db.clock())[0]
        assert queue.ack(job.id, "w", tx=tx)


def test_a_handle_writes_nothing_6(db: Database, queue: Queue) -> None:
    """Honker drops and makes a view again for each queue: a schema change for every process."""
    before = db.query("PRAGMA schema_version")
    db.queue("another")
    assert db.queue("q") is queue
    assert db.query("PRAGMA schema_version") == before
    with db.transaction():
        db.queue("inside a transaction")  # Honker refuses that


def test_options_are_the_queues_own(db: Database, queue: Queue) -> None:
    assert db.queue("q", visibility_timeout_s=10) is queue
    with pytest.raises(ValueError, match="other options"):
        db.queue("q", max_attempts=5)
    for bad in ({"max_attempts": 0}, {"visibility_timeout_s": 0}):
        with pytest.raises(UsageError):
            db.queue("bad", **bad)


def test_a_payload_that_is_not_json(queue: Queue) -> None:
    with pytest.raises(PayloadError):
        queue.enqueue(object())
    assert queue.claim_one("w") is None


def test_results(queue: Queue, clock: Clock) -> None:
    assert queue.get_result(1) == (False, None)
    queue.save_result(1, {"a": 1}, ttl=5)
    queue.save_result(2, None)
    assert queue.get_result(1) == (True, {"a": 1})
    assert queue.get_result(2) == (True, None)
    clock.advance(6)
    assert queue.get_result(1) == (False, None)
    assert queue.sweep_results() == 1
    assert queue.get_result(2) == (True, None)


async def test_waiting_for_a_result(queue: Queue, db: Database) -> None:
    waiting = asyncio.ensure_future(queue.wait_result(7, timeout=LIMIT_S))
    await asyncio.sleep(0)
    queue.save_result(7, "done")
    assert await waiting == "done"
    with pytest.raises(asyncio.TimeoutError):
        await queue.wait_result(8, timeout=0.01)


async def test_an_idle_iterator_takes_no_write_lock_4_5(queue: Queue, db: Database) -> None:
    """Honker's idle worker takes two write transactions for every commit of the file."""
    writes = 0
    run = db.run

    async def counted(fn: Any) -> Any:
        nonlocal writes
        writes += 1
        return await run(fn)

    db.run = counted  # type: ignore[method-assign]
    claims = queue.claim("w", idle_poll_s=None)
    waiting = asyncio.ensure_future(anext(claims))
    for n in range(50):
        await run(lambda tx, n=n: db.stream("other").publish(n, tx=tx))  # type: ignore[misc]
    await run(lambda tx: jobs.enqueue(tx, "other", "1", now=db.clock()))
    assert writes == 0
    assert not waiting.done()
    await run(lambda tx: jobs.enqueue(tx, "q", "1", now=db.clock()))
    async with asyncio.timeout(LIMIT_S):
        assert (await waiting).payload == 1
    assert writes == 1
    await claims.aclose()  # type: ignore[attr-defined]


async def test_the_iterator_wakes_for_a_due_time(path: Path) -> None:
    db = engine.open(path, durability="normal")
    queue = db.queue("q")
    queue.enqueue("soon", delay=1)
    claims = queue.claim("w", idle_poll_s=None)
    async with asyncio.timeout(LIMIT_S):
        assert (await anext(claims)).payload == "soon"
    await claims.aclose()  # type: ignore[attr-defined]
    db.close()


def test_a_retry_is_taken_back_while_no_worker_has_had_it(queue: Queue, db: Database, clock: Clock) -> None:
    for number in range(2):
        queue.enqueue({"n": number}, priority=number, max_attempts=number + 1)
        must(queue.claim_one("w")).fail(f"error {number}")
        clock.now += 7
    before = db.query("SELECT * FROM _honker_dead ORDER BY id")

    def retried(job: int) -> tuple[int, jobs.DeadRow]:
        with db.transaction() as tx:
            found = jobs.retry_one(tx, job, 5, now=clock())
        assert found is not None
        return found

    first, second = retried(1), retried(2)
    assert (first[0], second[0]) == (3, 4)
    assert queue.claim_one("w") is None, "due in 5 s"
    with db.transaction() as tx:
        assert jobs.retry_one(tx, 1, now=clock()) is None
        assert jobs.unretry(tx, *first)
        assert jobs.unretry(tx, *second)
        assert not jobs.unretry(tx, *second), "once"
    assert db.query("SELECT * FROM _honker_dead ORDER BY id") == before
    assert not db.query("SELECT * FROM _honker_live")

    again = retried(2)
    clock.now += 5
    claimed = must(queue.claim_one("w"))
    assert (claimed.id, claimed.payload) == (again[0], {"n": 1})
    for _ in range(2):  # while the worker has it, and when it has given it back after an attempt
        with db.transaction() as tx:
            assert not jobs.unretry(tx, *again)
        claimed.retry(60, "again")
    assert dead(db) == [(1, "error 0")]


async def test_a_missed_deadline_does_not_park_the_iterator(queue: Queue, db: Database, clock: Clock) -> None:
    """Honker's issue 122: next_claim_at answers 0 for a time that has come, and the waker sleeps."""
    queue.enqueue(1, delay=5)
    assert queue.next_claim_at() == int(clock()) + 5
    clock.advance(50)
    assert 0 < queue.next_claim_at() <= clock()
    claims = queue.claim("w", idle_poll_s=None)
    async with asyncio.timeout(LIMIT_S):
        assert (await anext(claims)).payload == 1
    await claims.aclose()  # type: ignore[attr-defined]


async def test_a_cancelled_claim_gives_the_job_back(queue: Queue, db: Database) -> None:
    """A claim that commits while its worker is being stopped must not hold the job for the visibility time-out."""
    for _ in range(30):
        queue.enqueue(1)
        claims = queue.claim("w")
        waiting = asyncio.ensure_future(anext(claims))
        while not waiting.done():
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        got = not waiting.cancelled() and waiting.exception() is None
        await claims.aclose()  # type: ignore[attr-defined]
        job = queue.claim_one("next")
        assert (job is None) is got
        if job is not None:
            assert job.attempts == 1
            job.ack()


def plan(db: Database, sql: str, params: tuple[Any, ...]) -> str:
    return " ".join(str(row["detail"]) for row in db.query(f"EXPLAIN QUERY PLAN {sql}", params))


def test_claims_use_the_indexes_1_2(db: Database) -> None:
    due = plan(db, jobs.SQL_DUE.format(limit=1), ("q", 1))
    assert "_honker_live_pending_deadline (queue=? AND run_at<?)" in due
    assert "TEMP B-TREE" not in due
    abandoned = plan(db, jobs.SQL_ABANDONED.format(limit=1), ("q", 1))
    assert "_honker_live_processing_deadline (queue=? AND claim_expires_at<?)" in abandoned
    assert "SCAN _honker_live" not in plan(db, jobs.SQL_SURVEY, ("q",))


def steps_of_a_claim(db: Database, queue: Queue) -> int:
    """Virtual machine steps that SQLite takes for one claim: a measure that no busy machine disturbs."""
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    with db.exclusive() as connection:
        connection.set_progress_handler(count, 1)
    job = must(queue.claim_one("counted"))
    with db.exclusive() as connection:
        connection.set_progress_handler(None)
    job.ack()
    return steps


@pytest.mark.parametrize("kind", ["backlog", "in flight", "delayed"])
def test_a_claim_costs_the_same_whatever_else_there_is_1_2(db: Database, queue: Queue, kind: str) -> None:
    def fill(number: int) -> None:
        with db.transaction() as tx:
            for n in range(number):
                queue.enqueue(n, tx=tx, delay=3_600 if kind == "delayed" else None)
        if kind == "in flight":
            queue.claim_batch("busy", number)
        queue.enqueue("one")
        queue.enqueue("another")

    fill(10)
    few = steps_of_a_claim(db, queue)
    fill(5_000)
    many = steps_of_a_claim(db, queue)
    assert many <= few * 1.3


class Model(RuleBasedStateMachine):
    """Every operation on a queue, in any order, against a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.db = engine.open(f"{self.folder.name}/q.db", clock=self.clock, durability="normal")
        self.queue = self.db.queue("q", visibility_timeout_s=10, max_attempts=2)
        self.live: dict[int, dict[str, Any]] = {}
        self.dead: dict[int, str] = {}
        self.held: list[tuple[Job, int]] = []
        self.paused = False

    def teardown(self) -> None:
        self.db.close()
        self.folder.cleanup()

    @property
    def now(self) -> int:
        return int(self.clock())

    @initialize()
    def start(self) -> None:
        self.clock.now = 1_000_000

    @rule(
        priority=st.integers(0, 2), delay=st.sampled_from([0, 0, 3, 20]), expires=st.sampled_from([None, None, 4, 40])
    )
    def enqueue(self, priority: int, delay: int, expires: int | None) -> None:
        job = self.queue.enqueue("x", priority=priority, delay=delay, expires=expires)
        self.live[job] = {
            "run_at": self.now + delay,
            "priority": priority,
            "expires": None if expires is None else self.now + expires,
            "attempts": 0,
            "until": None,
            "worker": None,
        }

    def claimable(self) -> list[int]:
        found = []
        for job, row in self.live.items():
            waiting = row["until"] is None and row["run_at"] <= self.now
            abandoned = row["until"] is not None and row["until"] < self.now
            if waiting or abandoned:
                found.append(job)
        return sorted(found, key=lambda job: (-self.live[job]["priority"], self.live[job]["run_at"], job))

    def good(self, job: int) -> bool:
        row = self.live[job]
        return row["attempts"] < 2 and (row["expires"] is None or row["expires"] > self.now)

    @rule(number=st.integers(1, 3), worker=st.sampled_from("ab"))
    def claim(self, number: int, worker: str) -> None:
        wanted = [] if self.paused else [job for job in self.claimable() if self.good(job)][:number]
        claimed = self.queue.claim_batch(worker, number)
        assert [job.id for job in claimed] == wanted
        for job in claimed:
            row = self.live[job.id]
            row |= {"attempts": row["attempts"] + 1, "until": self.now + 10, "worker": worker}
            assert job.attempts == row["attempts"]
            self.held.append((job, row["attempts"]))
        if self.paused:
            return  # nothing was met: `tables_agree` sees that nothing was buried
        self.bury_met()

    def bury_met(self) -> None:
        """What the claim met and buried is gone from the live table: never a good one."""
        left = {row["id"] for row in self.db.query("SELECT id FROM _honker_live")}
        for job in set(self.live) - left:
            row = self.live[job]
            assert not self.good(job), "a good job was buried"
            expired = row["expires"] is not None and row["expires"] <= self.now
            self.dead[job] = "expired" if expired else "max attempts exceeded"
            del self.live[job]

    def owns(self, job: Job, attempt: int) -> bool:
        row = self.live.get(job.id)
        return bool(row and row["worker"] == job.worker_id and row["until"] is not None and row["until"] >= self.now)

    @rule(data=st.data(), how=st.sampled_from(["ack", "retry", "fail", "heartbeat", "cancel"]))
    def finish(self, data: st.DataObject, how: str) -> None:
        if not self.held:
            return
        job, attempt = data.draw(st.sampled_from(self.held))
        owned = self.owns(job, attempt)
        if how == "ack":
            assert job.ack() is owned
            if owned:
                del self.live[job.id]
        elif how == "fail":
            assert job.fail("no") is owned
            if owned:
                self.dead[job.id] = "no"
                del self.live[job.id]
        elif how == "heartbeat":
            assert job.heartbeat() is owned
            if owned:
                self.live[job.id]["until"] = self.now + 10
        elif how == "cancel":
            assert self.queue.cancel(job.id) is (job.id in self.live)
            self.live.pop(job.id, None)
        else:
            assert job.retry(5, "again") is owned
            if owned and self.live[job.id]["attempts"] >= 2:
                self.dead[job.id] = "again"
                del self.live[job.id]
            elif owned:
                self.live[job.id] |= {"run_at": self.now + 5, "until": None, "worker": None}

    @rule()
    def pause(self) -> None:
        assert self.queue.pause() is not self.paused
        self.paused = True

    @rule()
    def resume(self) -> None:
        assert self.queue.resume() is self.paused
        self.paused = False

    @rule(seconds=st.integers(1, 15))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def sweep(self) -> None:
        expected = [
            job
            for job, row in self.live.items()
            if row["until"] is None and row["expires"] is not None and row["expires"] <= self.now
        ]
        assert self.queue.sweep_expired() == len(expected)
        for job in expected:
            self.dead[job] = "expired"
            del self.live[job]

    @invariant()
    def tables_agree(self) -> None:
        live = {
            row["id"]: (row["state"] == "processing", row["attempts"], row["run_at"])
            for row in self.db.query("SELECT * FROM _honker_live")
        }
        assert live == {
            job: (row["until"] is not None, row["attempts"], row["run_at"]) for job, row in self.live.items()
        }
        assert dict(dead(self.db)) == self.dead
        assert not (self.paused and self.queue.next_claim_at())


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
