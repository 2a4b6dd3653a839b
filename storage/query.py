"""One SELECT of a person's own over a file of ours: it can read, and nothing else, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import apsw

from storage.engine.connection import Params, Row, checked, connect
from storage.engine.errors import EngineError, from_apsw

MAX_VALUE_BYTES = 64 * 1_048_576
"""No value may be larger: `zeroblob(2000000000)` would take the memory of a small machine."""
STEPS = 2_000
"""Steps of SQLite's machine between two looks at the clock: some microseconds."""
_WITH_ARGUMENT = frozenset(
    {
        "foreign_key_check",
        "foreign_key_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "integrity_check",
        "quick_check",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)
"""PRAGMAs whose argument is a name or a limit, not a value to set."""
_PRAGMAS = _WITH_ARGUMENT | frozenset(
    {
        "application_id",
        "collation_list",
        "compile_options",
        "data_version",
        "database_list",
        "freelist_count",
        "function_list",
        "journal_mode",
        "module_list",
        "page_count",
        "page_size",
        "pragma_list",
        "schema_version",
        "user_version",
    }
)
"""That only say something."""


class BadQueryError(EngineError, ValueError):
    """The SQL is wrong; the message says where."""

    hint = "tables and columns: spoke sql \"select name, sql from sqlite_schema where type = 'table'\""


class OnlyReadingError(EngineError, PermissionError):
    """The SQL would do something else than read this file."""

    hint = "a SELECT, or a PRAGMA that only says something; to change data, call an operation: spoke operations"


class TooLongError(EngineError, TimeoutError):
    """The query did not end in time."""

    hint = "give it longer with --timeout, or add a LIMIT; `explain query plan select …` says what it does"


@dataclass(frozen=True, slots=True)
class Answer:
    """Columns, as the query names them, and the rows, read as they are taken."""

    columns: tuple[str, ...]
    rows: Iterator[Row]


@contextmanager
def select(
    path: Path, sql: str, params: Params = None, *, timeout_s: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[Answer]:
    """Run one reading statement on a connection of its own while the block runs.

    The file is opened without write access, `query_only`, with an authorizer that lets nothing but reading pass: no
    ATTACH, no transaction, no PRAGMA that sets something. What another process commits meanwhile is not seen.

    Raises:
        BadQueryError: it is no SQL, names what does not exist, or is more than one statement.
        OnlyReadingError: it would write, attach or set something.
        TooLongError: `timeout_s` seconds are over, also while rows are taken.
        EngineError: the file cannot be opened or is damaged.
    """
    connection = connect(str(path), durability="normal", query_only=True, read_only=True)
    ends = clock() + timeout_s
    try:
        connection.limit(apsw.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        connection.authorizer = _authorize
        connection.set_progress_handler(lambda: clock() >= ends, STEPS)
        cursor = connection.cursor()
        seen: list[tuple[str, ...]] = []
        cursor.exec_trace = partial(_look, seen)  # where no row comes, the columns cannot be asked for afterwards
        with _explained(path, sql, timeout_s):
            cursor.execute(sql, checked(params), can_cache=False)
        if not seen or not seen[0]:
            raise BadQueryError("that asks for nothing")
        yield Answer(seen[0], _rows(cursor, path, sql, timeout_s))
    finally:
        connection.close()


def _rows(cursor: apsw.Cursor, path: Path, sql: str, timeout_s: float) -> Iterator[Row]:
    with _explained(path, sql, timeout_s):
        yield from cursor


def _authorize(action: int, one: str | None, two: str | None, _: str | None, __: str | None) -> int:
    if action in (apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_RECURSIVE):
        return apsw.SQLITE_OK
    if action == apsw.SQLITE_FUNCTION:
        return apsw.SQLITE_DENY if two in ("load_extension", "fts3_tokenizer") else apsw.SQLITE_OK
    if action == apsw.SQLITE_PRAGMA and one in _PRAGMAS and (two is None or one in _WITH_ARGUMENT):
        return apsw.SQLITE_OK
    return apsw.SQLITE_DENY


def _look(seen: list[tuple[str, ...]], cursor: apsw.Cursor, _: str, __: object) -> bool:
    """Called before each statement: notes the columns of the first, and lets no second one run."""
    if seen:
        raise BadQueryError("that is more than one statement")
    seen.append(tuple(str(column[0]) for column in cursor.get_description()))
    return True


@contextmanager
def _explained(path: Path, sql: str, timeout_s: float) -> Iterator[None]:
    try:
        yield
    except apsw.InterruptError as error:
        raise TooLongError(f"the query did not end within {timeout_s:g} s") from error
    except (apsw.AuthError, apsw.ReadOnlyError) as error:
        raise OnlyReadingError("only reading is allowed here") from error
    except (apsw.SQLError, apsw.TooBigError, apsw.RangeError, apsw.MismatchError, apsw.BindingsError) as error:
        raise BadQueryError(f"{error}{_position(sql, getattr(error, 'error_offset', -1))}") from error
    except UnicodeDecodeError as error:
        raise BadQueryError("a text of the result is not UTF-8: cast it to a blob, or use hex()") from error
    except apsw.Error as error:
        raise from_apsw(error, str(path)) from error


def _position(sql: str, offset: int) -> str:
    """SQLite counts bytes; people count lines and characters."""
    if offset < 0:
        return ""
    before = sql.encode()[:offset].decode(errors="ignore")
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    where = f"line {line}, character {column}" if "\n" in sql else f"character {column}"
    rest = sql[len(before) :].split("\n", 1)[0]
    return f" at {where}: {rest[:30]}" + ("…" if len(rest) > 30 else "")
