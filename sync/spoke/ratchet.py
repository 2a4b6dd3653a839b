"""The node's ratchet and epoch at each hub, in the node's database: what a copy of the database would show, too."""

from __future__ import annotations

from storage.engine import Snapshot, Transaction
from storage.tenants import find_fact


def load_ratchet(source: Snapshot | Transaction, hub_id: str) -> tuple[bytes, int]:
    """What HELLO shows this hub: the ratchet, empty before the first, and the epoch of the last session."""
    found = find_fact(source, _name(hub_id))
    if found is None:
        return b"", 0
    epoch, _, value = found.partition(" ")
    return bytes.fromhex(value), int(epoch)


def save_ratchet(tx: Transaction, hub_id: str, ratchet: bytes, epoch: int) -> None:
    """Store what WELCOME gave; READY is sent when the transaction is on disk, never before."""
    tx.execute("INSERT OR REPLACE INTO node_facts VALUES (?, ?)", (_name(hub_id), f"{epoch} {ratchet.hex()}"))


def _name(hub_id: str) -> str:
    return f"ratchet:{hub_id}"
