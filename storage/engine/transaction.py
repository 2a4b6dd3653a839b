"""What a caller can do between BEGIN and COMMIT."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

from storage.engine import schema
from storage.engine.connection import Params, Row, Value, checked, fetch_dicts, file_of
from storage.engine.errors import ClosedError, FullError, LimitError, from_apsw, translated
from storage.engine.payload import dumps
from storage.engine.room import Limit
from storage.engine.wake import Topic

KEEP_FREE_BYTES = 1024 * 1024
"""Events are refused when less is free on the disk: it is kept for small writes, such as those that make room."""


class Transaction:
    """An open write transaction on the single writer connection.

    Everything done through it commits or rolls back together; nobody is woken before the commit. Use it on the
    thread that got it, and not after its block has ended (`ClosedError`).
    """

    def __init__(
        self, connection: apsw.Connection, path: str, *, has_claimed_at: bool = False, limit: Limit | None = None
    ) -> None:
        self._connection = connection
        self._path = path
        self.has_claimed_at = has_claimed_at
        """The file was made by a Honker newer than 0.5.0, which notes when a job was claimed."""
        self._touched: set[Topic] = set()
        self._depth = 0
        self._open = True
        self.limit = limit
        self._on_disk = False
        self._room = False

    @property
    def touched(self) -> frozenset[Topic]:
        """The topics that this transaction changed and that waiters are woken for."""
        return frozenset(self._touched)

    def touch(self, kind: str, name: str) -> None:
        """Note that waiters for `(kind, name)` must be woken at commit."""
        self._touched.add((kind, name))

    # These three run for every row that is written: one try each, no context managers (a third of their time).

    def execute(self, sql: str, params: Params = None) -> None:
        """Run a statement; rows, if any, are dropped."""
        self.rows(sql, params)

    def rows(self, sql: str, params: Params = None) -> list[Row]:
        """Run a query and return its rows as tuples; it sees this transaction's own writes."""
        if not self._open:
            raise ClosedError("this transaction has ended")
        try:
            return self._connection.execute(sql, checked(params)).fetchall()
        except (apsw.Error, TypeError, UnicodeDecodeError) as error:
            raise from_apsw(error, self._path) from error

    def executemany(self, sql: str, params: Iterable[Sequence[Value]]) -> None:
        """Run a statement once for each set of parameters (much faster than a loop of `execute`)."""
        with self._usable():
            self._connection.executemany(sql, params).fetchall()

    def query(self, sql: str, params: Params = None) -> list[dict[str, Any]]:
        """Run a query and return its rows as dictionaries; it sees this transaction's own writes."""
        with self._usable():
            return fetch_dicts(self._connection, sql, params)

    def cursor(self) -> apsw.Cursor:
        """A bare cursor, for adapters that read row by row; close it before the transaction ends."""
        if not self._open:
            raise ClosedError("this transaction has ended")
        return self._connection.cursor()

    @property
    def changes(self) -> int:
        """Rows changed by the last statement."""
        return self._connection.changes()

    @property
    def last_insert_rowid(self) -> int:
        """Row id of the last INSERT."""
        return self._connection.last_insert_rowid()

    def notify(self, channel: str, payload: Any) -> int:
        """Write a notification; listeners of the channel get it after the commit. Returns its id."""
        text = dumps(payload)
        rows = self.rows(
            "INSERT INTO _honker_notifications (channel, payload) VALUES (?, ?) RETURNING id", (channel, text)
        )
        self.touch("notify", channel)
        return int(rows[0][0])

    def bootstrap_honker_schema(self) -> None:
        """Create Honker's tables where they are missing; idempotent."""
        with self._usable():
            schema.bootstrap(self._connection)

    def require_room(self, *, despite_limit: bool = False) -> None:
        """Refuse something new when the file holds as much as it may, or the disk is all but full.

        Looked at once a transaction, and once a savepoint, which is what a member of a group commit is, but for what
        `Limit` leaves out: a file can be larger than its limit by what one of them writes.

        `despite_limit`: only the disk counts.

        Raises:
            LimitError: the file has reached its limit.
            FullError: less than `KEEP_FREE_BYTES` is free on the disk.
        """
        if self._room:
            return
        self._require_disk()
        if despite_limit:
            return
        limit = self.limit
        if limit is not None and (used := limit.reached_by(self._connection)) is not None:
            raise LimitError(
                f"{self._path}: holds {used:,} bytes, which is all that storage.max_bytes ({limit.max_bytes:,}) allows"
            )
        self._room = True

    def _require_disk(self) -> None:
        if self._on_disk:
            return
        disk = os.statvfs(file_of(self._path))
        if (disk.f_bavail if os.geteuid() else disk.f_bfree) * disk.f_frsize < KEEP_FREE_BYTES:
            raise FullError(f"{self._path}: less than {KEEP_FREE_BYTES // 1024} KiB is free on the disk")
        self._on_disk = True

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A savepoint: an exception inside undoes only what was done inside, and is raised on.

        Raises:
            DatabaseError: SQLite rolled the whole transaction back (a full disk, an I/O error).
        """
        name = f"spoke_{self._depth}"
        touched = set(self._touched)
        self._room = False
        self.execute(f"SAVEPOINT {name}")
        self._depth += 1
        try:
            yield self
        except BaseException:
            self._touched = touched
            if not self._connection.get_autocommit():  # else SQLite already rolled everything back
                self.execute(f"ROLLBACK TO {name}")
                self.execute(f"RELEASE {name}")
            raise
        else:
            self.execute(f"RELEASE {name}")
        finally:
            self._depth -= 1

    def finish(self) -> None:
        """Refuse further use; the writer calls it when the block ends."""
        self._open = False

    @contextmanager
    def _usable(self) -> Iterator[None]:
        if not self._open:
            raise ClosedError("this transaction has ended")
        with translated(self._path):
            yield
