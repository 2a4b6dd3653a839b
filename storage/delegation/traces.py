"""What a tenant's file holds of a delegation: a principal that stands for the other end, and one edge.

| file | edge `delegates` |
|---|---|
| the giver's: the record of what was granted | the giver -> the stranger |
| the taker's | the stranger -> the taker |

The stranger is a node of its own for each delegation (key `delegation:ID`), a *service*: it has no authority of its
own, whatever somebody writes into it, so nothing of one tenant ever counts in the other. When the delegation is over
the edge goes and the node stays, marked as ended: an older `system.db` that still wants it then knows better.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from storage.delegation.intents import Intent
from storage.engine import Snapshot, Transaction
from storage.graphs.membership import GRAPH
from storage.graphs.queries import Source, edges_of, get_node
from storage.graphs.writing import delete_edge, put_edge, put_node

Side: TypeAlias = Literal["giver", "taker"]
PREFIX = "delegation:"
ENDED = "ended"
"""In the node's `metadata`: the delegation is over for good."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What a file holds of one delegation; `edges` are source, target, key, attributes."""

    node: dict[str, Any] | None = None
    edges: tuple[tuple[str, str, str | None, dict[str, Any]], ...] = ()

    @property
    def ended(self) -> bool:
        """The file knows that it is over."""
        return bool(self.about.get(ENDED))

    @property
    def live(self) -> bool:
        """There is something that must not be there when the delegation is over."""
        return bool(self.edges) or (self.node is not None and not self.ended)

    @property
    def about(self) -> dict[str, Any]:
        """What the node says of the delegation."""
        return (self.node or {}).get("metadata") or {}


NOTHING = Trace()


def key_of(delegation_id: str) -> str:
    """The key of the stranger's node, and of the edge."""
    return f"{PREFIX}{delegation_id}"


def wanted(intent: Intent, side: Side) -> Trace:
    """What a file holds when the delegation is in force."""
    stranger = (intent.to_org_id, intent.to_account_id)
    if side == "taker":
        stranger = (intent.from_org_id, intent.from_account_id)
    about = {
        "fromOrg": intent.from_org_id,
        "fromAccount": intent.from_account_id,
        "toOrg": intent.to_org_id,
        "toAccount": intent.to_account_id,
    }
    node = {"identityType": "service", "identityId": "/".join(stranger), "scopes": [], "metadata": about}
    key = key_of(intent.id)
    limits = {
        "edgeType": "delegates",
        "narrowedScopes": list(intent.scopes),
        "narrowedResources": intent.resources,
        "narrowable": False,
    }
    if side == "giver":
        return Trace(node, ((f"account:{intent.from_account_id}", key, key, limits),))
    return Trace(node, ((key, f"account:{intent.to_account_id}", key, limits),))


def look(source: Source, delegation_id: str) -> Trace:
    """What a file holds of a delegation."""
    key = key_of(delegation_id)
    if not source.rows("SELECT 1 FROM nodes WHERE graph_id = ? AND key = ?", (GRAPH, key)):
        return NOTHING
    edges = edges_of(source, GRAPH, key)
    return Trace(
        get_node(source, GRAPH, key).attributes,
        tuple((edge.source, edge.target, edge.key, edge.attributes) for edge in edges),
    )


def look_for_all(source: Snapshot) -> dict[str, Trace]:
    """Every delegation that a file holds something of, by id."""
    rows = source.rows(
        "SELECT key FROM nodes WHERE graph_id = ? AND key > ? AND key < ?", (GRAPH, PREFIX, PREFIX[:-1] + ";")
    )
    ids = [str(row[0]).removeprefix(PREFIX) for row in rows]
    return {delegation_id: look(source, delegation_id) for delegation_id in ids}


def establish(tx: Transaction, intent: Intent, side: Side) -> None:
    """Make the file hold exactly what is wanted. Idempotent. The principal of this side must be there.

    Raises:
        GraphError: it is not, or the file's types are not those of this program.
    """
    want = wanted(intent, side)
    assert want.node is not None, "always"
    _cut(tx, intent.id, but=want.edges)
    put_node(tx, GRAPH, "principal", key_of(intent.id), want.node)
    for source, target, key, attributes in want.edges:
        put_edge(tx, GRAPH, "delegates", source, target, attributes, key=key)


def end(tx: Transaction, intent: Intent, side: Side) -> None:
    """Remove the edge and mark the node as ended, which is made when it is missing. Idempotent."""
    _cut(tx, intent.id)
    node = wanted(intent, side).node or {}
    put_node(tx, GRAPH, "principal", key_of(intent.id), {**node, "metadata": {**node["metadata"], ENDED: True}})


def _cut(tx: Transaction, delegation_id: str, but: Iterable[tuple[str, str, str | None, dict[str, Any]]] = ()) -> None:
    """Remove every edge at the stranger: those that somebody added to it too, since they would hang in the air."""
    keep = list(but)
    for edge in edges_of(tx, GRAPH, key_of(delegation_id)):
        if (edge.source, edge.target, edge.key, edge.attributes) not in keep:
            delete_edge(tx, edge.id)
