"""The dialect: SQLAlchemy's SQLite, on the engine's connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine.interfaces import DBAPIConnection, IsolationLevel

from storage.engine.connection import sqlite_version
from storage.engine.errors import EngineError
from storage.sqlalchemy import dbapi


class Module:
    """What SQLAlchemy takes for the DB-API module."""

    paramstyle = "qmark"
    apilevel = "2.0"
    threadsafety = 1
    Error = dbapi.Error
    InterfaceError = dbapi.InterfaceError
    DatabaseError = dbapi.DatabaseError
    DataError = dbapi.DataError
    OperationalError = dbapi.OperationalError
    IntegrityError = dbapi.IntegrityError
    InternalError = dbapi.InternalError
    ProgrammingError = dbapi.ProgrammingError
    NotSupportedError = dbapi.NotSupportedError
    Binary = bytes
    sqlite_version = sqlite_version()
    sqlite_version_info = tuple(int(part) for part in sqlite_version.split("."))


class SpokeDialect(SQLiteDialect):
    """SQLAlchemy's SQLite, on the engine."""

    driver = "spoke"
    supports_statement_cache = True
    default_paramstyle = "qmark"
    supports_server_side_cursors = False  # every result streams

    @classmethod
    def import_dbapi(cls) -> Any:
        """The module."""
        return Module

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        return Module.sqlite_version_info

    def do_begin(self, dbapi_connection: Any) -> None:
        """Start a transaction."""
        try:
            dbapi_connection.dbapi_connection.begin()
        except EngineError as error:
            dbapi.fail(error, dbapi_connection.path)

    def get_isolation_level_values(self, dbapi_conn: DBAPIConnection) -> Sequence[IsolationLevel]:
        """The three that there are."""
        return ["SERIALIZABLE", "IMMEDIATE", "AUTOCOMMIT"]  # type: ignore[list-item]

    def get_default_isolation_level(self, dbapi_conn: DBAPIConnection) -> IsolationLevel:
        """Snapshots for reading, one writer."""
        return "SERIALIZABLE"

    def get_isolation_level(self, dbapi_connection: Any) -> IsolationLevel:
        """The present one."""
        level: IsolationLevel = dbapi_connection.isolation
        return level

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """Choose one; SQLAlchemy has checked that there is such a one and no transaction."""
        dbapi_connection.isolation = level

    def reset_isolation_level(self, dbapi_conn: Any) -> None:
        """Back to the level that the engine was made with."""
        self.set_isolation_level(dbapi_conn, self._on_connect_isolation_level or "SERIALIZABLE")

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        """Whether each statement commits by itself."""
        return bool(dbapi_conn.isolation == "AUTOCOMMIT")

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """There is no network; a database that was closed stays closed."""
        return False


registry.register("sqlite.spoke", __name__, SpokeDialect.__name__)
