"""SQLAlchemy on the engine's own connections: typed queries that share a transaction with notify, publish and enqueue.

    engine = create_engine(db)
    with engine.begin() as conn:
        conn.execute(insert(nodes).values(…))
        transaction_of(conn).notify("nodes:created", {…})  # one commit

* A block reads on a reader connection: one snapshot, the write lock is not touched. Its first statement that writes
  (or `transaction_of`) takes the writer slot. When something was committed between the snapshot and the slot, what
  the block has read may be wrong: `StaleReadError` (as `sqlalchemy.exc.OperationalError`), nothing was written, run
  the block again. `isolation_level="IMMEDIATE"` takes the slot at the start instead; `"AUTOCOMMIT"` commits each
  statement.
* `begin_nested()` is a savepoint. Results stream: rows are read as they are asked for.
* `joined(engine, tx)` gives a connection inside a transaction of the engine that is open already.

Errors are SQLAlchemy's; the engine's, with its hint, is their `__cause__.__cause__`. Importing this module costs
SQLAlchemy (0.3 s): only generated operations, migrations' drift test and programs that embed us do it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary, ref

import sqlalchemy
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from storage.engine import Database, Transaction
from storage.engine.errors import UsageError
from storage.sqlalchemy.dbapi import Connection, Isolation, StaleReadError
from storage.sqlalchemy.dialect import SpokeDialect

__all__ = ["Isolation", "SpokeDialect", "StaleReadError", "create_engine", "joined", "shared_engine", "transaction_of"]


def create_engine(db: Database, *, isolation_level: Isolation = "SERIALIZABLE", **options: Any) -> sqlalchemy.Engine:
    """Return a SQLAlchemy engine over an open database.

    Disposing of it does not close the database. `options` are those of `sqlalchemy.create_engine`.
    """
    return sqlalchemy.create_engine(
        "sqlite+spoke://",
        creator=lambda: Connection(db, _joined.get()),
        poolclass=NullPool,
        isolation_level=isolation_level,
        **options,
    )


_shared: WeakKeyDictionary[Database, sqlalchemy.Engine] = WeakKeyDictionary()


def shared_engine(db: Database) -> sqlalchemy.Engine:
    """The one engine of a database that generated operations share: with it they share its compiled statements."""
    found = _shared.get(db)
    if found is None:
        alive = ref(db)  # the engine must not keep alive what it is found by

        def connect() -> Connection:
            known = alive()
            if known is None:
                raise UsageError("the database of this engine is gone")
            return Connection(known, _joined.get())

        found = sqlalchemy.create_engine("sqlite+spoke://", creator=connect, poolclass=NullPool)
        found = _shared.setdefault(db, found)
    return found


def transaction_of(connection: sqlalchemy.Connection | Session) -> Transaction:
    """The engine's transaction behind a SQLAlchemy connection or ORM session: what is done through either commits or
    rolls back together. Takes the writer slot if the block has not written yet.

    Raises:
        StaleReadError: as for a first write; begin the block again.
        UsageError: the connection is in AUTOCOMMIT and has no transaction.
    """
    if isinstance(connection, Session):
        connection.flush()
        connection = connection.connection()
    if not connection.in_transaction():
        connection.begin()
    dbapi: object = connection.connection.dbapi_connection
    if not isinstance(dbapi, Connection):
        raise UsageError("this is no connection of storage.sqlalchemy.create_engine")
    return dbapi.write()


_joined: ContextVar[Transaction | None] = ContextVar("joined", default=None)


@contextmanager
def joined(engine: sqlalchemy.Engine, tx: Transaction) -> Iterator[sqlalchemy.Connection]:
    """A SQLAlchemy connection inside `tx`: under a savepoint that is released at the end and undone by an exception.

    Whether it lasts is up to `tx`.
    """
    token = _joined.set(tx)
    try:
        connection = engine.connect()
    finally:
        _joined.reset(token)
    with connection, connection.begin():
        yield connection
