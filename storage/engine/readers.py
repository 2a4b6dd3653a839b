"""A pool of query-only connections: reads never touch the write lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from storage.engine.connection import Params, Row, connect, fetch_dicts, fetch_rows
from storage.engine.errors import ClosedError, translated


class Snapshot:
    """A consistent view of the database on one reader connection; use it on the thread that got it."""

    def __init__(self, connection: apsw.Connection, path: str) -> None:
        self._connection = connection
        self._path = path

    def query(self, sql: str, params: Params = None) -> list[dict[str, Any]]:
        """Run a query and return its rows as dictionaries."""
        with translated(self._path):
            return fetch_dicts(self._connection, sql, params)

    def rows(self, sql: str, params: Params = None) -> list[Row]:
        """Run a query and return its rows as tuples."""
        with translated(self._path):
            return fetch_rows(self._connection, sql, params)

    def cursor(self) -> apsw.Cursor:
        """A bare cursor, for adapters that read row by row; close it before the snapshot ends."""
        return self._connection.cursor()


class Onlooker:
    """Tells of commits, for a handle that has no write connection. Any thread may ask, and close."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: apsw.Connection | None = None
        self._seen: int | None = None
        self._closed = False

    def has_foreign_commit(self) -> bool:
        """Whether anybody may have committed since the last call; at the first one, nobody can know.

        Raises:
            DatabaseError: the file cannot be read any more.
        """
        with self._lock, translated(self._path):
            if self._closed:
                return False
            if self._connection is None:
                self._connection = connect(self._path, durability="normal", query_only=True, read_only=True)
            before, self._seen = self._seen, int(self._connection.pragma("data_version"))
            return self._seen != before

    def close(self) -> None:
        """Close the connection. Idempotent."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None


class Readers:
    """At most `limit` query-only connections, opened when needed and kept."""

    def __init__(self, path: str, limit: int, *, read_only: bool = False) -> None:
        self._path = path
        self._read_only = read_only
        self._free: list[apsw.Connection] = []
        self._permits = threading.Semaphore(limit)
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """A read transaction: every query inside sees the same state of the database.

        Waits when all connections are taken. A snapshot that is held for long keeps the WAL from being recycled.

        Raises:
            ClosedError: the database was closed.
        """
        with self._permits:
            connection = self._take()
            try:
                with translated(self._path):
                    connection.execute("BEGIN")
                try:
                    yield Snapshot(connection, self._path)
                finally:
                    if not connection.get_autocommit():
                        connection.execute("ROLLBACK")
            finally:
                self._give(connection)

    def try_read(self, fn: Callable[[Snapshot], None]) -> bool:
        """Run `fn` if an open connection is free at once; False when none is.

        There is no transaction around it: each statement of `fn` sees a state of its own.
        """
        if not self._permits.acquire(blocking=False):
            return False
        try:
            with self._lock:
                connection = self._free.pop() if self._free and not self._closed else None
            if connection is None:
                return False
            try:
                fn(Snapshot(connection, self._path))
            finally:
                self._give(connection)
        finally:
            self._permits.release()
        return True

    def _take(self) -> apsw.Connection:
        with self._lock:
            if self._closed:
                raise ClosedError(f"{self._path}: the database is closed")
            if self._free:
                return self._free.pop()
        return connect(self._path, durability="normal", query_only=True, read_only=self._read_only)

    def _give(self, connection: apsw.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._free.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close the idle connections; those in use close when they are given back. Idempotent."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for connection in free:
            connection.close()
