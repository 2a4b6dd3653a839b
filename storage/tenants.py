"""Opening a tenant file and the hub's system file with the tables they must have."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from storage import engine
from storage.engine import Database, Snapshot, Transaction
from storage.engine.connection import Durability
from storage.migrations import check_current, migrate, system, tenant


def open_tenant_database(
    path: str | os.PathLike[str],
    *,
    durability: Durability = "full",
    read_only: bool = False,
    max_bytes: int | None = None,
) -> Database:
    """Open `tenant-{orgId}.db`: created (mode 0600) when new, migrated when older, with an identity of its own.

    With `read_only` it is neither: it must be there, and of this version. `max_bytes` is how much it may hold
    (`Database.max_bytes`).

    Raises:
        EngineError: in the flavour that says why; a newer file raises `NewerFileError` and is not touched, with
            `read_only` an older one `OlderFileError`.
    """
    db = engine.open(path, durability=durability, read_only=read_only)
    db.max_bytes = max_bytes
    try:
        if read_only:
            check_current(db, tenant.MIGRATIONS)
            return db
        migrate(db, tenant.MIGRATIONS)
        with db.snapshot() as snapshot:
            known = find_fact(snapshot, "node_id")
        if known is None:
            with db.transaction() as tx:
                tx.execute("INSERT OR IGNORE INTO node_facts VALUES ('node_id', ?)", (str(uuid.uuid4()),))
    except BaseException:
        db.close()
        raise
    return db


def open_system_database(path: str | os.PathLike[str], *, read_only: bool = False) -> Database:
    """Open the hub's `system.db`, created when new, migrated when older. Else as `open_tenant_database`."""
    db = engine.open(path, read_only=read_only)
    try:
        if read_only:
            check_current(db, system.MIGRATIONS)
        else:
            migrate(db, system.MIGRATIONS)
    except BaseException:
        db.close()
        raise
    return db


def rehearse_database(path: Path, *, max_bytes: int | None = None) -> Database:
    """Open the hub's `system.db` or a tenant file so that nothing stays of what is done (`storage.engine.rehearsal`).

    Where there is none, it is one that was just made, in a temporary folder. `max_bytes` as in `open_tenant_database`.

    Raises:
        EngineError: why it cannot be used; one that needs a migration raises `OlderFileError`.
    """
    from tempfile import TemporaryDirectory

    from storage.engine.rehearsal import rehearse

    is_system = path.name == "system.db"
    if path.is_file():
        db = rehearse(path)
    else:
        folder = TemporaryDirectory(prefix="spoke-")
        path = Path(folder.name) / path.name
        (open_system_database if is_system else open_tenant_database)(path).close()
        db = rehearse(path)
        db.at_close.append(folder.cleanup)
    db.max_bytes = None if is_system else max_bytes
    try:
        check_current(db, (system if is_system else tenant).MIGRATIONS)
    except BaseException:
        db.close()
        raise
    return db


def find_fact(source: Snapshot | Transaction, name: str) -> str | None:
    """Return a fact about this node, such as `node_id`, or None."""
    rows = source.rows("SELECT value FROM node_facts WHERE name = ?", (name,))
    return str(rows[0][0]) if rows else None


def node_id(source: Snapshot | Transaction) -> str:
    """Return the identity of this copy of the file, made when it was created."""
    found = find_fact(source, "node_id")
    if found is None:
        raise LookupError("a tenant file without node_id: open it with open_tenant_database")
    return found
