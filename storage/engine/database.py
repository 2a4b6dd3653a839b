"""`open()` and the handle it returns."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from storage.engine import schema
from storage.engine.connection import Durability, Params, create_private
from storage.engine.errors import ReadOnlyError, UsageError
from storage.engine.notify import Listener
from storage.engine.readers import Readers, Snapshot
from storage.engine.stream import Stream
from storage.engine.transaction import Transaction
from storage.engine.wake import WakeHub
from storage.engine.writer import Writer

T = TypeVar("T")


class Database:
    """One SQLite file that is data store, message bus and event log.

    One writer (its transactions follow one another, across processes too), many readers. Safe to share between
    threads. Keep it open for as long as the process works with the file; `close()` finishes queued writes.

    After a crash the file holds exactly the transactions whose commit returned; with `durability="normal"` a *power
    cut* may take the last of those back.
    """

    def __init__(self, path: str, max_readers: int, durability: Durability, *, read_only: bool) -> None:
        if max_readers < 1:
            raise UsageError("max_readers must be at least 1")
        self.path = path
        self.durability = durability
        self.read_only = read_only
        self.closed = False
        self._streams: dict[str, Stream] = {}
        self._writer: Writer | None = None
        if not read_only:
            create_private(path)
            self._writer = Writer(path, durability)
        self._readers = Readers(path, max_readers, read_only=read_only)
        self._pool = ThreadPoolExecutor(max_readers, thread_name_prefix="engine-reader")
        try:
            self._bootstrap()
        except BaseException:
            self.close()
            raise

    def _bootstrap(self) -> None:
        if self._writer is None:
            return
        with self._writer.exclusive() as connection:
            complete = schema.is_complete(connection)
        if not complete:
            with self.transaction() as tx:
                tx.bootstrap_honker_schema()

    # -- writing -------------------------------------------------------------------------------------------------

    @property
    def _writable(self) -> Writer:
        if self._writer is None:
            raise ReadOnlyError(f"{self.path}: opened read-only")
        return self._writer

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A write transaction on the calling thread; commits when the block ends, rolls back when it raises.

        Raises:
            NestedTransactionError: this thread holds one already; use `tx.transaction()`.
            BusyError, FullError, ReadOnlyError, DiskError: nothing was written.
        """
        with self._writable.transaction() as tx:
            yield tx

    async def run(self, fn: Callable[[Transaction], T]) -> T:
        """Run `fn(tx)` on the writer thread and return its result after the commit.

        Calls that wait together share one commit (and one fsync); a function that raises undoes only its own
        writes. The event loop is never blocked. Cancelling the wait does not undo the write.
        """
        return await self._writable.run(fn)

    def submit(self, fn: Callable[[Transaction], T]) -> Future[T]:
        """Like `run`, from any thread."""
        return self._writable.submit(fn)

    def barrier(self) -> None:
        """Return when everything that any process committed so far is on disk.

        Needed before an event is sent elsewhere: with `durability="normal"`, or when a foreign program writes with
        `synchronous=NORMAL`, a commit alone does not say so. It commits one page with `synchronous=FULL`: the fsync
        of the WAL covers every frame before it.
        """
        with self._writable.exclusive() as connection:
            version = int(connection.pragma("user_version"))
            connection.pragma("synchronous", "full")
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.pragma("user_version", version)  # the same value, but a page to write
                connection.execute("COMMIT")
            finally:
                if not connection.get_autocommit():
                    connection.execute("ROLLBACK")
                if self.durability == "normal":
                    connection.pragma("synchronous", "normal")

    # -- reading -------------------------------------------------------------------------------------------------

    def query(self, sql: str, params: Params = None) -> list[dict[str, Any]]:
        """Run one query on a reader connection and return its rows as dictionaries."""
        with self._readers.snapshot() as snapshot:
            return snapshot.query(sql, params)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """A consistent read view on a reader connection, for several queries."""
        with self._readers.snapshot() as snapshot:
            yield snapshot

    async def read(self, fn: Callable[[Snapshot], T]) -> T:
        """Run `fn(snapshot)` on a reader thread, so that the event loop never waits for the disk."""

        def work() -> T:
            with self._readers.snapshot() as snapshot:
                return fn(snapshot)

        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    # -- streams and channels ------------------------------------------------------------------------------------

    def stream(self, name: str) -> Stream:
        """The stream of that name; the same object each time."""
        return self._streams.setdefault(name, Stream(self, name))

    def listen(self, channel: str, fallback_poll_s: float = 15.0) -> Listener:
        """Listen to a channel from now on."""
        return Listener(self, channel, fallback_poll_s)

    @property
    def wake(self) -> WakeHub:
        """Wake-ups of this database."""
        return self._writable.wake

    def close(self) -> None:
        """Finish queued writes and close every connection; idempotent. Waiters get `ClosedError`."""
        if self.closed:
            return
        self.closed = True
        if self._writer is not None:
            self._writer.close()
        self._pool.shutdown(wait=True)
        self._readers.close()


def open(
    path: str | os.PathLike[str],
    max_readers: int = 8,
    *,
    durability: Durability = "full",
    read_only: bool = False,
) -> Database:
    """Open a database file, creating it (mode 0600) with Honker's tables when it is new.

    Args:
        path: the file. `:memory:` is refused: each connection would see a database of its own.
        max_readers: reader connections, and threads for `read()`.
        durability: `full` makes every commit survive a power cut; `normal` is Honker's choice.
        read_only: open without any write access; streams can be read, nothing can be published.

    Raises:
        CannotOpenError, NotADatabaseError, ReadOnlyError, CorruptError: why it cannot be used; nothing was changed.
    """
    name = os.fspath(path)
    if name == ":memory:":
        raise UsageError("':memory:' gives each connection a database of its own; use a file")
    return Database(name, max_readers, durability, read_only=read_only)
