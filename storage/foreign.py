"""Reading a SQLite file of another program: read-only, in one transaction, whatever that program writes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from storage.engine.connection import Row, Value, connect
from storage.engine.errors import translated


class ForeignFile:
    """One consistent view of the file."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def rows(self, sql: str, params: Sequence[Value] = ()) -> Iterator[Row]:
        """The rows of a query, as they are read.

        Raises:
            EngineError: there is no such table, or the file is damaged.
        """
        with translated(str(self._path)):
            yield from self._connection.execute(sql, tuple(params))

    def columns(self, table: str) -> frozenset[str]:
        """The columns of a table; empty when there is none."""
        return frozenset(str(row[0]) for row in self.rows("SELECT name FROM pragma_table_info(?)", (table,)))


@contextmanager
def reading(path: Path) -> Iterator[ForeignFile]:
    """Open the file while the block runs.

    Raises:
        EngineError: it is not there, cannot be read, or is no database.
    """
    connection = connect(str(path.absolute()), durability="normal", query_only=True, read_only=True)
    try:
        with translated(str(path)):
            connection.execute("BEGIN")
        yield ForeignFile(connection, path)
    finally:
        connection.close()
