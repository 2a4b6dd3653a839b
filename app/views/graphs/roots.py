"""Where an outline of a graph begins."""

from __future__ import annotations

from dataclasses import dataclass

from app.views.graphs.nodes import PAGE, NodeRow, node_columns, node_row
from storage.engine import Snapshot

SMALL = 2_000
"""Nodes of a graph that is read as a whole, so that the outline leads to every node, those in cycles too."""
WINDOW = 20_000
"""Nodes of a larger one that are looked at for one page of roots."""


@dataclass(frozen=True, slots=True)
class Roots:
    """Where to begin. `after` is the key to look on behind; None: all nodes were looked at."""

    nodes: tuple[NodeRow, ...]
    after: str | None


def read_roots(snapshot: Snapshot, graph_id: str, edge_type: str | None = None, pages: int = 1) -> Roots:
    """Nodes that no edge leads to, so many pages of them.

    Of a small graph also one node of each part that only cycles or undirected edges hold together, the first that was
    made: the outline leads to all nodes. A larger one without any root begins at its first node.
    """
    first = snapshot.rows("SELECT key FROM nodes WHERE graph_id = ? ORDER BY key LIMIT ?", (graph_id, SMALL + 1))
    if len(first) <= SMALL:
        small = snapshot.rows("SELECT key FROM nodes WHERE graph_id = ? ORDER BY rowid", (graph_id,))
        keys = _covering(snapshot, graph_id, edge_type, [str(row[0]) for row in small])
        return Roots(tuple(_read(snapshot, graph_id, edge_type, keys)), None)
    found = Roots((), "")
    while found.after is not None and (pages or not found.nodes):
        page = _window(snapshot, graph_id, edge_type, found.after)
        found = Roots((*found.nodes, *page.nodes), page.after)
        pages = max(0, pages - 1)
    return found if found.nodes else Roots(tuple(_read(snapshot, graph_id, edge_type, [str(first[0][0])])), None)


def _covering(snapshot: Snapshot, graph_id: str, edge_type: str | None, keys: list[str]) -> list[str]:
    typed = "" if edge_type is None else " AND attributes ->> '$.edgeType' = ?2"
    edges = snapshot.rows(
        f"SELECT source_node_key, target_node_key, undirected FROM edges WHERE graph_id = ?1{typed}",
        (graph_id,) if edge_type is None else (graph_id, edge_type),
    )
    leaving: dict[str, list[str]] = {}
    entered: set[str] = set()
    for source, target, undirected in edges:
        leaving.setdefault(source, []).append(target)
        if undirected:
            leaving.setdefault(target, []).append(source)
        elif source != target:
            entered.add(target)
    begin: list[str] = []
    seen: set[str] = set()
    for key in sorted(keys, key=entered.__contains__):  # stable: roots first, each kind in the order it was made
        if key in seen:
            continue
        begin.append(key)
        seen.add(key)
        waiting = [key]
        while waiting:
            for target in leaving.get(waiting.pop(), ()):
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
    return begin


def _read(snapshot: Snapshot, graph_id: str, edge_type: str | None, keys: list[str]) -> list[NodeRow]:
    rows = [
        snapshot.rows(
            f"SELECT {node_columns(edge_type)} FROM nodes n WHERE n.graph_id = ?1 AND n.key = ?2 AND ?3 IS ?3",
            (graph_id, key, edge_type),
        )[0]
        for key in keys
    ]
    return [node_row(row) for row in rows]


def _window(snapshot: Snapshot, graph_id: str, edge_type: str | None, after: str) -> Roots:
    """The roots among the next nodes by key, at most a page of them."""
    keys = snapshot.rows(
        "SELECT key FROM nodes WHERE graph_id = ? AND key > ? ORDER BY key LIMIT 1 OFFSET ?",
        (graph_id, after, WINDOW - 1),
    )
    until = str(keys[0][0]) if keys else None
    typed = " AND i.attributes ->> '$.edgeType' = ?3" if edge_type is not None else ""
    rows = snapshot.rows(
        f"SELECT {node_columns(edge_type)} FROM nodes n WHERE n.graph_id = ?1 AND n.key > ?2"
        " AND (?4 IS NULL OR n.key <= ?4)"
        " AND NOT EXISTS (SELECT 1 FROM edges i WHERE i.graph_id = n.graph_id AND i.target_node_key = n.key"
        f" AND NOT i.undirected AND i.source_node_key <> n.key{typed}) ORDER BY n.key LIMIT {PAGE + 1}",
        (graph_id, after, edge_type, until),
    )
    found = [node_row(row) for row in rows]
    return Roots(tuple(found[:PAGE]), found[PAGE - 1].key if len(found) > PAGE else until)
