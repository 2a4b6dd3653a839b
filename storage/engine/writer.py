"""The writer slot: one write connection per process and file, used by one transaction at a time.

Two ways in:

* `transaction()` takes the slot on the calling thread;
* `submit()` hands a function to the writer thread, which runs all functions that are waiting in **one** transaction,
  each under its own savepoint, with one COMMIT and so one fsync for all of them (group commit). The answers go out
  only after that COMMIT.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import apsw

from storage.engine.connection import Durability, connect, file_of
from storage.engine.durations import Durations
from storage.engine.errors import ClosedError, NestedTransactionError, from_apsw, translated
from storage.engine.room import Limit
from storage.engine.transaction import Transaction
from storage.engine.wake import WakeHub, Watcher

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

Prepare: TypeAlias = Callable[[apsw.Connection, Callable[[], Transaction]], None]
"""Makes the write connection ready: gets it, and a function that gives the transaction that is open on it."""

MAX_GROUP = 512
"""Functions that share one commit; bounds how long the first of them waits."""


@dataclass(slots=True, eq=False)
class _Request(Generic[T]):
    fn: Callable[[Transaction], T]
    settle: Callable[[_Request[Any]], None]
    """Gives the answer; on `loop` when there is one, else on the writer thread."""
    loop: asyncio.AbstractEventLoop | None = None
    value: Any = None
    error: BaseException | None = None
    touched: frozenset[tuple[str, str]] = field(default_factory=frozenset)


class Writer:
    """Owns the write connection of one database."""

    def __init__(self, path: str, durability: Durability, watcher: Watcher, prepare: Prepare) -> None:
        self._path = path
        self._connection = connect(path, durability=durability, query_only=False)
        self.has_claimed_at = False
        self.limit: Limit | None = None
        self.commits = Durations()
        self._current: Transaction | None = None
        prepare(self._connection, self._open_transaction)
        self._slot = threading.Lock()
        self._owner: int | None = None
        self._closing = False  # no new work is taken
        self._closed = False  # the slot is gone
        self._data_version = self._read_data_version()
        self._foreign = False
        self.wake = WakeHub(file_of(path), self._foreign_commit, watcher)
        self._queue: deque[_Request[Any]] = deque()
        self._arrived = threading.Condition()
        self._thread: threading.Thread | None = None

    # -- the slot ------------------------------------------------------------------------------------------------

    def transaction(self) -> WriteBlock:
        """BEGIN IMMEDIATE … COMMIT on the calling thread; ROLLBACK when the block raises.

        Raises:
            NestedTransactionError: this thread already holds the slot.
            BusyError: another process held the write lock for longer than the busy time-out.
            FullError, DiskError: nothing was written.
        """
        return WriteBlock(self)

    @contextmanager
    def exclusive(self) -> Iterator[apsw.Connection]:
        """The bare connection outside a transaction, for maintenance (checkpoint, backup, barrier)."""
        with self._held(), translated(self._path):
            yield self._connection

    @contextmanager
    def _held(self) -> Iterator[None]:
        self.take()
        try:
            yield
        finally:
            self.leave()

    def take(self) -> None:
        """Take the slot, waiting for other threads."""
        me = threading.get_ident()
        if self._owner == me:
            raise NestedTransactionError("nested db.transaction(): this thread already holds the writer")
        self._slot.acquire()
        if self._closed:
            self._slot.release()
            raise ClosedError(f"{self._path}: the database is closed")
        self._owner = me

    def leave(self) -> None:
        """Give the slot back, and pass on what was noticed of other processes meanwhile."""
        self._owner = None
        self._slot.release()
        if self._foreign:
            self._foreign = False
            self.wake.wake_all()

    def allow(self, limit: Limit | None) -> None:
        """Have a limit hold from now on, also in a transaction that is under way (a rehearsal is one, whole)."""
        self.limit = limit
        if self._current is not None:
            self._current.limit = limit

    def begin(self) -> Transaction:
        """BEGIN; the caller holds the slot."""
        try:  # not `translated`: a context manager around every write costs more than a claim's look at the pauses
            self._connection.execute("BEGIN IMMEDIATE")
            if self.wake.has_waiters:
                self._note_data_version()
        except apsw.Error as error:
            raise from_apsw(error, self._path) from error
        self._current = Transaction(self._connection, self._path, has_claimed_at=self.has_claimed_at, limit=self.limit)
        return self._current

    def _open_transaction(self) -> Transaction:
        if self._current is None:
            raise ClosedError("a honker_ function outside a transaction")
        return self._current

    def commit(self, tx: Transaction) -> None:
        """COMMIT, or undo everything and say why."""
        tx.finish()
        began = perf_counter()
        try:
            self._connection.execute("COMMIT")
        except apsw.Error as error:
            self.rollback(tx)
            raise from_apsw(error, self._path) from error
        self.commits.note(perf_counter() - began)

    def rollback(self, tx: Transaction) -> None:
        """Undo everything."""
        tx.finish()
        if not self._connection.get_autocommit():  # a full disk rolls back by itself
            with translated(self._path):
                self._connection.execute("ROLLBACK")

    # -- commits of other processes ------------------------------------------------------------------------------

    def _read_data_version(self) -> int:
        return int(self._connection.pragma("data_version"))

    def _note_data_version(self) -> None:
        seen = self._read_data_version()
        if seen != self._data_version:
            self._data_version = seen
            self._foreign = True

    def _foreign_commit(self) -> bool:
        """Look for a commit of another process; the wake-up thread calls it while somebody waits.

        When the slot is taken there is no need to wait for it: the transaction that holds it looked when it began,
        and nobody else can commit until it ends; the next poll comes after that.
        """
        if not self._slot.acquire(blocking=False):
            return False
        try:
            if self._closed:
                return False
            try:
                self._note_data_version()
            except apsw.BusyError:
                return False  # a recovery of another process: the next look comes
            except apsw.Error as error:
                raise from_apsw(error, self._path) from error
            found, self._foreign = self._foreign, False
            return found
        finally:
            self._slot.release()

    # -- group commit --------------------------------------------------------------------------------------------

    def submit(self, fn: Callable[[Transaction], T]) -> Future[T]:
        """Run `fn(tx)` on the writer thread; the future ends when its commit is done (and, with FULL, on disk)."""
        future: Future[T] = Future()

        def settle(request: _Request[T]) -> None:
            if not future.set_running_or_notify_cancel():
                return
            if request.error is not None:
                future.set_exception(request.error)
            else:
                future.set_result(request.value)

        self._enqueue(_Request(fn, settle))
        return future

    async def run(self, fn: Callable[[Transaction], T]) -> T:
        """Like `submit`, for the running event loop, without a detour over `concurrent.futures`.

        Cancelling the wait does not undo the write.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(request: _Request[T]) -> None:
            if future.cancelled():
                return
            if request.error is not None:
                future.set_exception(request.error)
            else:
                future.set_result(request.value)

        self._enqueue(_Request(fn, settle, loop))
        return await future

    def _enqueue(self, request: _Request[Any]) -> None:
        with self._arrived:
            if self._closing:
                raise ClosedError(f"{self._path}: the database is closed")
            self._queue.append(request)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="engine-writer", daemon=True)
                self._thread.start()
            self._arrived.notify()

    def _serve(self) -> None:
        while True:
            with self._arrived:
                while not self._queue:
                    if self._closing:
                        return
                    self._arrived.wait()
                group = [self._queue.popleft() for _ in range(min(MAX_GROUP, len(self._queue)))]
            self._commit_group(group)
            _answer(group)

    def _commit_group(self, group: list[_Request[Any]]) -> None:
        """Run the group in one transaction; a failing member undoes only itself."""
        touched: set[tuple[str, str]] = set()
        try:
            with self._held():
                tx = self.begin()
                try:
                    for request in group:
                        self._run_member(tx, request, alone=len(group) == 1)
                    touched.update(tx.touched)
                except BaseException:
                    self.rollback(tx)
                    raise
                self.commit(tx)
        except BaseException as error:  # noqa: BLE001 - every member is told; none is dropped
            for request in group:
                if request.error is None:
                    request.error = error
            return
        self.wake.committed(frozenset(touched))

    def _run_member(self, tx: Transaction, request: _Request[Any], *, alone: bool) -> None:
        try:
            if alone:  # its savepoint would be the transaction
                request.value = request.fn(tx)
                return
            with tx.transaction():
                request.value = request.fn(tx)
        except BaseException as error:
            request.error = error
            if alone or self._connection.get_autocommit():  # a full disk, an I/O error: the whole group is undone
                raise

    def close(self) -> None:
        """Finish what is queued, then close the connection; idempotent."""
        with self._arrived:
            if self._closing:
                return
            self._closing = True
            self._arrived.notify_all()
        if self._thread is not None:
            self._thread.join()  # drains the queue: _closed is not set yet
        with self._held():
            self._closed = True
        self.wake.close(ClosedError(f"{self._path}: the database is closed"))
        with translated(self._path):
            self._connection.close()


class WriteBlock:
    """`with writer.transaction() as tx`. A class, since it stands around every single write: a third of the time that
    nested context managers take.
    """

    __slots__ = ("_tx", "_writer")

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._tx: Transaction | None = None

    def __enter__(self) -> Transaction:
        writer = self._writer
        writer.take()
        try:
            self._tx = writer.begin()
        except BaseException:
            writer.leave()
            raise
        return self._tx

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        writer, tx = self._writer, self._tx
        assert tx is not None, "entered"
        try:
            if kind is None:
                writer.commit(tx)
            else:
                writer.rollback(tx)
        finally:
            writer.leave()
        if kind is None and writer.wake.has_waiters:
            writer.wake.committed(tx.touched)


def _answer(group: list[_Request[Any]]) -> None:
    """Give every answer; those for one event loop in one go, since each wake-up of a loop costs a system call."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Request[Any]]] = {}
    for request in group:
        if request.loop is None:
            request.settle(request)
        else:
            by_loop.setdefault(request.loop, []).append(request)
    for loop, requests in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle_all, requests)


def _settle_all(requests: list[_Request[Any]]) -> None:
    for request in requests:
        request.settle(request)
