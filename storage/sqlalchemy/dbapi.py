"""What SQLAlchemy takes for a DB-API driver: connections and cursors over the engine's readers and writer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import Any, Literal, NoReturn, TypeAlias
from weakref import WeakSet

import apsw

from storage.engine import Database, Snapshot, Transaction
from storage.engine.connection import Row, Value
from storage.engine.errors import (
    ClosedError,
    ConstraintError,
    EngineError,
    NestedTransactionError,
    ParameterError,
    UsageError,
    from_apsw,
)

Isolation: TypeAlias = Literal["SERIALIZABLE", "IMMEDIATE", "AUTOCOMMIT"]


class StaleReadError(EngineError, RuntimeError):
    """Something was committed after the block had read and before it could write; nothing was written."""

    hint = "run the block again, or begin it with isolation_level='IMMEDIATE'"


class Error(Exception):
    """Base of the DB-API errors that SQLAlchemy knows by name."""


class InterfaceError(Error):
    """The adapter was used wrongly."""


class DatabaseError(Error):
    """The database said no."""


class DataError(DatabaseError):
    """A value does not fit."""


class OperationalError(DatabaseError):
    """Busy, full, read-only, broken, or SQL that names what does not exist."""


class IntegrityError(DatabaseError):
    """A constraint refused the row."""


class InternalError(DatabaseError):
    """SQLite is out of sync with itself."""


class ProgrammingError(DatabaseError):
    """Used after it was closed, or with parameters of a wrong kind."""


class NotSupportedError(DatabaseError):
    """SQLite cannot do this."""


def fail(error: EngineError | apsw.Error | TypeError, path: str) -> NoReturn:
    """Raise the DB-API error that stands for an error of the engine or of APSW."""
    ours = error if isinstance(error, EngineError) else from_apsw(error, path)
    match ours:
        case ConstraintError():
            kind: type[Error] = IntegrityError
        case ClosedError() | ParameterError() | NestedTransactionError() | UsageError():
            kind = ProgrammingError
        case _ if isinstance(error, apsw.MismatchError | apsw.TooBigError | apsw.RangeError):
            kind = DataError
        case _:
            kind = OperationalError
    raise kind(str(ours)) from ours


_READS = re.compile(r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:SELECT|WITH|VALUES|EXPLAIN|PRAGMA(?![^;]*=))\b", re.I | re.S)
_PRAGMA = re.compile(r"\s*PRAGMA\b", re.I)
_known: WeakSet[apsw.Connection] = WeakSet()


def _regexp(*arguments: Any) -> bool | None:
    """The REGEXP operator, as Python's `re.search` (SQLAlchemy's `regexp_match`); NULL gives NULL."""
    pattern, value = arguments
    return None if pattern is None or value is None else re.search(str(pattern), str(value)) is not None


class Connection:
    """What SQLAlchemy takes for a DB-API connection: a snapshot until the first write, then the writer slot."""

    def __init__(self, db: Database, outer: Transaction | None) -> None:
        self.path = db.path
        self.isolation: Isolation = "SERIALIZABLE"
        self._db = db
        self._outer = outer
        self._snapshot: tuple[AbstractContextManager[Snapshot], Snapshot] | None = None
        self._block: AbstractContextManager[Transaction] | None = None
        self._tx: Transaction | None = None
        self._cursors: WeakSet[Cursor] = WeakSet()
        self._open = True

    def begin(self) -> None:
        """Called at the start of every SQLAlchemy transaction."""
        if self._outer is not None or self.isolation == "IMMEDIATE":
            self.write()

    def write(self) -> Transaction:
        """The transaction; takes the writer slot first if need be."""
        if self._tx is not None:
            return self._tx
        if self._outer is not None:
            self._outer.execute("SAVEPOINT joined")
            self._tx = self._outer
            return self._tx
        if self.isolation == "AUTOCOMMIT":
            raise UsageError("AUTOCOMMIT has no transaction: use another isolation level")
        block = self._db.transaction()
        tx = block.__enter__()
        try:
            if self._snapshot is not None and self._is_stale(self._snapshot[1]):
                raise StaleReadError(f"{self.path}: changed by somebody else since this block has read it")
        except BaseException as error:
            block.__exit__(type(error), error, None)
            raise
        self._leave_snapshot()
        self._block, self._tx = block, tx
        return tx

    @staticmethod
    def _is_stale(snapshot: Snapshot) -> bool:
        """Whether anything was committed since the snapshot: nobody can while we hold the slot.

        Inside a read transaction `data_version` is that of the snapshot; after it, that of the file.
        """
        before = snapshot.rows("PRAGMA data_version")
        snapshot.rows("ROLLBACK")
        return snapshot.rows("PRAGMA data_version") != before

    def source(self, sql: str) -> Snapshot | Transaction:
        """Where a statement runs."""
        if not self._open:
            raise ClosedError("this connection was closed")
        if self._tx is not None or self._outer is not None or not _READS.match(sql):
            return self.write()
        if self._snapshot is None:
            manager = self._db.snapshot()
            self._snapshot = manager, manager.__enter__()
        snapshot = self._snapshot[1]
        if _PRAGMA.match(sql):
            # Some pragmas (foreign_key_list) do not look whether the schema has changed since this connection read it:
            # they would say nothing of a new table. A query looks. (test_reflection_sees_tables_made_by_the_writer)
            snapshot.rows("SELECT 1 FROM sqlite_schema LIMIT 1")
        return snapshot

    def cursor(self) -> Cursor:
        """A cursor; it is closed with the transaction."""
        cursor = Cursor(self)
        self._cursors.add(cursor)
        return cursor

    def commit(self) -> None:
        """End the transaction; durable when it returns, waiters are woken."""
        self._end(None)

    def rollback(self) -> None:
        """Undo everything since the begin."""
        self._end(InterfaceError("rollback"))

    def close(self) -> None:
        """Undo what is not committed."""
        self.rollback()
        self._open = False

    @contextmanager
    def one_statement(self, sql: str) -> Iterator[Snapshot | Transaction]:
        """AUTOCOMMIT: a transaction around one statement."""
        with self._db.snapshot() if _READS.match(sql) else self._db.transaction() as source:
            yield source

    def _end(self, error: Exception | None) -> None:
        for cursor in list(self._cursors):
            cursor.close()  # a cursor in the middle of its rows would keep the snapshot open on the pooled connection
        self._leave_snapshot()
        block, tx, self._block, self._tx = self._block, self._tx, None, None
        try:
            if block is not None:
                block.__exit__(type(error) if error else None, error, None)
            elif tx is not None:
                if error is not None:
                    tx.execute("ROLLBACK TO joined")
                tx.execute("RELEASE joined")
        except EngineError as failed:
            fail(failed, self.path)

    def _leave_snapshot(self) -> None:
        if self._snapshot is not None:
            for cursor in list(self._cursors):
                cursor.buffer()  # rows of the snapshot that a result still has to give
            manager, _ = self._snapshot
            self._snapshot = None
            manager.__exit__(None, None, None)


class Cursor:
    """A DB-API cursor over APSW's; rows come as they are fetched."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._live: apsw.Cursor | None = None
        self._rows: Iterator[Row] = iter(())
        self._readonly = True
        self.description: Sequence[tuple[Any, ...]] | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    def execute(self, sql: str, params: Sequence[Value] = ()) -> None:
        """Run one statement."""
        connection = self._connection
        try:
            if connection.isolation == "AUTOCOMMIT":
                with connection.one_statement(sql) as source:
                    self._run(source, sql, params)
                    self.buffer()
            else:
                self._run(connection.source(sql), sql, params)
        except apsw.ExecTraceAbort:
            self._run(connection.write(), sql, params)  # it looked like a query (WITH … INSERT) and writes
        except (EngineError, apsw.Error, TypeError) as error:
            fail(error, connection.path)

    def executemany(self, sql: str, params: Iterable[Sequence[Value]]) -> None:
        """Run a statement for each set of parameters; `rowcount` is their sum."""
        connection = self._connection
        total = 0
        try:
            if connection.isolation == "AUTOCOMMIT":
                with connection.one_statement(sql) as source:
                    total = self._run_many(source, sql, params)
            else:
                total = self._run_many(connection.write(), sql, params)
        except (EngineError, apsw.Error, TypeError) as error:
            fail(error, connection.path)
        self.rowcount = total

    def _run_many(self, source: Snapshot | Transaction, sql: str, params: Iterable[Sequence[Value]]) -> int:
        cursor = self._prepare(source)
        before = cursor.connection.total_changes()
        rows = cursor.executemany(sql, params).fetchall()
        self._rows = iter(rows)
        return cursor.connection.total_changes() - before

    def _prepare(self, source: Snapshot | Transaction) -> apsw.Cursor:
        self._drop()
        self.description = None
        cursor = source.cursor()
        if cursor.connection not in _known:
            cursor.connection.create_scalar_function("regexp", _regexp, 2, deterministic=True)
            _known.add(cursor.connection)
        may_write = isinstance(source, Transaction)

        def trace(running: apsw.Cursor, _: str, __: Any) -> bool:
            # Here, and not after the first step: a query without rows is finished by then and has no description.
            self._readonly = running.is_readonly
            described = running.get_description()
            self.description = [(name, kind, None, None, None, None, None) for name, kind in described] or None
            return may_write or self._readonly

        cursor.exec_trace = trace
        self._live = cursor
        return cursor

    def _run(self, source: Snapshot | Transaction, sql: str, params: Sequence[Value]) -> None:
        cursor = self._prepare(source)
        self._rows = iter(cursor.execute(sql, params))
        self.rowcount = -1
        if not self._readonly:
            connection = cursor.connection
            self.buffer()  # a write is done when execute() returns
            self.rowcount = connection.changes()
            self.lastrowid = connection.last_insert_rowid()

    def buffer(self) -> None:
        """Read the rest of the rows now, since their connection is needed for something else."""
        if self._live is not None:
            self._rows = iter(list(self._rows))
            self._drop()

    def fetchone(self) -> Row | None:
        """The next row."""
        try:
            return next(self._rows, None)
        except apsw.Error as error:
            fail(error, self._connection.path)

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next rows."""
        try:
            return list(islice(self._rows, size or self.arraysize))
        except apsw.Error as error:
            fail(error, self._connection.path)

    def fetchall(self) -> list[Row]:
        """The other rows."""
        try:
            return list(self._rows)
        except apsw.Error as error:
            fail(error, self._connection.path)

    def close(self) -> None:
        """Forget the rest."""
        self._rows = iter(())
        self._drop()

    def setinputsizes(self, *_: Any) -> None:
        """Nothing to set."""

    setoutputsize = setinputsizes

    def _drop(self) -> None:
        if self._live is not None:
            self._live.close(True)
            self._live = None
