"""Honker's file format and API in Python: SQLite as data store, message bus, event log.

    import storage.engine as engine

    db = engine.open("spoke.db")
    offset = db.stream("orders").publish({"id": 1})
    for event in db.stream("orders").read(after=0):
        print(event.offset, event.payload)

Stands on APSW, msgspec and the standard library alone; knows nothing of tenants, graphs or calls.
"""

from storage.engine.connection import Durability, sqlite_version
from storage.engine.database import Database, open
from storage.engine.errors import (
    BusyError,
    CannotOpenError,
    ClosedError,
    ConstraintError,
    CorruptError,
    DatabaseError,
    DiskError,
    EngineError,
    FullError,
    NestedTransactionError,
    NotADatabaseError,
    ParameterError,
    PayloadError,
    ReadOnlyError,
    SqlError,
    UsageError,
)
from storage.engine.notify import Listener, Notification
from storage.engine.readers import Snapshot
from storage.engine.stream import Event, Stream
from storage.engine.transaction import Transaction

__all__ = [
    "BusyError",
    "CannotOpenError",
    "ClosedError",
    "ConstraintError",
    "CorruptError",
    "Database",
    "DatabaseError",
    "DiskError",
    "Durability",
    "EngineError",
    "Event",
    "FullError",
    "Listener",
    "NestedTransactionError",
    "NotADatabaseError",
    "Notification",
    "ParameterError",
    "PayloadError",
    "ReadOnlyError",
    "Snapshot",
    "SqlError",
    "Stream",
    "Transaction",
    "UsageError",
    "open",
    "sqlite_version",
]
