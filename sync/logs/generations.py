"""The generations of a log, as its file notes them; apart from what sends it, so that who only looks loads no more."""

from __future__ import annotations

from storage.engine import Snapshot, Transaction
from sync.link.lineage import Generation


def generations(source: Snapshot | Transaction, topic: str) -> list[Generation]:
    """Every generation of a log, oldest first."""
    return [
        Generation(number, gen_id, base, parent or b"", end, seen, reason)
        for number, gen_id, base, parent, end, seen, reason in source.rows(
            "SELECT number, gen_id, base, parent, sealed_at, seen, reason FROM link_generations WHERE topic = ?"
            " ORDER BY number",
            (topic,),
        )
    ]
