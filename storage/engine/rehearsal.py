"""A handle on which everything can be tried, and of which nothing stays."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from storage.engine import schema
from storage.engine.connection import Params
from storage.engine.database import Database
from storage.engine.readers import Snapshot
from storage.engine.transaction import Transaction
from storage.engine.wake import Watcher

T = TypeVar("T")


class Rehearsal(Database):
    """An open file whose writes are one transaction that is rolled back when it is closed.

    What is done with it sees its own writes, and fails where it would fail; what it returns is true of the moment.
    Nobody else sees any of it, and no other writer comes between: they wait until it is closed, so close it soon. For
    the thread that opened it alone.
    """

    def _bootstrap(self) -> None:
        writer = self._writable
        with writer.exclusive() as connection:
            writer.has_claimed_at = schema.has_claimed_at(connection)
        self._block = writer.transaction()
        self._tx = self._block.__enter__()

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A part of the whole: when the block raises, what was done in it is undone at once."""
        return self._tx.transaction()

    async def run(self, fn: Callable[[Transaction], T]) -> T:
        """Run `fn(tx)` now."""
        with self.transaction() as tx:
            return fn(tx)

    def submit(self, fn: Callable[[Transaction], T]) -> Future[T]:
        """Run `fn(tx)` now; the future has ended."""
        future: Future[T] = Future()
        try:
            with self.transaction() as tx:
                future.set_result(fn(tx))
        except Exception as error:  # noqa: BLE001 - as `Database.submit`: whoever asks the future is told
            future.set_exception(error)
        return future

    def barrier(self) -> None:
        """Nothing: none of this will ever be on disk."""

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """What is there, with what was written here."""
        yield Snapshot(self._tx.cursor().connection, self.path)

    def query(self, sql: str, params: Params = None) -> list[dict[str, Any]]:
        """Run one query; it sees what was written here."""
        return self._tx.query(sql, params)

    async def read(self, fn: Callable[[Snapshot], T]) -> T:
        """Run `fn(snapshot)` now."""
        with self.snapshot() as snapshot:
            return fn(snapshot)

    def close(self) -> None:
        """Undo everything and close the file; idempotent."""
        if not self.closed and hasattr(self, "_block"):
            undone = Undone()
            self._block.__exit__(Undone, undone, None)
        super().close()


class Undone(Exception):
    """Ends a rehearsal."""


def rehearse(path: str | os.PathLike[str], clock: Callable[[], float] = time.time) -> Rehearsal:
    """Open a file to try something on it. It has to be there, with the tables of the engine.

    Raises:
        CannotOpenError, NotADatabaseError, ReadOnlyError, CorruptError: why it cannot be used.
        BusyError: another process held the write lock for too long.
    """
    return Rehearsal(os.fspath(path), 1, "full", read_only=False, clock=clock, watcher=Watcher.of(None, None))
