"""The table `acl_effective`: what each principal may do, for lists and screens (queue `acl-evaluation`)."""

from __future__ import annotations

from storage.engine import Database
from storage.graphs.acl import as_json, evaluate, load


def evaluate_graph(db: Database, graph_id: str, now: int) -> int:
    """Work out an ACL graph anew and store what changed; returns how many principals it has.

    Read and written in one transaction: what is stored belongs to the graph as it was then. Idempotent.
    """
    with db.transaction() as tx:
        if not tx.rows("SELECT 1 FROM graphs WHERE id = ? AND graph_type_id = 'acl'", (graph_id,)):
            return 0  # deleted meanwhile, and its rows with it
        found = evaluate(load(tx, graph_id))
        tx.execute(
            "DELETE FROM acl_effective WHERE graph_id = ?1 AND principal_key NOT IN"
            " (SELECT key FROM nodes WHERE graph_id = ?1)",
            (graph_id,),
        )
        tx.executemany(
            "INSERT INTO acl_effective (graph_id, principal_key, scopes, resources, evaluated_at)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (graph_id, principal_key) DO UPDATE SET scopes = excluded.scopes,"
            " resources = excluded.resources, evaluated_at = excluded.evaluated_at",
            [(graph_id, key, *as_json(authority), now) for key, authority in found.items()],
        )
    return len(found)
