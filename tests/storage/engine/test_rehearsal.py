"""A rehearsal sees its own writes, fails as the real thing would, and leaves nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import storage.engine as engine
from storage.engine import Database, LimitError, Snapshot, SqlError, Transaction
from storage.engine.rehearsal import Rehearsal, rehearse
from storage.migrations import OlderFileError
from storage.tenants import node_id, open_tenant_database, rehearse_database


@pytest.fixture
def file(tmp_path: Path) -> Path:
    db = engine.open(tmp_path / "spoke.db")
    with db.transaction() as tx:
        tx.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    db.close()
    return tmp_path / "spoke.db"


def numbers(source: Database | Snapshot | Transaction) -> list[int]:
    return [int(row["n"]) for row in source.query("SELECT n FROM t ORDER BY n")]


def insert(n: int, tx: Transaction) -> int:
    tx.execute("INSERT INTO t VALUES (?)", (n,))
    return n


def test_it_sees_what_it_wrote_and_nothing_stays(file: Path) -> None:
    db = rehearse(file)
    with db.transaction() as tx:
        insert(1, tx)
    assert asyncio.run(db.run(lambda tx: insert(2, tx))) == 2
    assert db.submit(lambda tx: insert(3, tx)).result() == 3
    db.queue("mail").enqueue({"n": 1})
    db.stream("s").publish({"n": 1})
    db.barrier()
    assert numbers(db) == [1, 2, 3]
    with db.snapshot() as snapshot:
        assert numbers(snapshot) == [1, 2, 3]
    assert asyncio.run(db.read(numbers)) == [1, 2, 3]
    others = engine.open(file, read_only=True)
    assert numbers(others) == []
    db.close()
    db.close()
    assert numbers(others) == []
    others.close()
    after = engine.open(file)
    assert after.queue("mail").claim_one("w") is None
    assert after.query("SELECT count(*) AS n FROM _honker_stream") == [{"n": 0}]
    after.close()


def test_a_part_that_fails_is_undone_and_the_rest_goes_on(file: Path) -> None:
    db = rehearse(file)
    with db.transaction() as tx:
        insert(1, tx)
    with pytest.raises(SqlError), db.transaction() as tx:
        insert(2, tx)
        tx.execute("INSERT INTO none VALUES (1)")
    failed = db.submit(lambda tx: tx.execute("INSERT INTO none VALUES (1)"))
    assert isinstance(failed.exception(), SqlError)
    assert numbers(db) == [1]
    db.close()


def test_a_file_that_is_not_there_is_tried_on_a_new_one(tmp_path: Path) -> None:
    for name in ("tenant-local.db", "system.db"):
        db = rehearse_database(tmp_path / name)
        place = Path(db.path)
        with db.transaction() as tx:
            tx.execute("CREATE TABLE t (n)")
        assert place.is_file()
        db.close()
        assert not place.parent.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_node_keeps_who_it_is_and_an_older_file_its_version(tmp_path: Path) -> None:
    file = tmp_path / "tenant-local.db"
    real = open_tenant_database(file)
    with real.snapshot() as snapshot:
        me = node_id(snapshot)
    real.close()
    db = rehearse_database(file)
    with db.snapshot() as snapshot:
        assert node_id(snapshot) == me
    assert isinstance(db, Rehearsal)
    db.close()
    real = engine.open(file)
    with real.exclusive() as connection:
        connection.pragma("user_version", 1)
    real.close()
    with pytest.raises(OlderFileError, match="version 1"):
        rehearse_database(file)
    assert engine.open(file).query("PRAGMA user_version") == [{"user_version": 1}]


def test_a_file_at_its_limit_refuses_what_the_real_thing_would(file: Path) -> None:
    db = rehearse(file)
    db.max_bytes = 1
    with pytest.raises(LimitError):
        db.stream("s").publish(1)
    db.max_bytes = None
    db.stream("s").publish(1)
    db.close()
