"""The graphs of a file and the types that they are of."""

from __future__ import annotations

import json
from dataclasses import dataclass

from app.views.text import ago, clip, count, fit, of, safe
from storage.engine import Snapshot
from storage.engine.errors import EngineError


class NoSuchGraphError(EngineError, LookupError):
    """No graph, or more than one, is called so."""

    hint = "`spoke graph list` shows them"


@dataclass(frozen=True, slots=True)
class GraphRow:
    """A graph in a list."""

    id: str
    name: str
    type: str | None
    """None: its type was deleted; it can be read, not written."""
    status: str
    nodes: int
    edges: int
    changed_ms: int
    """When it, its newest node or its newest edge was last written; unix milliseconds."""


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A node or edge type; the lists are empty for node types and where nothing is restricted."""

    name: str
    description: str
    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphTypeRow:
    """A kind of graph."""

    name: str
    description: str
    scope: str
    version: int
    graphs: int
    node_types: tuple[EntryRow, ...]
    edge_types: tuple[EntryRow, ...]


# `graphs` is read by rowid, the newest first; counts and newest rows come from the index over the keys alone.
_GRAPHS = """
SELECT id, name, type, status, nodes, edges,
  1000 * max(updated_at, coalesce((SELECT updated_at FROM nodes WHERE rowid = last_node), 0),
                         coalesce((SELECT updated_at FROM edges WHERE rowid = last_edge), 0))
FROM (SELECT g.rowid AS position, g.id, g.name, t.name AS type, g.status, g.updated_at,
  (SELECT count(*) FROM nodes WHERE graph_id = g.id) AS nodes,
  (SELECT count(*) FROM edges WHERE graph_id = g.id) AS edges,
  (SELECT max(rowid) FROM nodes WHERE graph_id = g.id) AS last_node,
  (SELECT max(rowid) FROM edges WHERE graph_id = g.id) AS last_edge
FROM graphs g LEFT JOIN graph_types t ON t.id = g.graph_type_id WHERE {where} ORDER BY g.rowid DESC LIMIT ?2)
ORDER BY position DESC"""


def list_graphs(snapshot: Snapshot, limit: int = 1_000, graph_type: str | None = None) -> list[GraphRow]:
    """The newest graphs first, of one type or of all."""
    where = "1" if graph_type is None else "t.name = ?1"
    rows = snapshot.rows(_GRAPHS.format(where=where), (graph_type, limit))
    return [GraphRow(*row) for row in rows]


def find_graph(snapshot: Snapshot, wanted: str) -> GraphRow:
    """The graph of that id, or the only one of that name, or the only one whose id begins so.

    Raises:
        NoSuchGraphError: there is none, or there are several.
    """
    ways = ("g.id = ?1", "g.name = ?1", "g.id >= ?1 AND g.id < ?1 || char(1114111)")
    for where in ways if wanted else ():
        rows = snapshot.rows(_GRAPHS.format(where=where), (wanted, 2))
        if len(rows) > 1:
            raise NoSuchGraphError(f"several graphs are called {wanted!r}; name one by its id")
        if rows:
            return GraphRow(*rows[0])
    raise NoSuchGraphError(f"no graph {wanted!r}")


def list_types(snapshot: Snapshot) -> list[GraphTypeRow]:
    """Every kind of graph, by name."""
    nodes: dict[str, list[EntryRow]] = {}
    edges: dict[str, list[EntryRow]] = {}
    for type_id, name, description in snapshot.rows(
        "SELECT graph_type_id, name, description FROM node_types ORDER BY rowid"
    ):
        nodes.setdefault(type_id, []).append(EntryRow(name, description))
    for type_id, name, description, sources, targets in snapshot.rows(
        "SELECT graph_type_id, name, description, allowed_source_types, allowed_target_types FROM edge_types"
        " ORDER BY rowid"
    ):
        entry = EntryRow(name, description, tuple(json.loads(sources)), tuple(json.loads(targets)))
        edges.setdefault(type_id, []).append(entry)
    rows = snapshot.rows(
        "SELECT id, name, description, scope, version, (SELECT count(*) FROM graphs WHERE graph_type_id = t.id)"
        " FROM graph_types t ORDER BY name"
    )
    return [
        GraphTypeRow(name, text, scope, version, used, tuple(nodes.get(type_id, ())), tuple(edges.get(type_id, ())))
        for type_id, name, text, scope, version, used in rows
    ]


def find_schema(snapshot: Snapshot, graph_id: str, kind: str, name: str) -> dict[str, object]:
    """The JSON Schema of the attributes of a node type (`kind` "node") or edge type ("edge") of a graph; what every
    edge says of itself (`edgeType`) is left out.

    Raises:
        NoSuchGraphError: the graph has no such type.
    """
    rows = snapshot.rows(
        f"SELECT e.schema FROM {kind}_types e JOIN graphs g ON g.graph_type_id = e.graph_type_id"
        " WHERE g.id = ? AND e.name = ?",
        (graph_id, name),
    )
    if not rows:
        raise NoSuchGraphError(f"graph {graph_id!r} has no {kind} type {name!r}")
    schema: dict[str, object] = json.loads(rows[0][0])
    properties, required = schema.get("properties"), schema.get("required")
    if isinstance(properties, dict):
        schema["properties"] = {key: value for key, value in properties.items() if key != "edgeType"}
    if isinstance(required, list):
        schema["required"] = [key for key in required if key != "edgeType"]
    return schema


# -- lines -----------------------------------------------------------------------------------------------------------

_TYPE, _COUNT, _AGO = 18, 9, 7


def graph_header(width: int) -> str:
    """The line above a list of graphs."""
    names = _names(width)
    return f"{'name':<{names}} {'type':<{_TYPE}} {'nodes':>{_COUNT}} {'edges':>{_COUNT}} {'changed':>{_AGO}}  id"[
        :width
    ]


def graph_line(row: GraphRow, width: int, now_ms: int, *, ascii_only: bool = False) -> str:
    """A graph in at most `width` cells: name, type, nodes, edges, when it changed, id."""
    ellipsis = "~" if ascii_only else "…"
    name = fit(safe(row.name, ascii_only=ascii_only), _names(width), ellipsis=ellipsis)
    kind = fit(safe(row.type or "(type gone)", ascii_only=ascii_only), _TYPE, ellipsis=ellipsis)
    numbers = f"{count(row.nodes):>{_COUNT}} {count(row.edges):>{_COUNT}} {ago(row.changed_ms, now_ms):>{_AGO}}"
    line = clip(f"{name} {kind} {numbers}  {safe(row.id, ascii_only=ascii_only)}", width, ellipsis=ellipsis)
    return line.rstrip()


def _names(width: int) -> int:
    return max(12, min(40, width - _TYPE - 2 * _COUNT - _AGO - 15))


def graph_title(row: GraphRow, *, ascii_only: bool = False) -> str:
    """A graph in a few words, as titles say it."""
    dot = "-" if ascii_only else "·"
    kind = safe(row.type or "type gone: read only", ascii_only=ascii_only)
    parts = [safe(row.name, ascii_only=ascii_only), kind, of(row.nodes, "node"), of(row.edges, "edge")]
    return f" {dot} ".join(parts)


def type_lines(row: GraphTypeRow, *, ascii_only: bool = False) -> list[str]:
    """A kind of graph: its name, and a line for each of its node and edge types."""
    arrow = "->" if ascii_only else "→"
    out = [
        f"{safe(row.name, ascii_only=ascii_only)}  {row.scope} version {row.version}, {of(row.graphs, 'graph')}"
        f"  {safe(row.description, ascii_only=ascii_only)}".rstrip()
    ]
    out += [
        f"  node {safe(node.name, ascii_only=ascii_only):<20} {safe(node.description, ascii_only=ascii_only)}".rstrip()
        for node in row.node_types
    ]
    for edge in row.edge_types:
        joins = f"{' | '.join(edge.sources) or 'any'} {arrow} {' | '.join(edge.targets) or 'any'}"
        out.append(f"  edge {safe(edge.name, ascii_only=ascii_only):<20} {safe(joins, ascii_only=ascii_only)}")
    return out
