"""A copy of a node becomes a node of its own: another id, logs that begin anew behind what the hub had, no key."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from storage.engine import Database, Transaction
from storage.engine.stream import last_offset, save_offset
from storage.tenants import find_fact, node_id
from sync.durable.messages import CALLEE, CALLER
from sync.durable.topics import HUB, calls_from, calls_to, results_from, results_to
from sync.durable.topics import NODE as CATALOGUE
from sync.link.chain import HASH_BYTES
from sync.link.errors import DeviceKeyError
from sync.spoke.device_keys import remove_device_keys
from sync.spoke.status import acked_position

KEY_OF_ANOTHER = "link_key_of_another"
"""A fact while the key beside the database is that of the node that this one was copied from."""


@dataclass(frozen=True, slots=True)
class Log:
    """Where a log goes on under the new identity: what lies behind `base` is sent, what lies before is the other's."""

    topic: str
    generation: int
    base: int
    kept: int


@dataclass(frozen=True, slots=True)
class Reidentified:
    """Who this database was, who it is now, and what it will send."""

    old_node_id: str
    node_id: str
    logs: tuple[Log, ...]

    @property
    def kept(self) -> int:
        """Events that are sent under the new identity."""
        return sum(log.kept for log in self.logs)


def reidentify(
    db: Database, device_key: Path, at_ms: int, also: Callable[[Transaction], None] = lambda tx: None
) -> Reidentified:
    """Give this database an identity of its own, while no process runs its services.

    In one transaction: a new node id; for every log a new generation behind the last offset that the hub is known to
    have acknowledged, with the old one as its parent; no ratchet, no positions. What the hub acknowledged before the
    copy was made belongs to the other node; everything else is kept here and sent as this node's. Calls that the hub
    asked the other node for are that node's, and so are their results; of calls to the hub that it has, only the other
    node hears. Then the key is removed. A crash in between
    leaves a fact, and `drop_foreign_key`, which joining calls first, does the rest. `also` is done in the transaction.

    Raises:
        EngineError: nothing was changed.
        OSError: the key cannot be removed; the identity is new already.
    """
    with db.transaction() as tx:
        found = change_identity(tx, at_ms)
        also(tx)
        if device_key.exists():
            tx.execute(
                "UPDATE link_status SET error_code = ?, error = 'this node has no key of its own yet', hint = ?",
                (DeviceKeyError.code, "join again with a new token: spoke join URL --token-file FILE"),
            )
    db.barrier()
    drop_foreign_key(db, device_key)
    return found


def drop_foreign_key(db: Database, device_key: Path) -> None:
    """Remove the key of the node that this one was copied from, where that is still to be done.

    Raises:
        OSError: it cannot be removed.
    """
    with db.snapshot() as snapshot:
        if find_fact(snapshot, KEY_OF_ANOTHER) is None:
            return
    remove_device_keys(device_key)
    with db.transaction() as tx:
        tx.execute("DELETE FROM node_facts WHERE name = ?", (KEY_OF_ANOTHER,))


def change_identity(tx: Transaction, at_ms: int) -> Reidentified:
    """What `reidentify` does in the database."""
    old, new = node_id(tx), str(uuid.uuid4())
    hubs = tx.rows("SELECT hub_id FROM link_status")
    hub_id = hubs[0][0] if hubs else None
    logs = tuple(
        _begin_anew(tx, topic, number, hub_id, at_ms)
        for topic, number in tx.rows("SELECT topic, max(number) FROM link_generations GROUP BY topic ORDER BY topic")
    )
    tx.execute("UPDATE node_facts SET value = ? WHERE name = 'node_id'", (new,))
    tx.execute("INSERT OR REPLACE INTO node_facts VALUES (?, ?)", (KEY_OF_ANOTHER, old))
    tx.execute("DELETE FROM node_facts WHERE name LIKE 'ratchet:%'")
    tx.execute("DELETE FROM link_positions")
    # The hub's calls and results for the new node are other logs; streams of other nodes that we follow are the same.
    for table in ("link_cursors", "link_batches", "link_gaps", "link_quarantine"):
        tx.execute(f"DELETE FROM {table} WHERE node_id = ? AND instr(topic, '@') = 0", (HUB,))
    forget_calls(tx, next((log.base for log in logs if log.topic == calls_to(HUB)), 0), at_ms)  # the other node's
    for consumer, topic in ((CALLEE, calls_from(HUB)), (CALLER, results_from(HUB))):
        skip_to_the_end(tx, consumer, topic)
    tx.execute(
        "UPDATE link_status SET state = 'offline', since = ?, error_code = NULL, error = NULL, hint = NULL,"
        " retry_at = NULL, breaks = 0",
        (at_ms,),
    )
    tx.touch("link", "status")
    return Reidentified(old, new, logs)


def forget_calls(tx: Transaction, asked: int, at_ms: int) -> None:
    """Calls of the hub that are not ended are not executed; of those to it, up to the offset `asked`, nobody hears."""
    tx.execute("DELETE FROM link_received_calls WHERE peer = ? AND ended_at IS NULL", (HUB,))
    tx.execute(
        "UPDATE link_calls SET state = 'INDETERMINATE', ended_at = ?"
        " WHERE peer = ? AND ended_at IS NULL AND offset <= ?",
        (at_ms, HUB, asked),
    )


def skip_to_the_end(tx: Transaction, consumer: str, topic: str) -> None:
    """What a consumer has not read of a topic, it shall not read."""
    save_offset(tx, consumer, topic, last_offset(tx, topic))


def _begin_anew(tx: Transaction, topic: str, number: int, hub_id: str | None, at_ms: int) -> Log:
    base, _ = acked_position(tx, topic, hub_id)
    if topic == results_to(HUB):
        base = max(base, last_offset(tx, topic))  # answers to what the other node was asked
    if topic == CATALOGUE:
        base = min(base, max(0, last_offset(tx, topic) - 1))  # what it offers, the hub has to hear of this node, too
    ((parent,),) = tx.rows("SELECT gen_id FROM link_generations WHERE topic = ? AND number = ?", (topic, number))
    tx.execute("UPDATE link_generations SET sealed_at = base, seen = 0 WHERE topic = ?", (topic,))
    tx.execute(
        "INSERT INTO link_generations (topic, number, gen_id, base, parent, reason, created_at)"
        " VALUES (?, ?, ?, ?, ?, 'reidentified', ?)",
        (topic, number + 1, secrets.token_bytes(HASH_BYTES), base, parent, at_ms),
    )
    ((kept,),) = tx.rows("SELECT count(*) FROM _honker_stream WHERE topic = ? AND offset > ?", (topic, base))
    return Log(topic, number + 1, base, kept)
