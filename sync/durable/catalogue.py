"""What a node offers: an event of its topic `node` whenever that has changed, and the hub's rows of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from storage.engine import Event, Snapshot, Transaction
from storage.engine.payload import dumps
from storage.engine.stream import append_event, last_offset
from storage.events import envelope
from storage.operations.document import describe
from storage.projections.projection import Projection, reject
from storage.tenants import find_fact
from sync.calls.registry import Registry
from sync.durable.topics import NODE

CONSUMER = "catalogue@hub"
PUBLISHED = "catalogue_published"
"""The fact that holds the hash of what was said last."""


class _Operation(msgspec.Struct, frozen=True, rename="camel"):
    operation_id: str


class _NodeOperations(msgspec.Struct, frozen=True, tag_field="type", tag="node.operations"):
    operations: list[msgspec.Raw]


_decoder = msgspec.json.Decoder(_NodeOperations)


@dataclass(frozen=True, slots=True)
class Offered:
    """An operation of a spoke; `name` is `SPOKE/namespace.name`, `active` while the spoke is connected."""

    name: str
    node_id: str
    operation_id: str
    type: str
    description: str
    executions: tuple[str, ...]
    active: bool


def catalogue(registry: Registry) -> str:
    """The event that says what can be called durably. Slow when the registry has not been listed before."""
    return dumps(
        {"type": "node.operations", "operations": [describe(spec) for spec in registry.list() if spec.executions]}
    )


def publish(tx: Transaction, text: str) -> bool:
    """Append the event if it says something new; whether it did. The fact and the event are there together."""
    said = hashlib.sha256(text.encode()).hexdigest()
    if find_fact(tx, PUBLISHED) == said and last_offset(tx, NODE) > 0:
        return False
    append_event(tx, NODE, None, text, despite_limit=True)
    tx.execute(
        "INSERT INTO node_facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (PUBLISHED, said),
    )
    return True


def offers(node_id: str) -> Projection:
    """The hub's consumer of what a spoke says it offers."""
    return Projection(CONSUMER, f"{NODE}@{node_id}", partial(_apply, node_id))


def list_offered(source: Snapshot) -> list[Offered]:
    """The operations of every spoke of a tenant, by name."""
    rows = source.rows(
        "SELECT s.name, o.node_id, o.operation_id, o.spec, s.connected > 0 FROM link_operations o"
        " JOIN link_spokes s ON s.node_id = o.node_id ORDER BY s.name, o.operation_id"
    )
    found = []
    for name, node_id, operation_id, text, connected in rows:
        spec = msgspec.json.decode(str(text))
        found.append(
            Offered(
                f"{name}/{operation_id}",
                str(node_id),
                str(operation_id),
                str(spec.get("type", "")),
                str(spec.get("description", "")),
                tuple(map(str, spec.get("executions", ()))),
                bool(connected),
            )
        )
    return found


def _apply(node_id: str, tx: Transaction, events: Sequence[Event]) -> None:
    for event in events:
        try:
            if envelope.envelope_of(event).type != "node.operations":
                continue  # something else that nodes tell
            said = envelope.decode(event, _decoder)
            rows = {msgspec.json.decode(raw, type=_Operation).operation_id: bytes(raw) for raw in said.operations}
        except (envelope.EventShapeError, msgspec.DecodeError) as error:
            reject(tx, event, str(error))
            continue
        tx.execute("DELETE FROM link_operations WHERE node_id = ?", (node_id,))
        tx.executemany(
            "INSERT INTO link_operations (node_id, operation_id, spec) VALUES (?, ?, ?)",
            [(node_id, operation_id, text.decode()) for operation_id, text in rows.items()],
        )
