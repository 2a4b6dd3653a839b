"""A small graph as a whole, for its picture."""

from __future__ import annotations

from dataclasses import dataclass

from app.views.graphs.nodes import NodeRow, read_nodes
from app.views.graphs.picture import PictureEdge
from storage.engine import Snapshot

MOST_NODES = 30
MOST_EDGES = 60


@dataclass(frozen=True, slots=True)
class Whole:
    """All of a small graph."""

    nodes: tuple[NodeRow, ...]
    edges: tuple[PictureEdge, ...]


TOO_LARGE = f"too large for a picture (more than {MOST_NODES} nodes or {MOST_EDGES} edges): the outline is shown"


def read_whole(snapshot: Snapshot, graph_id: str, edge_type: str | None = None) -> Whole | None:
    """All of a graph of at most `MOST_NODES` nodes and `MOST_EDGES` edges; of these one type or all.

    None when it has more: `TOO_LARGE` says so.
    """
    counts = [
        snapshot.rows(f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE graph_id = ? LIMIT ?)", (graph_id, most + 1))
        for table, most in (("nodes", MOST_NODES), ("edges", MOST_EDGES))
    ]
    if counts[0][0][0] > MOST_NODES or counts[1][0][0] > MOST_EDGES:
        return None
    nodes = read_nodes(snapshot, graph_id)
    edges = snapshot.rows(
        "SELECT source_node_key, target_node_key, undirected FROM edges"
        " WHERE graph_id = ?1 AND (?2 IS NULL OR attributes ->> '$.edgeType' = ?2) ORDER BY rowid",
        (graph_id, edge_type),
    )
    return Whole(tuple(nodes), tuple(PictureEdge(row[0], row[1], bool(row[2])) for row in edges))
