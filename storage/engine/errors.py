"""The errors of the engine, and the one place where SQLite's errors become ours.

Every error derives from `EngineError` and also from what Honker raises in the same place (`RuntimeError`,
`ValueError`, `TypeError`), so a program written for Honker keeps catching what it caught.

    EngineError
    ├── ClosedError (RuntimeError)            the database handle was closed
    ├── ParameterError (TypeError)            SQL parameters of a kind that SQLite cannot store
    ├── PayloadError (TypeError, ValueError)  a payload that is not JSON
    ├── UsageError (ValueError)               an argument outside what the call accepts
    ├── FileReplacedError (RuntimeError)      the file under an open handle was replaced or removed
    ├── NestedTransactionError (RuntimeError) a second transaction on the thread that holds one
    └── DatabaseError (RuntimeError)          SQLite said no
        ├── BusyError, FullError, ReadOnlyError, CorruptError, NotADatabaseError,
        ├── CannotOpenError (NoSharedMemoryError), DiskError, ConstraintError, SqlError, QueryInterruptedError
        └── LimitError (FullError)            the file holds as much as it may
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar

import apsw


class EngineError(Exception):
    """Base of everything the engine raises.

    `hint` says what to do next, for a person at a terminal.
    """

    hint: ClassVar[str] = ""


class ClosedError(EngineError, RuntimeError):
    """The database handle was closed."""

    hint = "open the database again"


class ParameterError(EngineError, TypeError):
    """SQL parameters must be a sequence of None, bool, int, float, str or bytes."""


class PayloadError(EngineError, TypeError, ValueError):
    """The payload cannot be written as JSON."""


class UsageError(EngineError, ValueError):
    """An argument is outside what the call accepts."""


class NestedTransactionError(EngineError, RuntimeError):
    """This thread already holds the writer; use `tx.transaction()` for a savepoint."""


class ExtensionLoadingUnsupported(EngineError, RuntimeError):
    """There is no loadable extension."""


class FileReplacedError(EngineError, RuntimeError):
    """The database file was replaced or removed while it was open."""

    hint = "open it again; what was committed to the old file is in the old file"


class DatabaseError(EngineError, RuntimeError):
    """SQLite refused the statement."""


class BusyError(DatabaseError):
    """Another process held the write lock for longer than the busy time-out."""

    hint = "try again; if it lasts, look for a process that keeps a transaction open on this file"


class FullError(DatabaseError):
    """The disk is full, or the process may write no larger file; the transaction was rolled back."""

    hint = "free some disk space and try again"


class LimitError(FullError):
    """The file holds as much as it may (`storage.max_bytes`): nothing new is taken, nothing was written."""

    hint = (
        "let the hub have what waits (spoke sync now), let go of what it has ([retention], spoke db retention),"
        " or raise storage.max_bytes"
    )


class ReadOnlyError(DatabaseError):
    """The database cannot be written."""

    hint = "check the owner and the permissions of the file and of its directory"


class OpenedReadOnlyError(ReadOnlyError):
    """The database was opened without write access, as it was asked for."""

    hint = "to change something, do it without --read-only"


class CorruptError(DatabaseError):
    """The database file is damaged."""

    hint = "stop every program that uses it, keep a copy, and restore the latest backup"


class NotADatabaseError(DatabaseError):
    """The file is not an SQLite database."""

    hint = "check the path; the file was not touched"


class CannotOpenError(DatabaseError):
    """The database file cannot be opened or created."""

    hint = "check that the directory exists and that you may write to it"


class NoSharedMemoryError(CannotOpenError):
    """Nobody has the database open, and what readers share (`-wal`, `-shm`) cannot be made beside it."""

    hint = "copy the file (and its -wal, if there is one) to a directory that you may write to, or start the services"


class DiskError(DatabaseError):
    """The operating system failed to read or write the file."""

    hint = "check the disk (dmesg) before you go on"


class ConstraintError(DatabaseError):
    """A constraint of the schema refused the row."""


class SqlError(DatabaseError):
    """The SQL text is wrong, or names something that does not exist."""


class TextError(DatabaseError):
    """A text in the file is not UTF-8: another program wrote it, or a JSON value has half of a surrogate pair."""

    hint = "look at its bytes with `spoke sql` and hex(COLUMN)"


class QueryInterruptedError(DatabaseError):
    """The statement was interrupted."""


_BY_APSW: dict[type[apsw.Error], type[DatabaseError]] = {
    apsw.BusyError: BusyError,
    apsw.LockedError: BusyError,
    apsw.FullError: FullError,
    apsw.ReadOnlyError: ReadOnlyError,
    apsw.PermissionsError: ReadOnlyError,
    apsw.CorruptError: CorruptError,
    apsw.NotADBError: NotADatabaseError,
    apsw.CantOpenError: CannotOpenError,
    apsw.IOError: DiskError,
    apsw.ConstraintError: ConstraintError,
    apsw.SQLError: SqlError,
    apsw.InterruptError: QueryInterruptedError,
}


def from_apsw(error: apsw.Error | TypeError | UnicodeDecodeError, path: str) -> Exception:
    """Return our error for one of APSW's; `path` goes into the message.

    A TypeError out of a statement is a parameter that cannot be bound, unless it is an error of ours already (from one
    of our SQL functions).
    """
    if isinstance(error, TypeError):
        return error if isinstance(error, EngineError) else ParameterError(f"unsupported SQL parameter type: {error}")
    if isinstance(error, UnicodeDecodeError):
        return TextError(f"{path}: a text is not UTF-8: {error.reason} at byte {error.start}")
    if isinstance(error, apsw.ConnectionClosedError):
        return ClosedError(f"{path}: the database is closed")
    if isinstance(error, apsw.IOError) and (why := _no_room(error, path)):
        return FullError(f"{path}: {why}")
    kind = next((ours for theirs, ours in _BY_APSW.items() if isinstance(error, theirs)), DatabaseError)
    text = (str(error).strip() or type(error).__name__).replace("apsw.", "")
    return kind(f"{path}: {text}")


_ROOM_BYTES = 65_536
"""More than SQLite makes at once of a `-shm`, 32 KiB."""


def _no_room(error: apsw.IOError, path: str) -> str:
    """Why an I/O error of SQLite means a disk that is full for us: it says so of pages only, not of a `-shm`."""
    code = getattr(error, "extendedresult", None)
    if code == apsw.SQLITE_IOERR_WRITE and resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
        return "this process may not write larger files (ulimit -f)"
    if code in (apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_SHMSIZE, apsw.SQLITE_IOERR_SHMMAP):
        with suppress(OSError):
            disk = os.statvfs(os.path.dirname(path) or ".")
            if disk.f_bavail * disk.f_frsize < _ROOM_BYTES:
                return "the disk is full"
    return ""


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn APSW's exceptions of the block into the engine's."""
    try:
        yield
    except (apsw.Error, TypeError, UnicodeDecodeError) as error:
        raise from_apsw(error, path) from error
