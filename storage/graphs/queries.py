"""Reading graphs. Walks go edge by edge along the indexes `(graph_id, source_node_key)` and `(graph_id,
target_node_key)`: what they cost hangs on what they find, not on how large the file is.

An undirected edge is walked both ways.
"""

from __future__ import annotations

import graphlib
import json
import re
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from storage.engine import Snapshot, Transaction
from storage.graphs.errors import GraphError, NotFoundError
from storage.graphs.writing import NODE_TYPE

Source: TypeAlias = Snapshot | Transaction
Direction: TypeAlias = Literal["out", "in", "both"]


class CycleError(GraphError):
    """The graph has a cycle, so there is no topological order; `cycle` names its nodes, first and last the same."""

    hint = "remove an edge of the cycle"

    def __init__(self, cycle: list[str]) -> None:
        super().__init__(f"cycle: {' -> '.join(cycle)}")
        self.cycle = cycle


@dataclass(frozen=True, slots=True)
class Node:
    """A node as it is stored."""

    key: str
    type: str | None
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge as it is stored."""

    id: str
    key: str | None
    type: str | None
    source: str
    target: str
    attributes: dict[str, Any]
    undirected: bool


def get_node(source: Source, graph_id: str, key: str) -> Node:
    """Return a node.

    Raises:
        NotFoundError: there is none.
    """
    rows = source.rows("SELECT key, metadata, attributes FROM nodes WHERE graph_id = ? AND key = ?", (graph_id, key))
    if not rows:
        raise NotFoundError(f"no node {key!r} in graph {graph_id!r}")
    return _node(rows[0])


def all_nodes(source: Source, graph_id: str) -> list[Node]:
    """Every node of a graph, by key."""
    rows = source.rows("SELECT key, metadata, attributes FROM nodes WHERE graph_id = ? ORDER BY key", (graph_id,))
    return [_node(row) for row in rows]


_EDGE = "SELECT id, key, source_node_key, target_node_key, attributes, undirected FROM edges"


def all_edges(source: Source, graph_id: str) -> list[Edge]:
    """Every edge of a graph, in the order in which they were made."""
    return [_edge(row) for row in source.rows(f"{_EDGE} WHERE graph_id = ? ORDER BY rowid", (graph_id,))]


_ENDS: dict[Direction, tuple[str, str]] = {
    "out": ("source_node_key = ?", "target_node_key = ? AND undirected = 1"),
    "in": ("target_node_key = ?", "source_node_key = ? AND undirected = 1"),
    "both": ("source_node_key = ?", "target_node_key = ?"),
}
"""The conditions that find the edges of a node; an undirected edge is found from both its ends."""


def edges_of(source: Source, graph_id: str, key: str, direction: Direction = "both") -> list[Edge]:
    """The edges at a node: those that lead away, those that lead here, or both."""
    found: dict[str, Edge] = {}
    for ends in _ENDS[direction]:
        for row in source.rows(f"{_EDGE} WHERE graph_id = ? AND {ends} ORDER BY rowid", (graph_id, key)):
            found[row[0]] = _edge(row)
    return list(found.values())


def neighbours(
    source: Source, graph_id: str, key: str, direction: Direction = "both", edge_type: str | None = None
) -> list[str]:
    """Keys one edge away, without doubles.

    Raises:
        NotFoundError: there is no such node.
    """
    get_node(source, graph_id, key)
    return _steps(source, graph_id, key, direction, edge_type)


def descendants(source: Source, graph_id: str, key: str, edge_type: str | None = None) -> list[str]:
    """Keys that can be reached from a node, nearest first. Safe on cycles; the node itself is never among them."""
    return _reach(source, graph_id, key, "out", edge_type)


def ancestors(source: Source, graph_id: str, key: str, edge_type: str | None = None) -> list[str]:
    """Keys from which a node can be reached, nearest first."""
    return _reach(source, graph_id, key, "in", edge_type)


def shortest_path(
    source: Source, graph_id: str, start: str, goal: str, *, direction: Direction = "out", edge_type: str | None = None
) -> list[str] | None:
    """The keys of a path with the fewest edges, ends included; None when there is none.

    Raises:
        NotFoundError: an end is no node of the graph.
    """
    get_node(source, graph_id, start)
    get_node(source, graph_id, goal)
    came_from: dict[str, str | None] = {start: None}
    waiting = deque([start])
    while waiting and goal not in came_from:
        key = waiting.popleft()
        for following in _steps(source, graph_id, key, direction, edge_type):
            if following not in came_from:
                came_from[following] = key
                waiting.append(following)
    if goal not in came_from:
        return None
    path: list[str] = []
    at: str | None = goal
    while at is not None:
        path.append(at)
        at = came_from[at]
    return path[::-1]


def topological_order(source: Source, graph_id: str, edge_type: str | None = None) -> list[str]:
    """Every key, sources before targets; undirected edges say nothing of order.

    Raises:
        CycleError: there is none; the error names a cycle.
    """
    sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter(
        {node.key: () for node in all_nodes(source, graph_id)}
    )
    for edge in all_edges(source, graph_id):
        if not edge.undirected and edge_type in (None, edge.type):
            sorter.add(edge.target, edge.source)
    try:
        return list(sorter.static_order())
    except graphlib.CycleError as error:
        raise CycleError([str(key) for key in error.args[1]]) from error


def find_cycle(source: Source, graph_id: str, edge_type: str | None = None) -> list[str] | None:
    """A cycle of directed edges, first and last key the same; None when there is none."""
    try:
        topological_order(source, graph_id, edge_type)
    except CycleError as error:
        return error.cycle
    return None


# -- attributes ------------------------------------------------------------------------------------------------------

PATH = re.compile(r"\$(?:\.[A-Za-z_][A-Za-z0-9_]{0,63}|\[\d{1,6}\]){1,16}")
"""The JSON paths that are taken: `$.name`, `$.a.b[0]`."""
Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">="]


def check_path(path: str) -> str:
    """Return a path that may go into SQL text, where an index needs it.

    Raises:
        GraphError: it is no simple JSON path.
    """
    if not PATH.fullmatch(path):
        raise GraphError(f"{path[:60]!r} is no path: write $.name, $.a.b or $.a[0]")
    return path


def find_nodes(
    source: Source,
    graph_id: str,
    path: str,
    value: str | int | float | bool | None,
    *,
    operator: Operator = "=",
    after: str = "",
    limit: int = 100,
) -> list[Node]:
    """Nodes whose attribute at a JSON path compares so with a value, by key, behind the key `after`.

    Uses an index on the path where `create_attribute_index` made one.

    Raises:
        GraphError: the path is none.
    """
    text = check_path(path)
    if operator not in ("=", "!=", "<", "<=", ">", ">="):
        raise GraphError(f"{operator!r} is no operator: = != < <= > >=")
    sql_operator = {"=": "IS", "!=": "IS NOT"}.get(operator, operator)
    rows = source.rows(
        "SELECT key, metadata, attributes FROM nodes"
        f" WHERE graph_id = ? AND json_extract(attributes, '{text}') {sql_operator} ? AND key > ? ORDER BY key LIMIT ?",
        (graph_id, int(value) if isinstance(value, bool) else value, after, limit),
    )
    return [_node(row) for row in rows]


def create_attribute_index(tx: Transaction, path: str) -> str:
    """Make an index over an attribute of all nodes; returns its name. Does nothing when there is one.

    Raises:
        GraphError: the path is none.
    """
    text = check_path(path)
    name = _index_name(text)
    # The expression must be the very one of the queries, or SQLite does not use it.
    tx.execute(f"CREATE INDEX IF NOT EXISTS {name} ON nodes (graph_id, json_extract(attributes, '{text}'), key)")
    return name


def drop_attribute_index(tx: Transaction, path: str) -> None:
    """Remove such an index."""
    tx.execute(f"DROP INDEX IF EXISTS {_index_name(check_path(path))}")


def _index_name(path: str) -> str:
    """Readable, and different for `$.a.b` and `$.a_b`."""
    return f"attr_nodes_{re.sub('[^A-Za-z0-9]+', '_', path).strip('_')}_{zlib.crc32(path.encode()):08x}"


# -- inside ----------------------------------------------------------------------------------------------------------


def _steps(source: Source, graph_id: str, key: str, direction: Direction, edge_type: str | None) -> list[str]:
    found: dict[str, None] = {}
    for edge in edges_of(source, graph_id, key, direction):
        if edge_type in (None, edge.type):
            for end in _ends(edge, key, direction):
                found[end] = None
    return list(found)


def _ends(edge: Edge, key: str, direction: Direction) -> Iterator[str]:
    if edge.source == key and (direction != "in" or edge.undirected):
        yield edge.target
    if edge.target == key and (direction != "out" or edge.undirected):
        yield edge.source


def _reach(source: Source, graph_id: str, key: str, direction: Direction, edge_type: str | None) -> list[str]:
    get_node(source, graph_id, key)
    seen = {key}
    order: list[str] = []
    waiting = deque([key])
    while waiting:
        for following in _steps(source, graph_id, waiting.popleft(), direction, edge_type):
            if following not in seen:
                seen.add(following)
                order.append(following)
                waiting.append(following)
    return order


def _node(row: tuple[Any, ...]) -> Node:
    return Node(row[0], json.loads(row[1]).get(NODE_TYPE), json.loads(row[2]))


def _edge(row: tuple[Any, ...]) -> Edge:
    attributes = json.loads(row[4])
    return Edge(row[0], row[1], attributes.get("edgeType"), row[2], row[3], attributes, bool(row[5]))
