"""`belongs_to` edges in a tenant's file, derived from `organization_members` in `system.db` (ADR-045).

The table is the truth; the edges follow it. They are two files, so the edges may lag: whoever opens a tenant file, and
whoever hears of a change, makes them anew from the table. Idempotent, so it does not matter how often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from storage.engine import Snapshot, Transaction
from storage.graphs.writing import create_graph, delete_edge, put_edge, put_node

GRAPH = "acl"
"""The ACL graph of a tenant that follows the organisation; other ACL graphs are people's own."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an organisation, as the system file has it."""

    account_id: str
    level: str
    access_level: str


def read_members(system: Snapshot, org_id: str) -> list[Member]:
    """The active members of an organisation."""
    rows = system.rows(
        "SELECT m.account_id, m.membership_level, a.access_level FROM organization_members m"
        " JOIN accounts a ON a.id = m.account_id AND a.status = 'active' WHERE m.org_id = ? ORDER BY m.account_id",
        (org_id,),
    )
    return [Member(*row) for row in rows]


def follow_members(tx: Transaction, org_id: str, members: Sequence[Member]) -> int:
    """Make principals and `belongs_to` edges what the members say; returns how many edges came or went.

    A principal that is there keeps its scopes. One whose membership ended stays, without the edge: what it did is
    still told of somebody.
    """
    if not tx.rows("SELECT 1 FROM graphs WHERE id = ?", (GRAPH,)):
        create_graph(tx, "acl", "acl", graph_id=GRAPH)
    org = f"org:{org_id}"
    known = {str(row[0]) for row in tx.rows("SELECT key FROM nodes WHERE graph_id = ?", (GRAPH,))}
    if org not in known:
        put_node(tx, GRAPH, "principal", org, {"identityType": "org", "identityId": org_id, "scopes": []})
    edges = {
        str(row[1]): str(row[0])
        for row in tx.rows(
            "SELECT id, source_node_key FROM edges WHERE graph_id = ? AND target_node_key = ?"
            " AND attributes ->> '$.edgeType' = 'belongs_to'",
            (GRAPH, org),
        )
    }
    changed = 0
    wanted = {f"account:{member.account_id}": member for member in members}
    for key, member in wanted.items():
        if key not in known:
            kind = "service" if member.access_level == "service" else "account"
            put_node(tx, GRAPH, "principal", key, {"identityType": kind, "identityId": member.account_id, "scopes": []})
        if key not in edges:
            put_edge(tx, GRAPH, "belongs_to", key, org)
            changed += 1
    for key, edge_id in edges.items():
        if key not in wanted:
            delete_edge(tx, edge_id)
            changed += 1
    return changed
