"""The spokes of a hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from storage import engine
from storage.process_lock import holder


@dataclass(frozen=True, slots=True)
class SpokeRow:
    """A spoke, and how many events of its streams are here; `seen_ms` in unix milliseconds."""

    tenant: str
    node_id: str
    name: str
    connected: bool
    seen_ms: int
    events: int


def list_spokes(directory: Path) -> list[SpokeRow]:
    """Every spoke of every tenant in a hub's data directory, by tenant and name; safe beside a running hub."""
    found: list[SpokeRow] = []
    running = holder(directory / "hub.lock") is not None  # a killed hub left its spokes marked as connected
    for file in sorted(directory.glob("tenant-*.db")):
        db = engine.open(file)
        try:
            with db.snapshot() as snapshot:
                rows = snapshot.rows(
                    "SELECT s.node_id, s.name, s.connected > 0, s.seen_at,"
                    " (SELECT coalesce(sum(c.events), 0) FROM link_cursors c WHERE c.node_id = s.node_id)"
                    " FROM link_spokes s ORDER BY s.name"
                )
        finally:
            db.close()
        tenant = file.stem.removeprefix("tenant-")
        found += [SpokeRow(tenant, row[0], row[1], running and bool(row[2]), row[3], row[4]) for row in rows]
    return found
