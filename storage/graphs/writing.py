"""Writing graphs: everything that a graph's type says is checked before a row is written.

Every function works inside the caller's transaction and tells the channels `graph:created`, `graph:updated` and
`nodes:created` in it: listeners hear of what was committed, and of nothing else.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.background import ask
from storage.engine import Transaction
from storage.engine.payload import dumps
from storage.graphs.attributes import check_attributes
from storage.graphs.errors import DanglingEdgeError, EdgeRefusedError, GraphError, NotFoundError, UnknownTypeError
from storage.graphs.module import EdgeType, GraphConfig

NODE_TYPE = "_storage.nodeType"
"""The key in a node's `metadata` that tells its type (ADR-020 leaves it to the application)."""
MAX_KEY_LENGTH = 512
DELEGATION_EDGES = ("delegates", "belongs_to")
EVALUATION_QUEUE = "acl-evaluation"


@dataclass(frozen=True, slots=True)
class GraphRow:
    """A graph and the rules of its type."""

    id: str
    type_id: str
    type_name: str
    config: GraphConfig
    status: str


def create_graph(
    tx: Transaction,
    type_name: str,
    name: str,
    *,
    graph_id: str | None = None,
    description: str = "",
    status: str = "active",
    owner_id: str | None = None,
    project_id: str | None = None,
) -> str:
    """Create a graph and return its id.

    Raises:
        UnknownTypeError: there is no such graph type.
    """
    rows = tx.rows("SELECT id FROM graph_types WHERE name = ?", (type_name,))
    if not rows:
        names = ", ".join(str(row[0]) for row in tx.rows("SELECT name FROM graph_types ORDER BY name"))
        raise UnknownTypeError(f"no graph type {type_name!r}; there are {names}")
    new = graph_id or str(uuid.uuid4())
    tx.execute(
        "INSERT INTO graphs (id, graph_type_id, name, description, status, owner_id, project_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (new, rows[0][0], name, description, status, owner_id, project_id),
    )
    tell_created(tx, new, str(rows[0][0]), owner_id)
    return new


def tell_created(tx: Transaction, graph_id: str, type_id: str | None, owner_id: str | None) -> None:
    """Channel `graph:created`."""
    tx.notify("graph:created", {"graphId": graph_id, "graphTypeId": type_id, "ownerId": owner_id})


def tell_updated(tx: Transaction, graph_id: str, changes: Sequence[str]) -> None:
    """Channel `graph:updated`: what of the graph changed."""
    tx.notify("graph:updated", {"graphId": graph_id, "changes": list(changes)})


def load_graph(tx: Transaction, graph_id: str) -> GraphRow:
    """Return a graph with the rules of its type.

    Raises:
        NotFoundError: there is none.
        UnknownTypeError: its type was deleted: it can be read, not written.
    """
    rows = tx.rows(
        "SELECT g.status, t.id, t.name, t.config FROM graphs g LEFT JOIN graph_types t ON t.id = g.graph_type_id"
        " WHERE g.id = ?",
        (graph_id,),
    )
    if not rows:
        raise NotFoundError(f"no graph {graph_id!r}")
    status, type_id, type_name, config = rows[0]
    if type_id is None:
        raise UnknownTypeError(f"the type of graph {graph_id!r} was deleted: the graph can be read, not written")
    return GraphRow(graph_id, type_id, type_name, GraphConfig.model_validate_json(config), status)


def put_node(
    tx: Transaction, graph_id: str, node_type: str, key: str, attributes: Mapping[str, Any], *, replace: bool = True
) -> None:
    """Write a node; one of that key is replaced (its type too), unless `replace` is False.

    Raises:
        NotFoundError, UnknownTypeError: no such graph, no such node type in it.
        AttributesError, TooLargeError: the attributes do not fit.
        GraphError: there is such a node and `replace` is False, or the key is none.
    """
    put_nodes(tx, graph_id, [(node_type, key, attributes)], replace=replace)


def put_nodes(
    tx: Transaction, graph_id: str, nodes: Sequence[tuple[str, str, Mapping[str, Any]]], *, replace: bool = True
) -> None:
    """Write many nodes `(type, key, attributes)` at once; as `put_node`, all or none within a savepoint of yours."""
    graph = load_graph(tx, graph_id)
    schemas: dict[str, str] = {}
    created: list[str] = []
    for node_type, key, attributes in nodes:
        if node_type not in schemas:
            schemas[node_type] = node_schema(tx, graph, node_type)
        check_key(key)
        text = check_attributes(f"node {key!r} of type {node_type!r}", schemas[node_type], attributes)
        rows = tx.rows("SELECT id, metadata FROM nodes WHERE graph_id = ? AND key = ?", (graph_id, key))
        if not rows:
            tx.execute(
                "INSERT INTO nodes (id, graph_id, key, attributes, metadata) VALUES (?, ?, ?, ?, ?)",
                (str(uuid.uuid4()), graph_id, key, text, dumps({NODE_TYPE: node_type})),
            )
            created.append(key)
        elif not replace:
            raise GraphError(f"graph {graph_id!r} has a node {key!r} already")
        else:
            metadata = {**json.loads(rows[0][1]), NODE_TYPE: node_type}
            tx.execute(
                "UPDATE nodes SET attributes = ?, metadata = ?, updated_at = unixepoch() WHERE id = ?",
                (text, dumps(metadata), rows[0][0]),
            )
    tell_nodes(tx, graph, created, [key for _, key, _ in nodes])


def tell_nodes(tx: Transaction, graph: GraphRow, created: Sequence[str], written: Sequence[str]) -> None:
    """Channels `nodes:created` and `graph:updated`; a changed principal asks for an evaluation."""
    if created:
        tx.notify("nodes:created", {"graphId": graph.id, "keys": list(created)})
    if len(created) < len(written):
        tell_updated(tx, graph.id, ["nodes"])
    if graph.type_name == "acl":
        ask_evaluation(tx, graph.id)


def put_edge(
    tx: Transaction,
    graph_id: str,
    edge_type: str,
    source: str,
    target: str,
    attributes: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    undirected: bool | None = None,
) -> str:
    """Write an edge and return its id; one of that key is replaced. `undirected` defaults to what the graph is.

    Raises:
        NotFoundError, UnknownTypeError, AttributesError, TooLargeError: as `put_node`.
        DanglingEdgeError: an end is no node of the graph.
        EdgeRefusedError: a rule of the graph forbids it.
    """
    graph = load_graph(tx, graph_id)
    one_way = graph.config.type == "undirected" if undirected is None else undirected
    values = {**(attributes or {}), "edgeType": edge_type}
    edge_id = None
    if key is not None:
        check_key(key)
        rows = tx.rows("SELECT id FROM edges WHERE graph_id = ? AND key = ?", (graph_id, key))
        edge_id = str(rows[0][0]) if rows else None
    text = check_edge(tx, graph, edge_type, source, target, values, undirected=one_way, but=edge_id)
    if edge_id is None:
        edge_id = str(uuid.uuid4())
        tx.execute(
            "INSERT INTO edges (id, graph_id, key, source_node_key, target_node_key, attributes, undirected)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (edge_id, graph_id, key, source, target, text, int(one_way)),
        )
    else:
        tx.execute(
            "UPDATE edges SET source_node_key = ?, target_node_key = ?, attributes = ?, undirected = ?,"
            " updated_at = unixepoch() WHERE id = ?",
            (source, target, text, int(one_way), edge_id),
        )
    tell_edge(tx, graph, edge_type, source, target)
    return edge_id


def tell_edge(tx: Transaction, graph: GraphRow, edge_type: str, source: str, target: str) -> None:
    """Channel `graph:updated`; for a delegation also `acl:delegation_changed`, and an evaluation is asked for."""
    tell_updated(tx, graph.id, ["edges"])
    if graph.type_name == "acl":
        if edge_type in DELEGATION_EDGES:
            tx.notify("acl:delegation_changed", {"principalId": source, "agentId": target})
        ask_evaluation(tx, graph.id)


def ask_evaluation(tx: Transaction, graph_id: str) -> None:
    """Queue `acl-evaluation`: work out anew what each principal of the graph may do; once, however often asked."""
    ask(tx, EVALUATION_QUEUE, {"graphId": graph_id}, once=True)


def delete_node(tx: Transaction, graph_id: str, key: str) -> None:
    """Delete a node and every edge that ends at it.

    Raises:
        NotFoundError: there is none.
    """
    graph = load_graph(tx, graph_id)
    touched = tx.rows(
        "SELECT attributes ->> '$.edgeType', source_node_key, target_node_key FROM edges"
        " WHERE graph_id = ?1 AND (source_node_key = ?2 OR target_node_key = ?2)",
        (graph_id, key),
    )
    if not tx.rows("DELETE FROM nodes WHERE graph_id = ? AND key = ? RETURNING id", (graph_id, key)):
        raise NotFoundError(f"no node {key!r} in graph {graph_id!r}")
    tell_updated(tx, graph_id, ["nodes"])
    for edge_type, source, target in touched:
        tell_edge(tx, graph, str(edge_type), source, target)
    if graph.type_name == "acl":
        ask_evaluation(tx, graph_id)


def delete_edge(tx: Transaction, edge_id: str) -> None:
    """Delete an edge.

    Raises:
        NotFoundError: there is none.
    """
    rows = tx.rows(
        "DELETE FROM edges WHERE id = ? RETURNING graph_id, attributes ->> '$.edgeType', source_node_key,"
        " target_node_key",
        (edge_id,),
    )
    if not rows:
        raise NotFoundError(f"no edge {edge_id!r}")
    graph_id, edge_type, source, target = rows[0]
    tell_edge(tx, load_graph(tx, graph_id), str(edge_type), source, target)


# -- rules -----------------------------------------------------------------------------------------------------------


def check_key(key: str) -> None:
    """A key is 1 to 512 printable characters.

    Raises:
        GraphError: this one is not.
    """
    if not 1 <= len(key) <= MAX_KEY_LENGTH or not key.isprintable():
        raise GraphError(f"a key has 1 to {MAX_KEY_LENGTH} printable characters, not {key[:40]!r}")


def node_schema(tx: Transaction, graph: GraphRow, node_type: str) -> str:
    """The JSON Schema of a node type, as stored.

    Raises:
        UnknownTypeError: the graph's type has no such node type.
    """
    rows = tx.rows("SELECT schema FROM node_types WHERE graph_type_id = ? AND name = ?", (graph.type_id, node_type))
    if not rows:
        known = [
            str(row[0]) for row in tx.rows("SELECT name FROM node_types WHERE graph_type_id = ?", (graph.type_id,))
        ]
        raise UnknownTypeError(f"{graph.type_name!r} graphs have no nodes of type {node_type!r}; they have {known}")
    return str(rows[0][0])


def _names(tx: Transaction, table: str, type_id: str) -> list[str]:
    return [
        str(row[0]) for row in tx.rows(f"SELECT name FROM {table} WHERE graph_type_id = ? ORDER BY name", (type_id,))
    ]


def find_edge_type(tx: Transaction, graph: GraphRow, edge_type: str) -> tuple[EdgeType, str]:
    """An edge type and its JSON Schema as stored.

    Raises:
        UnknownTypeError: the graph's type has no such edge type.
    """
    rows = tx.rows(
        "SELECT schema, allowed_source_types, allowed_target_types FROM edge_types"
        " WHERE graph_type_id = ? AND name = ?",
        (graph.type_id, edge_type),
    )
    if not rows:
        known = [
            str(row[0]) for row in tx.rows("SELECT name FROM edge_types WHERE graph_type_id = ?", (graph.type_id,))
        ]
        raise UnknownTypeError(f"{graph.type_name!r} graphs have no edges of type {edge_type!r}; they have {known}")
    schema, sources, targets = rows[0]
    return EdgeType(edge_type, "", {}, tuple(json.loads(sources)), tuple(json.loads(targets))), str(schema)


def check_edge(
    tx: Transaction,
    graph: GraphRow,
    edge_type: str,
    source: str,
    target: str,
    attributes: Mapping[str, Any],
    *,
    undirected: bool,
    but: str | None = None,
) -> str:
    """Check everything that a graph says of an edge, and return its attributes as JSON text.

    `but` is the id of the edge that is being replaced. Raises as `put_edge`.
    """
    config = graph.config
    kind, schema = find_edge_type(tx, graph, edge_type)
    what = f"edge {source!r} -> {target!r} of type {edge_type!r}"
    if config.type == "directed" and undirected:
        raise EdgeRefusedError(f"{what}: {graph.type_name!r} graphs are directed")
    if config.type == "undirected" and not undirected:
        raise EdgeRefusedError(f"{what}: {graph.type_name!r} graphs are undirected")
    if source == target and not config.allow_self_loops:
        raise EdgeRefusedError(f"{what}: {graph.type_name!r} graphs have no loops")
    for end, key, allowed in (
        ("source", source, kind.allowed_source_types),
        ("target", target, kind.allowed_target_types),
    ):
        rows = tx.rows("SELECT metadata FROM nodes WHERE graph_id = ? AND key = ?", (graph.id, key))
        if not rows:
            raise DanglingEdgeError(f"{what}: no node {key!r} in graph {graph.id!r}")
        node_type = json.loads(rows[0][0]).get(NODE_TYPE)
        if allowed and node_type not in allowed:
            raise EdgeRefusedError(f"{what}: its {end} may be {list(allowed)}, {key!r} is {node_type!r}")
    if not config.multi and _has_parallel(tx, graph.id, edge_type, source, target, undirected=undirected, but=but):
        raise EdgeRefusedError(f"{what}: there is one already, and {graph.type_name!r} graphs have no parallel edges")
    return check_attributes(what, schema, attributes)


def _has_parallel(
    tx: Transaction, graph_id: str, edge_type: str, source: str, target: str, *, undirected: bool, but: str | None
) -> bool:
    """Whether an edge of the same type already joins the two. An undirected one joins them both ways."""
    ways = "source_node_key = ?2 AND target_node_key = ?3"
    back = "source_node_key = ?3 AND target_node_key = ?2"
    rows = tx.rows(
        f"SELECT 1 FROM edges WHERE graph_id = ?1 AND {ways} AND id IS NOT ?4 AND attributes ->> '$.edgeType' IS ?5"
        f" UNION ALL SELECT 1 FROM edges WHERE graph_id = ?1 AND {back} AND id IS NOT ?4"
        " AND attributes ->> '$.edgeType' IS ?5 AND (undirected = 1 OR ?6) LIMIT 1",
        (graph_id, source, target, but, edge_type, int(undirected)),
    )
    return bool(rows)
