"""One APSW connection with Honker's pragmas, and the conversion of parameters and rows."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias
from urllib.parse import quote, unquote, urlsplit

import apsw

from storage.engine.errors import CannotOpenError, NoSharedMemoryError, ParameterError, ReadOnlyError, translated

Value: TypeAlias = bool | int | float | str | bytes | None
Params: TypeAlias = Sequence[Value] | None
Row: TypeAlias = tuple[Any, ...]
Durability: TypeAlias = Literal["full", "normal"]

BUSY_TIMEOUT_MS = 5_000
CACHE_KIB = 32_000
WAL_AUTOCHECKPOINT_PAGES = 1_000
"""Honker lets the WAL grow to 10 000 pages (40 MB); SQLite's own default keeps it at 4 MB on small disks."""


def sqlite_version() -> str:
    """Return the version of the bundled SQLite."""
    return apsw.sqlite_lib_version()


def file_of(path: str) -> str:
    """The file that a path or an SQLite URI (`file:…?…`) names."""
    return unquote(urlsplit(path).path) if path.startswith("file:") else path


def create_private(path: str) -> None:
    """Create an empty database file that only its owner can read.

    Does nothing when the file exists. It is never opened here in that case: closing a descriptor on a file that
    this process has connections on would drop SQLite's POSIX locks (tests/storage/engine/test_open.py,
    test_locks_survive_opening_the_same_file_again).
    """
    try:
        os.close(os.open(file_of(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        if error.errno == errno.EROFS or isinstance(error, PermissionError | FileNotFoundError | NotADirectoryError):
            raise CannotOpenError(f"{path}: {error.strerror}") from error
        raise CannotOpenError(f"{path}: {error}") from error


def connect(path: str, *, durability: Durability, query_only: bool, read_only: bool = False) -> apsw.Connection:
    """Open a connection with Honker's pragmas (honker.md, section a).

    `query_only` connections refuse writes; `read_only` ones open the file itself without write access. `durability`
    chooses `synchronous`: FULL makes COMMIT wait for the disk, NORMAL leaves that to the next checkpoint.

    Readers share an index of the write-ahead log (`-shm`). A `read_only` connection uses the one that is there, or
    makes it. Where neither can be, the file is read as it is, but only on a read-only file system: nobody can write.

    Raises:
        NoSharedMemoryError: there is no `-shm`, it cannot be made, and somebody might write to the file meanwhile.
        DatabaseError: in the flavour that says why (cannot open, not a database, corrupt, read-only …).
    """
    try:
        return _connect(path, durability, query_only=query_only, read_only=read_only)
    except (CannotOpenError, ReadOnlyError) as error:
        file = file_of(path)
        if not read_only or not os.access(file, os.R_OK):
            raise
        if not _never_changes(file):
            raise NoSharedMemoryError(f"{path}: nobody has it open, and its directory cannot be written") from error
    unchanging = f"file:{quote(os.path.abspath(file))}?immutable=1"
    return _connect(unchanging, durability, query_only=query_only, read_only=True)


def _never_changes(file: str) -> bool:
    """Whether a file lies where nobody can write, with nothing in a write-ahead log that a reader would miss."""
    wal = f"{file}-wal"
    read_only = os.statvfs(file).f_flag & os.ST_RDONLY
    return bool(read_only) and not (os.path.exists(wal) and os.path.getsize(wal))


def _connect(path: str, durability: Durability, *, query_only: bool, read_only: bool) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_URI
    flags |= apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    with translated(path):
        connection = apsw.Connection(path, flags=flags)
        try:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            if not read_only:
                connection.pragma("journal_mode", "wal")
                connection.pragma("wal_autocheckpoint", WAL_AUTOCHECKPOINT_PAGES)
            connection.pragma("synchronous", "full" if durability == "full" else "normal")
            connection.pragma("foreign_keys", True)
            connection.pragma("cache_size", -CACHE_KIB)
            connection.pragma("temp_store", "memory")
            if query_only:
                connection.pragma("query_only", True)
            connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()  # a foreign file shows itself here
        except BaseException:
            connection.close()
            raise
    return connection


def checked(params: Params) -> Sequence[Value]:
    """Return parameters that may be bound: a positional sequence. What is in it, SQLite's binding checks.

    Raises:
        ParameterError: not a positional sequence.
    """
    if params.__class__ is tuple or params.__class__ is list:
        return params
    if params is None:
        return ()
    if isinstance(params, str | bytes) or not isinstance(params, Sequence):
        raise ParameterError("SQL parameters must be a positional sequence")
    return params


def fetch_dicts(connection: apsw.Connection, sql: str, params: Params) -> list[dict[str, Any]]:
    """Run one query and return rows as dictionaries, in the order of the columns."""
    cursor = connection.execute(sql, checked(params))
    try:
        names = [column[0] for column in cursor.get_description()]
    except apsw.ExecutionCompleteError:
        return []
    return [dict(zip(names, row, strict=True)) for row in cursor]


def fetch_rows(connection: apsw.Connection, sql: str, params: Params) -> list[Row]:
    """Run one query and return rows as tuples."""
    return connection.execute(sql, checked(params)).fetchall()
