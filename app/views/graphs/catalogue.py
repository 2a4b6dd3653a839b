"""The graphs of a file and the types that they are of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from app.views.columns import Column
from app.views.graphs.nodes import short
from app.views.text import count, of, safe
from app.views.times import WIDTH
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
    """What it is called; the calls of a session are called as the session is."""
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
FROM (SELECT g.rowid AS position, g.id, coalesce(s.title, g.name) AS name, t.name AS type, g.status, g.updated_at,
  (SELECT count(*) FROM (SELECT 1 FROM nodes WHERE graph_id = g.id LIMIT ?3)) AS nodes,
  (SELECT count(*) FROM (SELECT 1 FROM edges WHERE graph_id = g.id LIMIT ?3)) AS edges,
  (SELECT max(rowid) FROM (SELECT rowid FROM nodes WHERE graph_id = g.id LIMIT ?3)) AS last_node,
  (SELECT max(rowid) FROM (SELECT rowid FROM edges WHERE graph_id = g.id LIMIT ?3)) AS last_edge
FROM graphs g LEFT JOIN graph_types t ON t.id = g.graph_type_id LEFT JOIN sessions s ON s.id = g.id
WHERE {where} ORDER BY g.rowid DESC LIMIT ?2)
ORDER BY 7 DESC, position DESC"""


ALL = -1
ENOUGH = 50_000
"""Nodes and edges that are counted where nobody needs to know how many more there are."""


def list_graphs(snapshot: Snapshot, limit: int = 1_000, graph_type: str | None = None) -> list[GraphRow]:
    """The `limit` newest graphs, of one type or of all; those that changed last come first."""
    where = "1" if graph_type is None else "t.name = ?1"
    rows = snapshot.rows(_GRAPHS.format(where=where), (graph_type, limit, ALL))
    return [GraphRow(*row) for row in rows]


def find_graph(snapshot: Snapshot, wanted: str, most: int = ALL) -> GraphRow:
    """The graph of that id, or the only one of that name, or the only one whose id begins so.

    Of its nodes and edges at most `most` are looked at: that bounds what counting a large graph costs.

    Raises:
        NoSuchGraphError: there is none, or there are several.
    """
    ways = ("g.id = ?1", "?1 IN (g.name, s.title)", "g.id >= ?1 AND g.id < ?1 || char(1114111)")
    for where in ways if wanted else ():
        rows = snapshot.rows(_GRAPHS.format(where=where), (wanted, 2, most))
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
    """The JSON Schema of the attributes of a node type (`kind` "node") or edge type ("edge") of a graph, for a form:
    what every edge says of itself (`edgeType`) is left out, what anything may have (`metadata`) stands last.

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
        last = {"metadata": properties["metadata"]} if "metadata" in properties else {}
        asked = {key: value for key, value in properties.items() if key not in ("edgeType", "metadata")}
        schema["properties"] = asked | last
    if isinstance(required, list):
        schema["required"] = [key for key in required if key != "edgeType"]
    return schema


# -- lines -----------------------------------------------------------------------------------------------------------


def graph_columns(when: Callable[[float | None], str]) -> tuple[Column[GraphRow], ...]:
    """The columns of a list of graphs; `when` says how times are shown."""
    return (
        Column("name", "NAME", lambda row: row.name, 16, grow=True),
        Column("type", "TYPE", lambda row: row.type or "(type gone)", 17),
        Column("nodes", "NODES", lambda row: count(row.nodes), 9, lambda row: row.nodes, right=True),
        Column("edges", "EDGES", lambda row: count(row.edges), 9, lambda row: row.edges, right=True, rank=1),
        Column("changed", "CHANGED", lambda row: when(row.changed_ms), WIDTH, lambda row: row.changed_ms),
        Column("status", "STATUS", lambda row: row.status, 8, rank=3),
        Column("id", "ID", lambda row: short(row.id), 8, lambda row: row.id, rank=2),
    )


def graph_title(row: GraphRow, *more: str, ascii_only: bool = False, most: int | None = None) -> str:
    """A graph in a few words, as titles say it; `more` stands behind the name, `most` was counted at most."""
    kind = safe(row.type or "type gone: read only", ascii_only=ascii_only)
    counts = [
        f"{count(number)}+ {thing}s" if number == most else of(number, thing)
        for number, thing in ((row.nodes, "node"), (row.edges, "edge"))
    ]
    return (" - " if ascii_only else " · ").join([safe(row.name, ascii_only=ascii_only), *more, kind, *counts])


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
