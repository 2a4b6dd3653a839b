"""The adapter beyond the compliance suite: what it shares with the engine's transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from storage import engine
from storage.engine import Database
from storage.engine.errors import ConstraintError, UsageError
from storage.sqlalchemy import StaleReadError, create_engine, joined, transaction_of

metadata = sa.MetaData()
items = sa.Table(
    "items",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("data", sa.JSON),
    sa.Column("kind", sa.String, server_default="plain"),
)


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = engine.open(tmp_path / "t.db")
    metadata.create_all(create_engine(db))
    yield db
    db.close()


def names(db: Database) -> list[str]:
    return [row["name"] for row in db.query("SELECT name FROM items ORDER BY id")]


def test_rows_notify_publish_and_enqueue_commit_together(db: Database) -> None:
    sql = create_engine(db)
    with sql.begin() as conn:
        key = conn.execute(sa.insert(items).values(name="a", data={"n": 1})).inserted_primary_key
        tx = transaction_of(conn)
        tx.notify("items:created", {"id": 1})
        db.stream("items").append([("a", "{}", 0)], tx)
        db.queue("work").enqueue({"id": 1}, tx=tx)
        assert db.query("SELECT count(*) AS n FROM items")[0]["n"] == 0  # nobody sees half of it
    assert key is not None
    assert tuple(key) == (1,)
    assert names(db) == ["a"]
    assert len(db.stream("items").read()) == 1
    assert db.queue("work").claim_one("w") is not None


def test_rows_notify_publish_and_enqueue_roll_back_together(db: Database) -> None:
    sql = create_engine(db)
    with pytest.raises(LookupError), sql.begin() as conn:
        conn.execute(sa.insert(items).values(name="a"))
        tx = transaction_of(conn)
        db.stream("items").append([("a", "{}", 0)], tx)
        db.queue("work").enqueue({}, tx=tx)
        raise LookupError
    assert names(db) == []
    assert db.stream("items").read() == []
    assert db.queue("work").claim_one("w") is None


async def test_a_commit_wakes_listeners(db: Database) -> None:
    listener = db.listen("items")
    with create_engine(db).begin() as conn:
        transaction_of(conn).notify("items", {"n": 1})
    async with asyncio.timeout(30):
        assert (await anext(aiter(listener))).payload == {"n": 1}


def test_an_orm_session_shares_the_transaction(db: Database) -> None:
    Base.metadata.create_all(create_engine(db))
    with Session(create_engine(db)) as session, session.begin():
        session.add(Person(name="a"))
        assert transaction_of(session).rows("SELECT name FROM people") == [("a",)]
    with Session(create_engine(db)) as session:
        found = session.scalars(sa.select(Person)).one()
        found.name = "b"
        session.commit()
    assert db.query("SELECT name FROM people") == [{"name": "b"}]


def test_nested_blocks_are_savepoints(db: Database) -> None:
    with create_engine(db).begin() as conn:
        conn.execute(sa.insert(items).values(name="kept"))
        with pytest.raises(sa.exc.IntegrityError) as caught, conn.begin_nested():
            conn.execute(sa.insert(items).values(name="undone"))
            conn.execute(sa.insert(items).values(name="kept"))
        conn.execute(sa.insert(items).values(name="after"))
    assert caught.value.orig is not None
    assert isinstance(caught.value.orig.__cause__, ConstraintError)
    assert names(db) == ["kept", "after"]


def test_reading_takes_no_write_lock_and_sees_one_state(db: Database) -> None:
    sql = create_engine(db)
    with sql.connect() as reader:
        assert reader.scalar(sa.select(sa.func.count()).select_from(items)) == 0
        with sql.begin() as writer:  # the same thread: it would dead-lock or be refused if reading took the slot
            writer.execute(sa.insert(items).values(name="a"))
        assert reader.scalar(sa.select(sa.func.count()).select_from(items)) == 0
    with sql.connect() as reader:
        assert reader.scalar(sa.select(sa.func.count()).select_from(items)) == 1


def test_a_write_after_a_read_that_is_stale_is_refused(db: Database) -> None:
    sql = create_engine(db)
    with sql.begin() as setup:
        setup.execute(sa.insert(items).values(name="balance", data=100))
    with sql.connect() as conn:
        assert conn.scalar(sa.select(items.c.data)) == 100
        with db.transaction() as tx:
            tx.execute("UPDATE items SET data = 50")
        with pytest.raises(sa.exc.OperationalError) as caught:
            conn.execute(sa.update(items).values(data=90))
        assert caught.value.orig is not None
        assert isinstance(caught.value.orig.__cause__, StaleReadError)
    assert db.query("SELECT data FROM items") == [{"data": 50}]


def test_a_write_after_a_fresh_read_is_one_transaction(db: Database) -> None:
    with create_engine(db).begin() as conn:
        count = conn.scalar(sa.select(sa.func.count()).select_from(items))
        conn.execute(sa.insert(items).values(name=f"n{count}"))
    assert names(db) == ["n0"]


def test_immediate_takes_the_slot_at_once(db: Database) -> None:
    sql = create_engine(db, isolation_level="IMMEDIATE")
    with sql.begin() as conn:
        waiting = db.submit(lambda tx: tx.execute("INSERT INTO items (name) VALUES ('other')"))
        assert conn.scalar(sa.select(sa.func.count()).select_from(items)) == 0
        assert not waiting.done()
        conn.execute(sa.insert(items).values(name="first"))
    waiting.result(30)
    assert names(db) == ["first", "other"]


def test_autocommit_commits_each_statement_and_has_no_transaction(db: Database) -> None:
    sql = create_engine(db, isolation_level="AUTOCOMMIT")
    with sql.connect() as conn:
        conn.execute(sa.insert(items).values(name="a"))
        conn.execute(sa.insert(items), [{"name": "b"}, {"name": "c"}])
        assert conn.scalars(sa.select(items.c.name).order_by(items.c.id)).all() == ["a", "b", "c"]
        with pytest.raises(UsageError):
            transaction_of(conn)
    assert names(db) == ["a", "b", "c"]


def test_joined_runs_inside_an_open_transaction(db: Database) -> None:
    sql = create_engine(db)
    with db.transaction() as tx:
        with joined(sql, tx) as conn:
            conn.execute(sa.insert(items).values(name="a"))
        with pytest.raises(sa.exc.IntegrityError), joined(sql, tx) as conn:
            conn.execute(sa.insert(items).values(name="undone"))
            conn.execute(sa.insert(items).values(name="a"))
        assert names(db) == []
        assert tx.rows("SELECT name FROM items") == [("a",)]
    assert names(db) == ["a"]


def test_a_query_that_writes_goes_to_the_writer(db: Database) -> None:
    with create_engine(db).begin() as conn:
        conn.execute(sa.text("WITH new(n) AS (VALUES ('a'), ('b')) INSERT INTO items (name) SELECT n FROM new"))
        conn.execute(sa.text("PRAGMA user_version = 7"))
    assert names(db) == ["a", "b"]
    assert db.query("PRAGMA user_version") == [{"user_version": 7}]


def test_results_stream_and_an_unread_one_does_not_hold_the_snapshot(db: Database) -> None:
    sql = create_engine(db)
    with sql.begin() as conn:
        conn.execute(sa.insert(items), [{"name": str(n)} for n in range(1_000)])
    with sql.connect() as conn:
        first = conn.execution_options(yield_per=10).execute(sa.select(items.c.id))
        assert first.fetchone() == (1,)
    with db.transaction() as tx:
        tx.execute("DELETE FROM items")
    for _ in range(20):  # every pooled reader sees the new state
        with sql.connect() as conn:
            assert conn.scalar(sa.select(sa.func.count()).select_from(items)) == 0


def test_rows_of_a_result_survive_the_switch_to_the_writer(db: Database) -> None:
    sql = create_engine(db)
    with sql.begin() as conn:
        conn.execute(sa.insert(items), [{"name": str(n)} for n in range(100)])
    with sql.begin() as conn:
        for row in conn.execute(sa.select(items.c.id)):
            conn.execute(sa.update(items).where(items.c.id == row.id).values(kind="seen"))
    assert db.query("SELECT count(*) AS n FROM items WHERE kind = 'seen'") == [{"n": 100}]


def test_reflection_sees_tables_made_by_the_writer(db: Database) -> None:
    sql = create_engine(db)
    with sql.connect() as conn:
        conn.execute(sa.select(items))  # the pooled reader knows the schema as it is now
    with db.transaction() as tx:
        tx.execute("CREATE TABLE child (id INTEGER PRIMARY KEY, item INTEGER REFERENCES items(id))")
    with sql.connect() as conn:
        assert conn.exec_driver_sql("PRAGMA foreign_key_list(child)").all() != []
    assert sa.inspect(sql).get_foreign_keys("child")[0]["referred_table"] == "items"


def test_errors_are_sqlalchemys(db: Database) -> None:
    sql = create_engine(db)
    with sql.connect() as conn:
        with pytest.raises(sa.exc.OperationalError, match="no such table"):
            conn.execute(sa.text("SELECT * FROM nowhere"))
        with pytest.raises(sa.exc.ProgrammingError):
            conn.exec_driver_sql("SELECT ?", (object(),))
    db.close()
    with pytest.raises(sa.exc.ProgrammingError, match="closed"), sql.connect() as conn:
        conn.execute(sa.select(items))
