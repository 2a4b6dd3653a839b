"""The spokes of a hub."""

from __future__ import annotations

from pathlib import Path

from storage import engine


def list_spokes(directory: Path) -> list[dict[str, object]]:
    """Every spoke of every tenant in a hub's data directory, and how much of it is here; safe beside a running hub."""
    found: list[dict[str, object]] = []
    for file in sorted(directory.glob("tenant-*.db")):
        db = engine.open(file)
        try:
            rows = db.query(
                "SELECT s.node_id AS nodeId, s.name, s.connected, s.seen_at AS seenAt,"
                " (SELECT coalesce(sum(c.events), 0) FROM link_cursors c WHERE c.node_id = s.node_id) AS events"
                " FROM link_spokes s ORDER BY s.name"
            )
        finally:
            db.close()
        found += [{"tenant": file.stem.removeprefix("tenant-"), **row} for row in rows]
    return found
