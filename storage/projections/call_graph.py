"""`call-protocol` -> CallGraph: one graph per session, a node per call, an edge from a call to those it made.

Status follows the events (`reference/alkdev.md` 4.1): requested -> pending, responded/completed -> completed, error ->
failed, aborted -> aborted. The first outcome in the log stands; later ones change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from storage.engine import Event, Transaction
from storage.events.call_events import (
    STREAM,
    AnyCallEvent,
    CallAborted,
    CallCompleted,
    CallError,
    CallIdentity,
    CallRequested,
    CallResponded,
    decode,
)
from storage.events.envelope import EventShapeError, encode
from storage.projections.projection import Projection, reject

Status: TypeAlias = Literal["pending", "running", "completed", "failed", "aborted"]

CALLS_GRAPH = "calls"
"""The graph of calls that belong to no session."""


class CallFailure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a call failed."""

    code: str
    message: str
    details: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class CallNode(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The attributes of a call's node. `operation_id` is None while its request has not come."""

    request_id: str
    operation_id: str | None = None
    status: Status
    parent_request_id: str | None = None
    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    output: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: CallFailure | None = None
    identity: CallIdentity | None = None
    started_at: str | None = None
    completed_at: str | None = None
    duration_ms: float | None = None


def apply_event(node: CallNode | None, event: AnyCallEvent) -> CallNode:
    """Return the call as it stands after one more event of its own; the same event twice changes nothing."""
    if node is None:
        node = CallNode(request_id=event.request_id, status="pending")
    if isinstance(event, CallRequested):
        if node.operation_id is not None:
            return node
        return replace(
            node,
            operation_id=event.operation_id,
            parent_request_id=event.parent_request_id,
            input=event.input,
            identity=event.identity,
            started_at=event.timestamp,
        )
    if node.status not in ("pending", "running"):
        return node
    ended = replace(
        node,
        completed_at=event.timestamp,
        duration_ms=event.metadata.duration_ms if event.metadata is not None else None,
    )
    match event:
        case CallResponded():
            return replace(ended, status="completed", output=event.output)
        case CallCompleted():
            return replace(ended, status="completed")
        case CallError():
            return replace(ended, status="failed", error=CallFailure(event.code, event.message, event.details))
        case CallAborted():
            return replace(ended, status="aborted")


_node_decoder = msgspec.json.Decoder(CallNode)


@dataclass(slots=True)
class _Entry:
    """A call while its batch is applied."""

    node: CallNode | None = None
    graph_id: str | None = None
    created_at: int = 0
    updated_at: int = 0
    was_orphan: bool = False
    changed: bool = False


class _Batch:
    """The calls that a batch touches, read once and written once."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._entries: dict[str, _Entry] = {}
        self._graphs: dict[str, int] = {}
        self._edges: list[tuple[str, str, str, int]] = []

    def apply(self, event: Event) -> None:
        try:
            decoded = decode(event)
        except EventShapeError as error:
            reject(self._tx, event, str(error))
            return
        entry = self._entry(decoded.request_id)
        before = entry.node
        entry.node = apply_event(before, decoded)
        if entry.node is before:
            return
        entry.changed = True
        entry.updated_at = event.created_at
        if isinstance(decoded, CallRequested):
            session = decoded.metadata.session_id if decoded.metadata is not None else None
            entry.graph_id = session or CALLS_GRAPH
            entry.created_at = event.created_at
            self._graphs.setdefault(entry.graph_id, event.created_at)
            self._link(entry.graph_id, decoded, event.created_at)

    def _entry(self, request_id: str) -> _Entry:
        entry = self._entries.get(request_id)
        if entry is None:
            entry = self._entries[request_id] = self._load(request_id)
        return entry

    def _load(self, request_id: str) -> _Entry:
        rows = self._tx.rows(
            "SELECT n.attributes, n.graph_id, n.created_at FROM nodes n JOIN graphs g ON g.id = n.graph_id"
            " WHERE n.key = ? AND g.graph_type_id = 'call-graph'",
            (request_id,),
        )
        if rows:
            return _Entry(_node_decoder.decode(rows[0][0]), rows[0][1], rows[0][2])
        rows = self._tx.rows("SELECT attributes FROM call_orphans WHERE request_id = ?", (request_id,))
        if rows:
            return _Entry(_node_decoder.decode(rows[0][0]), was_orphan=True)
        return _Entry()

    def _link(self, graph_id: str, event: CallRequested, at: int) -> None:
        """Connect a new call with its parent and with children that came before it."""
        parent = event.parent_request_id
        if parent is not None and parent != event.request_id:
            known = self._entry(parent)
            if known.graph_id == graph_id:
                self._edges.append((graph_id, parent, event.request_id, at))
            else:
                self._tx.execute(
                    "INSERT OR IGNORE INTO call_waiting_children VALUES (?, ?, ?, ?)",
                    (parent, event.request_id, graph_id, at),
                )
        for child, child_graph, child_at in self._tx.rows(
            "DELETE FROM call_waiting_children WHERE parent_id = ? AND graph_id = ?"
            " RETURNING child_id, graph_id, created_at",
            (event.request_id, graph_id),
        ):
            self._edges.append((child_graph, event.request_id, child, child_at))

    def write(self) -> None:
        """Write every changed row; statements run once per kind for the whole batch."""
        tx = self._tx
        tx.executemany(
            "INSERT OR IGNORE INTO graphs (id, graph_type_id, name, status, created_at, updated_at)"
            " VALUES (?, 'call-graph', ?, 'active', ?, ?)",
            [(graph, graph, at, at) for graph, at in self._graphs.items()],
        )
        changed = [(key, entry) for key, entry in self._entries.items() if entry.changed and entry.node is not None]
        tx.executemany(
            "INSERT INTO nodes (id, graph_id, key, attributes, metadata, created_at, updated_at)"
            """ VALUES (?, ?, ?, ?, '{"_storage.nodeType":"call"}', ?, ?)"""
            " ON CONFLICT (graph_id, key) DO UPDATE"
            " SET attributes = excluded.attributes, updated_at = excluded.updated_at",
            [
                (key, e.graph_id, key, encode(e.node), e.created_at, e.updated_at)
                for key, e in changed
                if e.node is not None and e.graph_id is not None
            ],
        )
        tx.executemany(
            "INSERT INTO call_orphans VALUES (?, ?)"
            " ON CONFLICT (request_id) DO UPDATE SET attributes = excluded.attributes",
            [(key, encode(e.node)) for key, e in changed if e.node is not None and e.graph_id is None],
        )
        tx.executemany(
            "DELETE FROM call_orphans WHERE request_id = ?",
            [(key,) for key, e in changed if e.was_orphan and e.graph_id is not None],
        )
        tx.executemany(
            "INSERT OR IGNORE INTO edges (id, graph_id, key, source_node_key, target_node_key, attributes, metadata,"
            """ created_at, updated_at) VALUES (?, ?, ?, ?, ?, '{"edgeType":"triggered"}', '{}', ?, ?)""",
            [
                (f"{parent}->{child}:triggered", graph, f"{parent}->{child}:triggered", parent, child, at, at)
                for graph, parent, child, at in self._edges
            ],
        )


def apply(tx: Transaction, events: Sequence[Event]) -> None:
    """Apply a batch of events, in log order, to the graph's rows."""
    batch = _Batch(tx)
    for event in events:
        batch.apply(event)
    batch.write()


CALL_GRAPH = Projection("projector@spoke", STREAM, apply)
