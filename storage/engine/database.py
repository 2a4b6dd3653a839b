"""`open()` and the handle it returns."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import apsw

from storage.engine import schema, sql_functions
from storage.engine.connection import Durability, Params, create_private, file_of
from storage.engine.cron import CronSchedule
from storage.engine.durations import Durations
from storage.engine.errors import BusyError, ClosedError, OpenedReadOnlyError, UsageError
from storage.engine.locks import Lock
from storage.engine.notify import Listener, prune_notifications
from storage.engine.outbox import Outbox
from storage.engine.queue import MAX_ATTEMPTS, VISIBILITY_TIMEOUT_S, Queue, check_options
from storage.engine.rate_limit import sweep_rate_limits, try_rate_limit
from storage.engine.readers import Onlooker, Readers, Snapshot
from storage.engine.retention import Cut, Limits, cut_stream, plan_stream, prune_dead, prune_results
from storage.engine.room import Limit
from storage.engine.scheduler import Scheduler
from storage.engine.stream import Stream
from storage.engine.tasks import Task
from storage.engine.transaction import Transaction
from storage.engine.wake import WakeHub, Watcher
from storage.engine.wal_sync import WalSync
from storage.engine.worker import run_workers
from storage.engine.writer import Writer

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class Database:
    """One SQLite file that is data store, message bus and event log.

    One writer (its transactions follow one another, across processes too), many readers. Safe to share between
    threads. Keep it open for as long as the process works with the file; `close()` finishes queued writes.

    After a crash the file holds exactly the transactions whose commit returned; with `durability="normal"` a *power
    cut* may take the last of those back.
    """

    def __init__(
        self,
        path: str,
        max_readers: int,
        durability: Durability,
        *,
        read_only: bool,
        clock: Callable[[], float],
        watcher: Watcher,
    ) -> None:
        if max_readers < 1:
            raise UsageError("max_readers must be at least 1")
        self.path = path
        self.clock = clock
        """Unix seconds; what queues, locks, results and schedules go by."""
        self.durability = durability
        self.read_only = read_only
        self.closed = False
        self._max_bytes: int | None = None
        self.at_close: list[Callable[[], None]] = []
        """What is called when the file is closed, by those who keep something beside it."""
        self._streams: dict[str, Stream] = {}
        self._queues: dict[str, Queue] = {}
        self._outboxes: dict[str, Outbox] = {}
        self._writer: Writer | None = None
        self._wal: WalSync | None = None
        self._onlooker: Onlooker | None = None
        if read_only:
            self._onlooker = Onlooker(path)
            self._wake = WakeHub(file_of(path), self._onlooker.has_foreign_commit, watcher)
        else:
            create_private(path)
            self._wal = WalSync(file_of(path))
            self._writer = Writer(path, durability, watcher, partial(sql_functions.register, clock=clock))
            self._wake = self._writer.wake
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
        with self._writer.exclusive() as connection:
            self._writer.has_claimed_at = schema.has_claimed_at(connection)

    # -- writing -------------------------------------------------------------------------------------------------

    @property
    def max_bytes(self) -> int | None:
        """How much the file may hold (`used_bytes`) before new events and jobs are refused; None: what the disk has.

        Every process has its own idea of it: whoever opens the file says it. What makes room is never refused.
        """
        return self._max_bytes

    @max_bytes.setter
    def max_bytes(self, value: int | None) -> None:
        self._max_bytes = value
        if self._writer is None or value is None:
            limit = None
        else:
            with self.snapshot() as snapshot:
                ((page_size,),) = snapshot.rows("PRAGMA page_size")
            limit = Limit(value, int(page_size))
        if self._writer is not None:
            self._writer.allow(limit)

    @property
    def _writable(self) -> Writer:
        if self._writer is None:
            raise OpenedReadOnlyError(f"{self.path}: opened read-only")
        return self._writer

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A write transaction on the calling thread; commits when the block ends, rolls back when it raises.

        Raises:
            NestedTransactionError: this thread holds one already; use `tx.transaction()`.
            BusyError, FullError, ReadOnlyError, DiskError: nothing was written.
        """
        return self._writable.transaction()

    async def run(self, fn: Callable[[Transaction], T]) -> T:
        """Run `fn(tx)` on the writer thread and return its result after the commit.

        Calls that wait together share one commit (and one fsync); a function that raises undoes only its own
        writes. The event loop is never blocked. Cancelling the wait does not undo the write.
        """
        return await self._writable.run(fn)

    def submit(self, fn: Callable[[Transaction], T]) -> Future[T]:
        """Like `run`, from any thread."""
        return self._writable.submit(fn)

    def exclusive(self) -> AbstractContextManager[apsw.Connection]:
        """The write connection itself, outside a transaction, for maintenance; nobody else writes meanwhile."""
        return self._writable.exclusive()

    def barrier(self) -> None:
        """Return when everything that any process committed so far is on disk.

        Needed before an event is sent elsewhere: with `durability="normal"`, or when a foreign program writes with
        `synchronous=NORMAL`, a commit alone does not say so. It syncs the write-ahead log, where a commit lies until a
        checkpoint has brought it into the file, synced. Writes nothing: a full disk does not stop it.

        Raises:
            DiskError: the disk failed. The next call does not believe a second sync, which would cover only what was
                written since (fsync forgets what it could not write): it brings the log into the file instead.
            BusyError: that was not possible now.
        """
        if self._wal is None:
            raise OpenedReadOnlyError(f"{self.path}: opened read-only")
        if self.closed:
            raise ClosedError(f"{self.path}: the database is closed")
        if not self._wal.failed:
            self._wal.sync()
            return
        with self.exclusive() as connection:
            ((busy, _, _),) = connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
        if busy:
            raise BusyError(f"{self.path}: the log could not be brought into the file: it is being read")
        self._wal.failed = False

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

        import asyncio

        def work() -> T:
            with self._readers.snapshot() as snapshot:
                return fn(snapshot)

        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def read_if_free(self, fn: Callable[[Snapshot], None]) -> None:
        """Run one statement through `fn(snapshot)` on this thread if a reader is free at once, else not at all."""
        self._readers.try_read(fn)

    # -- streams and channels ------------------------------------------------------------------------------------

    def stream(self, name: str) -> Stream:
        """The stream of that name; the same object each time."""
        return self._streams.setdefault(name, Stream(self, name))

    def listen(self, channel: str, fallback_poll_s: float = 15.0) -> Listener:
        """Listen to a channel from now on."""
        return Listener(self, channel, fallback_poll_s)

    # -- queues, locks, limits, schedules ---------------------------------------------------------------------------

    def queue(self, name: str, visibility_timeout_s: float | None = None, max_attempts: int | None = None) -> Queue:
        """The queue of that name; the same object each time. Writes nothing (Honker rewrites a view each time).

        Without options it is looked up, or made with 300 s and 3 attempts.

        Raises:
            UsageError: it was opened with other options before.
        """
        known = self._queues.get(name)
        if known is None:
            visibility = VISIBILITY_TIMEOUT_S if visibility_timeout_s is None else visibility_timeout_s
            attempts = MAX_ATTEMPTS if max_attempts is None else max_attempts
            check_options(name, visibility, attempts)
            return self._queues.setdefault(name, Queue(self, name, visibility, attempts))
        if visibility_timeout_s not in (None, known.visibility_timeout_s) or max_attempts not in (
            None,
            known.max_attempts,
        ):
            raise UsageError(f"queue {name!r} was opened with other options")
        return known

    def outbox(
        self,
        name: str,
        delivery: Callable[[Any], Any],
        max_attempts: int = 5,
        base_backoff_s: float = 5,
        visibility_timeout_s: float = 60,
    ) -> Outbox:
        """The outbox of that name; the same object each time.

        Raises:
            UsageError: it was opened with other options or another delivery before.
            TypeError: `delivery` cannot be called.
        """
        known = self._outboxes.get(name)
        if known is None:
            made = Outbox(self, name, delivery, max_attempts, base_backoff_s, visibility_timeout_s)
            return self._outboxes.setdefault(name, made)
        given = (delivery, max_attempts, base_backoff_s, visibility_timeout_s)
        if given != (known.delivery, known.max_attempts, known.base_backoff_s, known.visibility_timeout_s):
            raise UsageError(f"outbox {name!r} was opened with other options")
        return known

    def lock(self, name: str, ttl: float = 60, owner: str | None = None) -> Lock:
        """A lock as a context manager; entering raises `LockHeld` when another owner has it."""
        return Lock(self, name, ttl, owner)

    def try_rate_limit(self, name: str, limit: int, per: int) -> bool:
        """Count one use in the current window of `per` seconds; False when there were `limit` already."""
        with self.transaction() as tx:
            return try_rate_limit(tx, name, limit, per, now=self.clock())

    def sweep_rate_limits(self, older_than_s: float = 3_600) -> int:
        """Forget old windows; returns how many."""
        with self.transaction() as tx:
            return sweep_rate_limits(tx, older_than_s, now=self.clock())

    def scheduler(self, lock_name: str | None = None) -> Scheduler:
        """The schedules of this database."""
        return Scheduler(self, lock_name)

    def prune_notifications(self, older_than_s: float | None = None, max_keep: int | None = None) -> int:
        """Delete notifications that are older, or beyond the newest `max_keep`; returns how many. No limit: none.

        Raises:
            UsageError: a limit is negative.
        """
        with self.transaction() as tx:
            return prune_notifications(tx, older_than_s, max_keep, now=self.clock())

    def retain_stream(self, topic: str, limits: Limits, required: Sequence[str] = (), *, dry_run: bool = False) -> Cut:
        """Delete events of a stream beyond the limits, never before the slowest of the `required` consumers.

        Returns what was cut, what the limits asked for and who held the rest. Deletes in small transactions; a crash in
        between leaves the oldest part deleted. `dry_run` only says what would be done.
        """
        with self.snapshot() as snapshot:
            cut = plan_stream(snapshot, topic, limits, required, now=self.clock())
        deleted = 0
        while not dry_run:
            with self.transaction() as tx:
                count = cut_stream(tx, cut)
            deleted += count
            if not count:
                return replace(cut, events=deleted)
        return cut

    def retain_dead(self, queue: str, limits: Limits) -> int:
        """Delete dead jobs of a queue beyond the limits; returns how many."""
        with self.transaction() as tx:
            return prune_dead(tx, queue, limits, now=self.clock())

    def retain_results(self, limits: Limits) -> int:
        """Delete results beyond the limits; returns how many."""
        with self.transaction() as tx:
            return prune_results(tx, limits, now=self.clock())

    def task(self, queue: str = "default", **options: Any) -> Callable[[Callable[..., Any]], Task]:
        """Make a function a task of a queue; see `Queue.task`."""
        return self.queue(queue).task(**options)

    def periodic_task(
        self, schedule: CronSchedule | str, queue: str = "default", **options: Any
    ) -> Callable[[Callable[..., Any]], Task]:
        """Make a function a periodic task of a queue; see `Queue.periodic_task`."""
        return self.queue(queue).periodic_task(schedule, **options)

    async def run_workers(
        self,
        queue: str | None = None,
        concurrency: int | None = None,
        stop_event: asyncio.Event | None = None,
    ) -> None:
        """Run the tasks of a queue, or of every queue that has tasks, until `stop_event`."""
        await run_workers(self, queue, concurrency, stop_event)

    async def update_events(self) -> AsyncIterator[None]:
        """Yield None after commits, of this process or another; several commits may come as one.

        Raises:
            EngineError: the database was closed, or its file was replaced.
        """
        waiter = self.wake.add(None)
        try:
            while True:
                await waiter.wait()
                waiter.clear()
                yield None
        finally:
            self.wake.remove(waiter)

    @property
    def commits(self) -> Durations:
        """How long the commits of this process took, fsync included."""
        return self._writable.commits

    @property
    def wake(self) -> WakeHub:
        """Wake-ups of this database."""
        return self._wake

    def close(self) -> None:
        """Finish queued writes and close every connection; idempotent. Waiters get `ClosedError`."""
        if self.closed:
            return
        self.closed = True
        if self._writer is not None:
            self._writer.close()
        if self._wal is not None:
            self._wal.close()
        if self._onlooker is not None:
            self._wake.close(ClosedError(f"{self.path}: the database is closed"))
            self._onlooker.close()
        self._pool.shutdown(wait=True)
        self._readers.close()
        for call in self.at_close:
            call()


def open(
    path: str | os.PathLike[str],
    max_readers: int = 8,
    watcher_backend: str | None = None,
    watcher_poll_interval_ms: float | None = None,
    *,
    durability: Durability = "full",
    read_only: bool = False,
    clock: Callable[[], float] = time.time,
) -> Database:
    """Open a database file, creating it (mode 0600) with Honker's tables when it is new.

    Args:
        path: the file. `:memory:` is refused: each connection would see a database of its own.
        max_readers: reader connections, and threads for `read()`.
        watcher_backend: how commits of other processes are noticed: None (the best there is), `kernel` (inotify) or
            `polling`.
        watcher_poll_interval_ms: how often to poll where that is done.
        durability: `full` makes every commit survive a power cut; `normal` is Honker's choice.
        read_only: open without any write access; streams can be read and followed, nothing can be published. On a
            read-only file system the file is read as it is.
        clock: unix seconds; what queues, locks, results and schedules go by.

    Raises:
        CannotOpenError, NotADatabaseError, ReadOnlyError, CorruptError: why it cannot be used; nothing was changed.
        NoSharedMemoryError: with `read_only`, where nobody has it open and its directory cannot be written.
        UsageError: an argument is outside what is accepted.
    """
    name = os.fspath(path)
    if name == ":memory:":
        raise UsageError("':memory:' gives each connection a database of its own; use a file")
    watcher = Watcher.of(watcher_backend, watcher_poll_interval_ms)
    return Database(name, max_readers, durability, read_only=read_only, clock=clock, watcher=watcher)
