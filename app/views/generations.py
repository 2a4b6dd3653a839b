"""The lives that the logs of a node have had, as a tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.views.text import count, date, safe
from app.views.times import When
from storage.engine import Snapshot


@dataclass(frozen=True, slots=True)
class GenerationRow:
    """A generation of a log: it holds the events behind `base` up to `end` (None: it is the one that goes on).

    Ids are the first 8 digits of what travels. `seen` is the furthest offset that the hub was known to have of it when
    it was sealed; `active` says whether the hub still hears of it.
    """

    topic: str
    number: int
    gen_id: str
    parent: str | None
    base: int
    end: int | None
    seen: int
    reason: str
    created_at_ms: int
    active: bool


def read_generations(snapshot: Snapshot, topic: str | None = None) -> list[GenerationRow]:
    """Every generation of every log (or of one), by topic and number."""
    rows = snapshot.rows(
        "SELECT topic, number, substr(lower(hex(gen_id)), 1, 8), substr(lower(hex(parent)), 1, 8), base, sealed_at,"
        " seen, reason, created_at, sealed_at IS NULL OR sealed_at > base OR seen > sealed_at FROM link_generations"
        " WHERE ?1 IS NULL OR topic = ?1 ORDER BY topic, number",
        (topic,),
    )
    return [
        GenerationRow(topic, number, gen_id, parent or None, base, end, seen, reason, created_at, bool(active))
        for topic, number, gen_id, parent, base, end, seen, reason, created_at, active in rows
    ]


def generation_lines(rows: Sequence[GenerationRow], when: When | None = None) -> list[str]:
    """A line for each, indented below the generation that it branched from. `when` writes when it began; without it,
    a date, UTC.
    """
    lines: list[str] = []
    depth: dict[str, int] = {}
    topic = None
    for row in rows:
        if row.topic != topic:
            topic, depth = row.topic, {}
            lines.append(safe(topic))
        depth[row.gen_id] = depth[row.parent] + 1 if row.parent in depth else 0
        if not row.active:
            part = "nothing of it counts any more"
        elif row.end is None:
            part = f"behind {count(row.base)}"
        else:
            part = f"behind {count(row.base)}, sealed at {count(row.end)}"
        if row.active and row.end is not None and row.seen > row.end:
            part += f", the hub alone has up to {count(row.seen)}"
        began = date(row.created_at_ms) if when is None else when(row.created_at_ms)
        lines.append(f"  {'  ' * depth[row.gen_id]}{row.number} {row.gen_id} {row.reason:<12} {part} ({began})")
    return lines
