"""The writer slot: transactions, savepoints, group commit, errors."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from storage import engine
from storage.engine import (
    ClosedError,
    ConstraintError,
    Database,
    NestedTransactionError,
    ParameterError,
    ReadOnlyError,
    SqlError,
    Transaction,
)

LIMIT_S = 30


@pytest.fixture
def table(db: Database) -> Database:
    with db.transaction() as tx:
        tx.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    return db


def numbers(db: Database) -> list[int]:
    return [row["n"] for row in db.query("SELECT n FROM t ORDER BY n")]


def insert(n: int) -> Any:
    def work(tx: Transaction) -> int:
        tx.execute("INSERT INTO t VALUES (?)", (n,))
        return n

    return work


def test_an_exception_undoes_the_whole_transaction(table: Database) -> None:
    with pytest.raises(ZeroDivisionError), table.transaction() as tx:
        tx.execute("INSERT INTO t VALUES (1)")
        raise ZeroDivisionError
    assert numbers(table) == []


def test_a_savepoint_undoes_only_itself(table: Database) -> None:
    with table.transaction() as tx:
        insert(1)(tx)
        with pytest.raises(ZeroDivisionError), tx.transaction():
            insert(2)(tx)
            with tx.transaction():
                insert(3)(tx)
            raise ZeroDivisionError
        insert(4)(tx)
    assert numbers(table) == [1, 4]


def test_a_second_transaction_on_the_same_thread_is_refused(table: Database) -> None:
    with table.transaction() as tx:
        with pytest.raises(NestedTransactionError), table.transaction():
            pass
        insert(1)(tx)
    assert numbers(table) == [1]


def test_a_transaction_that_has_ended_cannot_be_used(table: Database) -> None:
    with table.transaction() as tx:
        pass
    with pytest.raises(ClosedError):
        tx.execute("INSERT INTO t VALUES (1)")


def test_threads_take_turns(table: Database) -> None:
    def work(start: int) -> None:
        for n in range(start, start + 50):
            with table.transaction() as tx:
                insert(n)(tx)

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert len(numbers(table)) == 200


async def test_functions_that_wait_together_share_a_commit(table: Database) -> None:
    def commits() -> int:
        return int(table.query("PRAGMA data_version")[0]["data_version"])

    with table.snapshot() as watching:
        before = watching.rows("PRAGMA data_version")
    gate = threading.Event()
    blocked = table.submit(lambda _: gate.wait(LIMIT_S))
    waiting = [asyncio.ensure_future(table.run(insert(n))) for n in range(100)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*waiting) == list(range(100))
    blocked.result(LIMIT_S)
    assert before is not None
    assert commits()
    assert numbers(table) == list(range(100))


async def test_a_failing_member_undoes_only_itself(table: Database) -> None:
    def fail(tx: Transaction) -> None:
        insert(50)(tx)
        raise ZeroDivisionError

    gate = threading.Event()
    table.submit(lambda _: gate.wait(LIMIT_S))
    calls = [table.run(insert(1)), table.run(fail), table.run(insert(1)), table.run(insert(2))]
    waiting = asyncio.gather(*calls, return_exceptions=True)
    await asyncio.sleep(0)
    gate.set()
    answers: list[object] = list(await waiting)
    first, failed, again, second = answers
    assert (first, second) == (1, 2)
    assert isinstance(failed, ZeroDivisionError)
    assert isinstance(again, ConstraintError)
    assert numbers(table) == [1, 2]


async def test_a_cancelled_wait_does_not_undo_the_write(table: Database) -> None:
    gate = threading.Event()
    table.submit(lambda _: gate.wait(LIMIT_S))
    waiting = asyncio.ensure_future(table.run(insert(7)))
    await asyncio.sleep(0)
    waiting.cancel()
    gate.set()
    await table.run(lambda _: None)
    assert numbers(table) == [7]


async def test_closing_finishes_what_is_queued(path: Path) -> None:
    db = engine.open(path)
    with db.transaction() as tx:
        tx.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    futures = [db.submit(insert(n)) for n in range(200)]
    db.close()
    assert [future.result(LIMIT_S) for future in futures] == list(range(200))
    with pytest.raises(ClosedError):
        db.submit(insert(1))
    with pytest.raises(ClosedError), db.transaction():
        pass
    with pytest.raises(ClosedError):
        db.query("SELECT 1")
    db.close()


def test_readers_see_the_state_before_an_open_transaction(table: Database) -> None:
    with table.transaction() as tx:
        insert(1)(tx)
        assert numbers(table) == []
        assert [row["n"] for row in tx.query("SELECT n FROM t")] == [1]
    assert numbers(table) == [1]


def test_a_snapshot_stays_as_it_was(table: Database) -> None:
    with table.snapshot() as snapshot:
        assert snapshot.rows("SELECT count(*) FROM t") == [(0,)]
        with table.transaction() as tx:
            insert(1)(tx)
        assert snapshot.rows("SELECT count(*) FROM t") == [(0,)]


def test_a_reader_cannot_write(table: Database) -> None:
    with pytest.raises(ReadOnlyError):
        table.query("INSERT INTO t VALUES (1)")


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT * FROM nowhere", "SELECT ?1, ?3 FROM"])
def test_wrong_sql_is_typed_and_also_what_honker_raises(db: Database, sql: str) -> None:
    with pytest.raises(SqlError):
        db.query(sql)
    with pytest.raises(RuntimeError):
        db.query(sql)


@pytest.mark.parametrize("params", [{"a": 1}, "text", [object()], [[1]]])
def test_parameters_that_cannot_be_bound(db: Database, params: Any) -> None:
    with pytest.raises(ParameterError):
        db.query("SELECT ?", params)
    with pytest.raises(TypeError):
        db.query("SELECT ?", params)
