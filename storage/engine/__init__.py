"""Honker's file format and API in Python: SQLite as data store, message bus, job queue, event log and scheduler.

    import storage.engine as engine  # or: as honker

    db = engine.open("spoke.db")
    offset = db.stream("orders").publish({"id": 1})
    job = db.queue("emails").enqueue({"to": "alice"})

Stands on APSW, cronsim, msgspec and the standard library alone; knows nothing of tenants, graphs or calls. What is
covered and how it differs from Honker: `docs/engine.md`. asyncio is imported where it is used: a fifth of the start of
every command that only looks.
"""

from typing import NoReturn

from storage.engine import worker as _worker
from storage.engine.connection import Durability, sqlite_version
from storage.engine.cron import CronSchedule, crontab, every_s
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
    ExtensionLoadingUnsupported,
    FileReplacedError,
    FullError,
    LimitError,
    NestedTransactionError,
    NotADatabaseError,
    ParameterError,
    PayloadError,
    ReadOnlyError,
    SqlError,
    UsageError,
)
from storage.engine.locks import Lock, LockHeld
from storage.engine.notify import Listener, Notification
from storage.engine.outbox import Outbox
from storage.engine.queue import Job, Queue
from storage.engine.readers import Snapshot
from storage.engine.retention import Cut, Limits
from storage.engine.room import used_bytes
from storage.engine.scheduler import LeadershipLost, Scheduler
from storage.engine.stream import Event, Stream
from storage.engine.tasks import Retryable, TaskResult, UnknownTaskError, registry
from storage.engine.transaction import Transaction
from storage.engine.worker import run_workers

EXTENSION_ENTRYPOINT = "sqlite3_honkerext_init"
"""Of Honker's loadable extension; kept for programs that read it. There is no extension here."""


def extension_info() -> dict[str, object]:
    """Say what the engine is built on; there is no loadable extension (`loadable` is False)."""
    return {"loadable": False, "entrypoint": EXTENSION_ENTRYPOINT, "sqlite_version": sqlite_version()}


def load_extension(*_: object, **__: object) -> NoReturn:
    """There is no loadable extension.

    Raises:
        ExtensionLoadingUnsupported: always; open the file with `open()`: the same functions are on its transactions.
    """
    raise ExtensionLoadingUnsupported(
        "this engine is no loadable extension: use open(path).transaction(), which has the honker_* functions"
    )


__all__ = [
    "EXTENSION_ENTRYPOINT",
    "BusyError",
    "CannotOpenError",
    "ClosedError",
    "ConstraintError",
    "CorruptError",
    "CronSchedule",
    "Cut",
    "Database",
    "DatabaseError",
    "DiskError",
    "Durability",
    "EngineError",
    "Event",
    "ExtensionLoadingUnsupported",
    "FileReplacedError",
    "FullError",
    "Job",
    "LeadershipLost",
    "LimitError",
    "Limits",
    "Listener",
    "Lock",
    "LockHeld",
    "NestedTransactionError",
    "NotADatabaseError",
    "Notification",
    "Outbox",
    "ParameterError",
    "PayloadError",
    "Queue",
    "ReadOnlyError",
    "Retryable",
    "Scheduler",
    "Snapshot",
    "SqlError",
    "Stream",
    "TaskResult",
    "Transaction",
    "UnknownTaskError",
    "UsageError",
    "_worker",
    "crontab",
    "every_s",
    "extension_info",
    "load_extension",
    "open",
    "registry",
    "run_workers",
    "sqlite_version",
    "used_bytes",
]
