"""Nodes and the edges at them, as lists show them; read on demand, a page at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from app.views.text import safe
from storage.engine import Snapshot
from storage.engine.errors import EngineError

PAGE = 200
"""Edges of one node, or roots, that are read at once."""

GLYPHS = {"completed": "✓", "failed": "✗", "aborted": "⊘", "blocked": "⊘", "running": "▶", "in-progress": "▶"}
ASCII_GLYPHS = {"✓": "+", "✗": "x", "⊘": "-", "▶": ">", "·": "."}
FAILED = ("failed", "error")

_LABELS = ("name", "title", "label", "operationId", "identityId", "resourceId")
"""Attributes that say what a node is better than its key, the first that it has."""
_LABEL = ", ".join(f"n.attributes ->> '$.{name}'" for name in _LABELS)
"""As a blob: half of a surrogate pair in JSON makes a text of it that is no UTF-8."""


class NoSuchNodeError(EngineError, LookupError):
    """The graph has no node of that key, or no such edge."""

    hint = "`spoke graph show GRAPH` lists nodes"


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node in a list."""

    key: str
    type: str | None
    label: str | None
    """What its attributes call it; None where they do not."""
    status: str | None
    leads: bool
    """An edge leads on from it."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.label or self.key


@dataclass(frozen=True, slots=True)
class Link:
    """An edge, seen from one of its ends: the node at the other."""

    edge_id: str
    type: str | None
    undirected: bool
    node: NodeRow


@dataclass(frozen=True, slots=True)
class Fan:
    """The first edges on one side of a node, and how many more there are."""

    links: tuple[Link, ...] = ()
    more: int = 0


def glyph(node: NodeRow, *, ascii_only: bool = False) -> str:
    """One cell for the status; a space where there is none."""
    if node.status is None:
        return " "
    shown = GLYPHS.get(node.status, "·")
    return ASCII_GLYPHS[shown] if ascii_only else shown


def node_name(node: NodeRow, *, ascii_only: bool = False) -> str:
    """Glyph and name on one line."""
    return f"{glyph(node, ascii_only=ascii_only)} {safe(node.name, ascii_only=ascii_only)}".strip()


def short(key: str) -> str:
    """A key where there is little room: of a UUID, the first group."""
    return key[:8] if len(key) == 36 and key.count("-") == 4 else key


def node_columns(edge_type: str | None) -> str:
    """SQL columns of `nodes n` that `node_row` takes; the type's edges are those that lead on. It is parameter 3."""
    typed = " AND x.attributes ->> '$.edgeType' = ?3" if edge_type is not None else ""
    return (
        f"""n.key, n.metadata ->> '$."_storage.nodeType"', CAST(substr(coalesce({_LABEL}), 1, 200) AS BLOB),"""
        " CASE json_type(n.attributes, '$.status') WHEN 'text' THEN CAST(n.attributes ->> '$.status' AS BLOB) END,"
        " EXISTS (SELECT 1 FROM edges x WHERE x.graph_id = n.graph_id AND x.source_node_key = n.key"
        f"{typed}) OR EXISTS (SELECT 1 FROM edges x WHERE x.graph_id = n.graph_id AND x.target_node_key = n.key"
        f" AND x.undirected{typed})"
    )


def node_row(row: tuple[Any, ...]) -> NodeRow:
    """The node of such columns."""
    return NodeRow(row[0], row[1], _text(row[2]), _text(row[3]), bool(row[4]))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def read_node(snapshot: Snapshot, graph_id: str, key: str) -> NodeRow:
    """One node.

    Raises:
        NoSuchNodeError: there is none.
    """
    rows = snapshot.rows(
        f"SELECT {node_columns(None)} FROM nodes n WHERE n.graph_id = ?1 AND n.key = ?2",
        (graph_id, key),
    )
    if not rows:
        raise NoSuchNodeError(f"no node {key!r} in graph {graph_id!r}")
    return node_row(rows[0])


def read_nodes(snapshot: Snapshot, graph_id: str) -> list[NodeRow]:
    """All nodes of a small graph, in the order in which they were made."""
    rows = snapshot.rows(f"SELECT {node_columns(None)} FROM nodes n WHERE n.graph_id = ? ORDER BY n.rowid", (graph_id,))
    return [node_row(row) for row in rows]


def find_node(snapshot: Snapshot, graph_id: str, prefix: str) -> NodeRow:
    """The node of that key, or the only one whose key begins so.

    Raises:
        NoSuchNodeError: there is none, or there are several.
    """
    keys = snapshot.rows(
        "SELECT key FROM nodes WHERE graph_id = ? AND key >= ? AND key < ? ORDER BY key LIMIT 2",
        (graph_id, prefix, prefix + "\U0010ffff"),
    )
    if len(keys) > 1 and keys[0][0] != prefix:
        raise NoSuchNodeError(f"several nodes begin with {prefix!r}")
    return read_node(snapshot, graph_id, keys[0][0] if keys else prefix)


@dataclass(frozen=True, slots=True)
class EdgeRow:
    """An edge by itself; `attributes` without its type."""

    id: str
    type: str | None
    source: str
    target: str
    attributes: dict[str, Any]


def read_edge(snapshot: Snapshot, edge_id: str) -> EdgeRow:
    """One edge.

    Raises:
        NoSuchNodeError: there is none.
    """
    rows = snapshot.rows("SELECT source_node_key, target_node_key, attributes FROM edges WHERE id = ?", (edge_id,))
    if not rows:
        raise NoSuchNodeError(f"no edge {edge_id!r}")
    attributes: dict[str, Any] = json.loads(rows[0][2])
    return EdgeRow(edge_id, attributes.pop("edgeType", None), rows[0][0], rows[0][1], attributes)


def read_attributes(snapshot: Snapshot, graph_id: str, key: str) -> dict[str, Any]:
    """What is known about a node.

    Raises:
        NoSuchNodeError: there is none.
    """
    rows = snapshot.rows("SELECT attributes FROM nodes WHERE graph_id = ? AND key = ?", (graph_id, key))
    if not rows:
        raise NoSuchNodeError(f"no node {key!r} in graph {graph_id!r}")
    found: dict[str, Any] = json.loads(rows[0][0])
    return found


_NEAR = {"out": "source_node_key", "in": "target_node_key"}
_FAR = {"out": "target_node_key", "in": "source_node_key"}


def read_fan(
    snapshot: Snapshot,
    graph_id: str,
    key: str,
    direction: Literal["out", "in"],
    edge_type: str | None = None,
    limit: int = PAGE,
) -> Fan:
    """The edges that lead away from a node, or here, in the order in which they were made.

    An undirected edge leads away, from both its ends.
    """
    params = (graph_id, key, edge_type, limit + 1)
    typed = " AND e.attributes ->> '$.edgeType' = ?3" if edge_type is not None else ""
    one_way = " AND NOT e.undirected" if direction == "in" else ""
    sides = [(_NEAR[direction], _FAR[direction], one_way)]
    if direction == "out":
        sides.append((_FAR["out"], _NEAR["out"], " AND e.undirected AND e.source_node_key <> e.target_node_key"))
    links: list[Link] = []
    for near, far, condition in sides:
        rows = snapshot.rows(
            f"SELECT e.id, e.attributes ->> '$.edgeType', e.undirected, {node_columns(edge_type)}"
            f" FROM edges e JOIN nodes n ON n.graph_id = e.graph_id AND n.key = e.{far}"
            f" WHERE e.graph_id = ?1 AND e.{near} = ?2{condition}{typed} ORDER BY e.rowid LIMIT ?4",
            params,
        )
        links += [Link(row[0], row[1], bool(row[2]), node_row(row[3:])) for row in rows]
    if len(links) <= limit:
        return Fan(tuple(links))
    total = 0
    for near, _, condition in sides:
        counted = f"SELECT count(*) FROM edges e WHERE ?4 AND e.graph_id = ?1 AND e.{near} = ?2{condition}{typed}"
        total += int(snapshot.rows(counted, params)[0][0])
    return Fan(tuple(links[:limit]), total - limit)


def search(snapshot: Snapshot, graph_id: str, text: str, limit: int = 50) -> list[NodeRow]:
    """Nodes whose key begins with the text, then those whose name or key holds it; letters of either case."""
    found = snapshot.rows(
        f"SELECT {node_columns(None)} FROM nodes n WHERE n.graph_id = ?1 AND n.key >= ?2"
        " AND n.key < ?2 || char(1114111) ORDER BY n.key LIMIT ?3",
        (graph_id, text, limit),
    )
    if len(found) < limit:
        found += snapshot.rows(
            f"SELECT {node_columns(None)} FROM nodes n WHERE n.graph_id = ?1"
            f" AND instr(lower(n.key || char(10) || coalesce({_LABEL}, '')), lower(?2)) ORDER BY n.rowid LIMIT ?3",
            (graph_id, text, limit),
        )
    return list({row[0]: node_row(row) for row in found}.values())[:limit]


def way_up(snapshot: Snapshot, graph_id: str, key: str, edge_type: str | None = None) -> list[str]:
    """Keys from a root down to the node, along the first edge that leads to each; a cycle ends it."""
    way = [key]
    seen = {key}
    while True:
        before = [
            link.node.key
            for link in read_fan(snapshot, graph_id, way[-1], "in", edge_type, 1).links
            if link.node.key not in seen
        ]
        if not before:
            return way[::-1]
        way.append(before[0])
        seen.add(before[0])


def next_failed(snapshot: Snapshot, graph_id: str, after: str, *, back: bool = False) -> str | None:
    """The key of the next node that failed, in the order in which they were made, round the end; None: none did."""
    compare, order = ("<", "DESC") if back else (">", "ASC")
    failed = f"attributes ->> '$.status' IN ({', '.join('?' * len(FAILED))})"
    start = snapshot.rows("SELECT rowid FROM nodes WHERE graph_id = ? AND key = ?", (graph_id, after))
    for beyond in ([f"rowid {compare} {int(start[0][0])}"] if start else []) + ["1"]:
        rows = snapshot.rows(
            f"SELECT key FROM nodes WHERE graph_id = ? AND {beyond} AND {failed} ORDER BY rowid {order} LIMIT 1",
            (graph_id, *FAILED),
        )
        if rows:
            return str(rows[0][0])
    return None
