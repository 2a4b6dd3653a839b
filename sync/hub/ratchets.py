"""The ratchets of the nodes in the hub's `system.db`."""

from __future__ import annotations

import json

from storage.engine import Snapshot, Transaction
from storage.engine.payload import dumps
from sync.link.ratchet import RATCHET_BYTES, RatchetState


def load_ratchet(source: Snapshot | Transaction, node_id: str) -> RatchetState | None:
    """What is known of a node's ratchet; None when it was never here."""
    rows = source.rows(
        "SELECT current, next, older, epoch, last_seen_ms, races_ms FROM ratchets WHERE node_id = ?", (node_id,)
    )
    if not rows:
        return None
    current, following, older, epoch, last_seen_ms, races = rows[0]
    hashes = tuple(older[at : at + RATCHET_BYTES] for at in range(0, len(older), RATCHET_BYTES))
    return RatchetState(current, following, hashes, epoch, last_seen_ms, tuple(json.loads(races)))


def save_ratchet(tx: Transaction, node_id: str, state: RatchetState) -> None:
    """Store it; on disk when the transaction is."""
    tx.execute(
        "INSERT INTO ratchets (node_id, current, next, older, epoch, last_seen_ms, races_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (node_id) DO UPDATE SET current = excluded.current,"
        " next = excluded.next, older = excluded.older, epoch = excluded.epoch, last_seen_ms = excluded.last_seen_ms,"
        " races_ms = excluded.races_ms",
        (
            node_id,
            state.current,
            state.next,
            b"".join(state.older),
            state.epoch,
            state.last_seen_ms,
            dumps(list(state.races_ms)),
        ),
    )
