"""The sixteen defects of Honker 0.5.0 (`reference/honker.md`, section d). Those with a test elsewhere are named here:

1, 2   test_queue.py: claims_use_the_indexes, a_claim_costs_the_same_whatever_else_there_is
4, 5   test_queue.py: an_idle_iterator_takes_no_write_lock
       test_scheduler.py: commits_that_are_no_schedules_do_not_wake_it
6      test_queue.py: a_handle_writes_nothing
10     test_queue.py: the_error_of_a_retry_is_kept
11     test_queue.py: fields_of_a_claimed_job_are_its_own
12     test_tasks.py: result_and_ack_share_a_transaction
13     test_stream.py: the_last_offset_is_saved_when_there_is_nothing_more
14     test_cron.py: expressions_mean_what_they_mean_to_cron
15     test_locks_and_limits.py: the_inner_block_of_the_same_owner_does_not_release
16     test_open.py: durability_is_a_choice; test_crash.py: a_power_cut_takes_nothing_that_was_promised
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from storage import engine
from storage.engine import (
    BusyError,
    ConstraintError,
    CorruptError,
    Database,
    DatabaseError,
    FullError,
    NotADatabaseError,
    ReadOnlyError,
    connection,
)

LIMIT_S = 30


@pytest.fixture
def held(db: Database) -> Iterator[Database]:
    """Another thread is in the middle of a transaction and stays there."""
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with db.transaction() as tx:
            tx.execute("CREATE TABLE held (n)")
            entered.set()
            leave.wait(LIMIT_S)

    db.queue("q").save_result(1, "value")
    thread = threading.Thread(target=hold)
    thread.start()
    assert entered.wait(LIMIT_S)
    yield db
    leave.set()
    thread.join()


def test_3_reads_do_not_wait_for_the_writer(held: Database) -> None:
    """Honker reads through the one write connection: every one of these would wait."""
    queue, stream = held.queue("q"), held.stream("s")
    assert stream.read() == []
    assert stream.get_offset("me") == 0
    assert queue.get_result(1) == (True, "value")
    assert queue.get_job(1) is None
    assert queue.next_claim_at() == 0
    assert held.scheduler().list() == []
    assert held.query("SELECT 1 AS one") == [{"one": 1}]


async def test_7_the_event_loop_never_waits_for_the_writer(held: Database) -> None:
    writing = asyncio.ensure_future(held.run(lambda tx: held.stream("s").publish(1, tx=tx)))
    claiming = asyncio.ensure_future(anext(held.queue("q").claim("w")))
    subscribed = held.stream("s").subscribe()
    reading = asyncio.ensure_future(anext(subscribed))
    for _ in range(200):
        await asyncio.sleep(0)
    assert not writing.done()  # and a loop that waited for the writer would never come here: it holds until the end
    for task in (writing, claiming, reading):
        task.cancel()
    await asyncio.gather(writing, claiming, reading, return_exceptions=True)


def test_8_busy_is_typed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_MS", 10)
    db = engine.open(path)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(BusyError) as caught, db.transaction():
        pass
    assert isinstance(caught.value, RuntimeError)
    assert "try again" in caught.value.hint
    other.execute("ROLLBACK")
    other.close()
    db.stream("s").publish("goes on")
    db.close()


@pytest.mark.parametrize(
    "kind", [BusyError, FullError, ReadOnlyError, CorruptError, NotADatabaseError, ConstraintError]
)
def test_8_every_error_is_typed_and_what_honker_raises(kind: type[DatabaseError]) -> None:
    assert issubclass(kind, DatabaseError)
    assert issubclass(kind, RuntimeError)
    assert kind.__doc__


def test_8_a_damaged_file_is_typed(path: Path) -> None:
    db = engine.open(path)
    for _ in range(200):
        db.stream("s").publish("x" * 500)
    db.close()
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 30] = b"\xa5" * (4096 * 27)
    path.write_bytes(data)
    with pytest.raises(CorruptError) as caught:
        db = engine.open(path)
        db.query("SELECT sum(length(payload)) FROM _honker_stream")
    assert "backup" in caught.value.hint


def test_9_publish_returns_the_offset(db: Database) -> None:
    assert db.stream("s").publish(1) == 1
    with db.transaction() as tx:
        assert db.stream("s").publish(2, tx=tx) == 2
