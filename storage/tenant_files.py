"""What a hub knows of its tenants' files: which schema each one has, and which wait to be migrated.

At start every file that is behind gets a job in the `schema-migration` queue of `system.db`. A job that is done is
noted beside the tenant; one that was interrupted is claimed again. Opening a file for a spoke migrates it at once, and
the job then finds nothing to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from storage import engine
from storage.background import ask
from storage.engine import Database, Snapshot, Transaction
from storage.engine.errors import EngineError
from storage.migrations import newer, tenant

QUEUE = "schema-migration"
LATEST = len(tenant.MIGRATIONS)


@dataclass(frozen=True, slots=True)
class TenantFile:
    """A tenant's file as it was seen last; `updated_at` in unix seconds."""

    slug: str
    schema_version: int | None
    state: str
    error: str | None
    updated_at: int


def file_of(folder: Path, slug: str) -> Path:
    """Where a tenant's file is."""
    return folder / f"tenant-{slug}.db"


def plan_migrations(system: Database, folder: Path, latest: int = LATEST) -> int:
    """Look at every tenant's file and queue a job for each that is behind; returns how many those are.

    A file that cannot be read, or is from the future, is noted with the reason and harms no other.
    """
    now = int(system.clock())
    behind = 0
    for row in system.query("SELECT id, slug FROM organizations ORDER BY slug"):
        slug = str(row["slug"])
        path = file_of(folder, slug)
        if not path.exists():
            continue  # it is made, with the latest schema, when its first spoke comes
        version, error = _look(path)
        if version is not None and version > latest:
            error = f"{newer(str(path), version, latest)}: upgrade this program"
        state = "failed" if error is not None else "current" if version == latest else "waiting"
        with system.transaction() as tx:
            _note(tx, str(row["id"]), slug, version, state, error, now)
            if state == "waiting":
                behind += 1
                ask(tx, QUEUE, {"slug": slug}, once=True, max_attempts=3)
    return behind


def _look(path: Path) -> tuple[int | None, str | None]:
    try:
        db = engine.open(path, read_only=True)
        try:
            return int(db.query("PRAGMA user_version")[0]["user_version"]), None
        finally:
            db.close()
    except EngineError as error:
        return None, str(error)


def note_migration(tx: Transaction, slug: str, version: int | None, error: str | None, now: int) -> None:
    """Write down how a job ended."""
    rows = tx.rows("SELECT id FROM organizations WHERE slug = ?", (slug,))
    if rows:
        _note(tx, str(rows[0][0]), slug, version, "failed" if error else "current", error, now)


def _note(
    tx: Transaction, org_id: str, slug: str, version: int | None, state: str, error: str | None, now: int
) -> None:
    tx.execute(
        "INSERT INTO tenant_files (org_id, slug, schema_version, state, error, updated_at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (org_id) DO UPDATE SET schema_version = coalesce(excluded.schema_version, schema_version),"
        " state = excluded.state, error = excluded.error, updated_at = excluded.updated_at",
        (org_id, slug, version, state, error, now),
    )


def list_tenant_files(source: Snapshot) -> list[TenantFile]:
    """Every tenant, by slug, with its file as it was seen last; state `empty` where none was made yet."""
    rows = source.rows(
        "SELECT o.slug, f.schema_version, coalesce(f.state, 'empty'), f.error, coalesce(f.updated_at, o.created_at)"
        " FROM organizations o LEFT JOIN tenant_files f ON f.org_id = o.id ORDER BY o.slug"
    )
    return [TenantFile(*row) for row in rows]
