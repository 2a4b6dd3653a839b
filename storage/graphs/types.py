"""Types of graphs in a file: the shipped ones, and those that users define at run time with JSON Schema."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from storage.background import ask
from storage.engine import Snapshot, Transaction
from storage.engine.payload import dumps
from storage.graphs.attributes import check_schema
from storage.graphs.errors import GraphError, UnknownTypeError
from storage.graphs.module import EdgeType, GraphConfig, GraphType, NodeType

Source: TypeAlias = Snapshot | Transaction

MIGRATION_QUEUE = "schema-migration"
"""Jobs `{graphType, version}`: look at every node and edge of a type whose schema has changed."""


class TypeInUseError(GraphError):
    """Graphs of this type still exist."""

    hint = "delete or archive its graphs first"


def find_graph_type(source: Source, name: str) -> GraphType:
    """Return a graph type with its node and edge types.

    Raises:
        UnknownTypeError: there is none; the message names those that there are.
    """
    rows = source.rows("SELECT id, config, description, version, scope FROM graph_types WHERE name = ?", (name,))
    if not rows:
        raise UnknownTypeError(f"no graph type {name!r}; there are {', '.join(graph_type_names(source))}")
    type_id, config, description, version, scope = rows[0]
    nodes = source.rows(
        "SELECT name, description, schema FROM node_types WHERE graph_type_id = ? ORDER BY rowid", (type_id,)
    )
    edges = source.rows(
        "SELECT name, description, schema, allowed_source_types, allowed_target_types FROM edge_types"
        " WHERE graph_type_id = ? ORDER BY rowid",
        (type_id,),
    )
    return GraphType(
        name,
        GraphConfig.model_validate_json(config),
        tuple(NodeType(row[0], row[1], json.loads(row[2])) for row in nodes),
        tuple(
            EdgeType(row[0], row[1], json.loads(row[2]), tuple(json.loads(row[3])), tuple(json.loads(row[4])))
            for row in edges
        ),
        description,
        version,
        scope,
    )


def graph_type_names(source: Source) -> list[str]:
    """The names of all graph types."""
    return [str(row[0]) for row in source.rows("SELECT name FROM graph_types ORDER BY name")]


def define_graph_type(tx: Transaction, wanted: GraphType) -> str:
    """Add a graph type, or change one of the user's to what is wanted; returns its id.

    A change raises its version and asks the `schema-migration` queue, in the same transaction, to look at the nodes
    and edges that exist; they stay as they are.

    Raises:
        AttributesError: a schema is no JSON Schema.
        GraphError: the type belongs to the system, or a node or edge type that is in use would vanish.
    """
    for node in wanted.node_types:
        check_schema(node.name, node.schema)
    for edge in wanted.edge_types:
        check_schema(edge.name, edge.schema)
    known = {node.name for node in wanted.node_types}
    for edge in wanted.edge_types:
        unknown = sorted({*edge.allowed_source_types, *edge.allowed_target_types} - known)
        if unknown:
            raise UnknownTypeError(f"edge type {edge.name!r} may join {unknown}, which are no node types of its graph")
    rows = tx.rows("SELECT id, scope FROM graph_types WHERE name = ?", (wanted.name,))
    if rows and rows[0][1] == "system":
        raise GraphError(f"graph type {wanted.name!r} belongs to the system; choose another name")
    if not rows:
        tx.execute(
            "INSERT INTO graph_types (id, name, description, config, version, scope) VALUES (?, ?, ?, ?, ?, ?)",
            (wanted.name, wanted.name, wanted.description, _config(wanted), wanted.version, wanted.scope),
        )
        _write_entries(tx, wanted.name, wanted)
        return wanted.name
    type_id = str(rows[0][0])
    if find_graph_type(tx, wanted.name) == wanted:
        return type_id
    _refuse_vanishing(tx, type_id, wanted)
    (version,) = tx.rows(
        "UPDATE graph_types SET description = ?, config = ?, scope = ?, version = version + 1, updated_at = unixepoch()"
        " WHERE id = ? RETURNING version",
        (wanted.description, _config(wanted), wanted.scope, type_id),
    )[0]
    tx.execute("DELETE FROM node_types WHERE graph_type_id = ?", (type_id,))
    tx.execute("DELETE FROM edge_types WHERE graph_type_id = ?", (type_id,))
    _write_entries(tx, type_id, wanted)
    ask(tx, MIGRATION_QUEUE, {"graphType": wanted.name, "version": version})
    return type_id


def delete_graph_type(tx: Transaction, name: str) -> None:
    """Delete a graph type of the user's.

    Raises:
        UnknownTypeError, TypeInUseError, GraphError: there is none, it has graphs, it belongs to the system.
    """
    find_graph_type(tx, name)
    type_id, scope = tx.rows("SELECT id, scope FROM graph_types WHERE name = ?", (name,))[0]
    check_deletable(tx, str(type_id), str(scope), name)
    tx.execute("DELETE FROM graph_types WHERE id = ?", (type_id,))


def check_deletable(tx: Transaction, type_id: str, scope: str, name: str) -> None:
    """Refuse to delete a type that belongs to the system or has graphs (ADR-043)."""
    if scope == "system":
        raise GraphError(f"graph type {name!r} belongs to the system and stays")
    (used,) = tx.rows("SELECT count(*) FROM graphs WHERE graph_type_id = ? AND status <> 'archived'", (type_id,))[0]
    if used:
        raise TypeInUseError(f"{used} graphs are of type {name!r}")


def _refuse_vanishing(tx: Transaction, type_id: str, wanted: GraphType) -> None:
    """A node type that nodes have must not go away."""
    kept = {entry.name for entry in wanted.node_types}
    gone = [str(row[0]) for row in tx.rows("SELECT name FROM node_types WHERE graph_type_id = ?", (type_id,))]
    for name in gone:
        if name not in kept and tx.rows(
            "SELECT 1 FROM nodes n JOIN graphs g ON g.id = n.graph_id WHERE g.graph_type_id = ?"
            """ AND json_extract(n.metadata, '$."_storage.nodeType"') = ? LIMIT 1""",
            (type_id, name),
        ):
            raise TypeInUseError(f"nodes of type {name!r} exist in graphs of type {wanted.name!r}")


def _config(wanted: GraphType) -> str:
    return dumps(wanted.config.model_dump(by_alias=True))


def _write_entries(tx: Transaction, type_id: str, wanted: GraphType) -> None:
    def row(name: str, description: str, schema: dict[str, Any]) -> tuple[str, str, str, str, str]:
        return (f"{type_id}/{name}", type_id, name, description, dumps(schema))

    tx.executemany(
        "INSERT INTO node_types (id, graph_type_id, name, description, schema) VALUES (?, ?, ?, ?, ?)",
        [row(node.name, node.description, node.schema) for node in wanted.node_types],
    )
    tx.executemany(
        "INSERT INTO edge_types (id, graph_type_id, name, description, schema, allowed_source_types,"
        " allowed_target_types) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *row(edge.name, edge.description, edge.schema),
                dumps(list(edge.allowed_source_types)),
                dumps(list(edge.allowed_target_types)),
            )
            for edge in wanted.edge_types
        ],
    )
