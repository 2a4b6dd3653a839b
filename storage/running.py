"""What runs, and in which process: so that what a killed one leaves behind is found, and not believed to run for ever.

A row of `running` is written in the transaction of the event that begins something, and goes in that of the event that
ends it. A process is known by a file beside the database that it holds locked (`storage.process_lock`): the kernel lets
go of it when the process dies, however it dies, and in containers too, where a pid says nothing.
"""

from __future__ import annotations

import errno
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias
from weakref import WeakKeyDictionary

from storage.engine import Database, DiskError, FullError, Snapshot, Transaction
from storage.private_file import make_private_folder
from storage.process_lock import ProcessLock, holder

Kind: TypeAlias = Literal["call", "session"]

FOLDER = "running"


class Running:
    """What one open database of this process runs. Safe to share between threads."""

    def __init__(self, db: Database) -> None:
        self._folder = Path(db.path).parent / FOLDER
        self._lock: ProcessLock | None = None
        self._process = ""
        self._taking = threading.Lock()

    def began(self, tx: Transaction, kind: Kind, ids: Sequence[str]) -> None:
        """Note that these run here, in the transaction that says that they began.

        Raises:
            FullError, DiskError: the file that stands for this process cannot be made.
        """
        process = self._present()
        tx.executemany("INSERT OR REPLACE INTO running VALUES (?, ?, ?)", [(kind, each, process) for each in ids])

    def ended(self, tx: Transaction, kind: Kind, ids: Sequence[str]) -> None:
        """Note that these run no longer, in the transaction that says so. Ids that did not run do no harm."""
        tx.executemany("DELETE FROM running WHERE kind = ? AND id = ?", [(kind, each) for each in ids])

    def left(self, snapshot: Snapshot | Transaction) -> list[tuple[Kind, str]]:
        """What runs according to the rows, of processes that are gone.

        Nothing in it can end any more: a process lets go of its file after it has closed the database. Whoever takes it
        over asks in the write transaction in which he ends it: two may want to.
        """
        gone = [
            process
            for (process,) in snapshot.rows("SELECT DISTINCT process FROM running")
            if holder(self._folder / process) is None
        ]
        rows = "SELECT kind, id FROM running WHERE process = ? ORDER BY kind, id"
        return [(kind, each) for process in gone for kind, each in snapshot.rows(rows, (process,))]

    def _present(self) -> str:
        with self._taking:
            if self._lock is None:
                self._process = uuid.uuid4().hex
                lock = ProcessLock(self._folder / self._process)
                try:
                    make_private_folder(self._folder)
                    lock.acquire()
                except OSError as error:
                    kind = FullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else DiskError
                    raise kind(f"{self._folder}: {error.strerror}") from error
                self._lock = lock
            return self._process

    def release(self) -> None:
        """Let go of the file, after the database was closed: what this process has not ended is left."""
        with self._taking:
            if self._lock is not None:
                (self._folder / self._process).unlink(missing_ok=True)
                self._lock.release()
                self._lock = None


def forget(tx: Transaction) -> None:
    """Note that nothing runs: for a copy of the file, which nobody works with yet. It may be of an older program."""
    if tx.rows("SELECT 1 FROM sqlite_schema WHERE name = 'running'"):
        tx.execute("DELETE FROM running")


_all: WeakKeyDictionary[Database, Running] = WeakKeyDictionary()
_making = threading.Lock()


def running(db: Database) -> Running:
    """The one of this database."""
    with _making:
        found = _all.get(db)
        if found is None:
            found = _all[db] = Running(db)
            db.at_close.append(found.release)
        return found
