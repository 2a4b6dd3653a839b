"""A node leaves its hub: no address, no key, no memory of it; everything that was recorded stays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from storage.engine import Database
from storage.private_file import sync
from storage.tenants import find_fact
from sync.durable.messages import CALLEE
from sync.durable.topics import HUB, calls_from, calls_to
from sync.spoke.device_keys import remove_device_keys
from sync.spoke.reidentify import forget_calls, skip_to_the_end
from sync.spoke.status import PAUSED, UPLINK, acked_position, read_status

LEAVING = "link_leaving"
"""A fact of this node from before the file that names its hub is removed until everything else of that hub is."""


@dataclass(frozen=True, slots=True)
class Left:
    """The hub that was left (None: there was none), and how many events of this node it does not have."""

    hub_url: str | None
    unsent: int


def leave(db: Database, hub_file: Path, device_key: Path, at_ms: int) -> Left:
    """Forget the hub, while no process runs the services.

    The file that `spoke join` wrote is removed first: until then this node is joined, from then on nothing is dialled.
    What a crash leaves behind that (`finish_leaving`) goes the next time that this is called, or before this node
    joins again.

    Raises:
        EngineError: the database cannot be written; this node is still joined unless that file is gone.
        OSError: a file cannot be removed.
    """
    with db.snapshot() as snapshot:
        link = read_status(snapshot)
    with db.transaction() as tx:
        tx.execute("INSERT OR REPLACE INTO node_facts VALUES (?, ?)", (LEAVING, str(at_ms)))
    db.barrier()
    hub_file.unlink(missing_ok=True)
    sync(hub_file.parent)
    finish_leaving(db, hub_file, device_key, at_ms)
    return Left(link.hub_url, link.unsent)


def finish_leaving(db: Database, hub_file: Path, device_key: Path, at_ms: int) -> None:
    """Do what `leave` has begun and a crash kept it from; nothing where it did not begin.

    Gone are the machine's keys, the ratchets, what was acknowledged, the state of the link and a pause. The next hub is
    compared with from the start, and what it lacks is kept for it. What the hub had asked for and was not answered is
    not executed any more; what it was asked and has not answered has an unknown end.
    """
    with db.snapshot() as snapshot:
        if find_fact(snapshot, LEAVING) is None:
            return
    if not hub_file.exists():
        with db.transaction() as tx:
            hubs = tx.rows("SELECT hub_id FROM link_status")
            asked, _ = acked_position(tx, calls_to(HUB), hubs[0][0] if hubs else None)
            forget_calls(tx, asked, at_ms)
            skip_to_the_end(tx, CALLEE, calls_from(HUB))
            tx.execute("DELETE FROM node_facts WHERE name LIKE 'ratchet:%' OR name = ?", (PAUSED,))
            tx.execute("DELETE FROM link_positions")
            tx.execute("DELETE FROM _honker_stream_consumers WHERE name = ?", (UPLINK,))
            tx.execute("DELETE FROM link_status")
            tx.touch("link", "status")
        db.barrier()
        remove_device_keys(device_key)
    with db.transaction() as tx:
        tx.execute("DELETE FROM node_facts WHERE name = ?", (LEAVING,))
