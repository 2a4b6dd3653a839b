"""A graph as a value: what files of other programs are read into and written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from storage.engine import Transaction
from storage.graphs.errors import FormatError
from storage.graphs.module import GraphConfig
from storage.graphs.queries import Source, all_edges, all_nodes
from storage.graphs.types import find_graph_type
from storage.graphs.writing import create_graph, put_edge, put_nodes


@dataclass(frozen=True, slots=True)
class DocumentNode:
    """A node; `type` is None where a file does not say."""

    key: str
    type: str | None
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DocumentEdge:
    """An edge; `key` and `type` are None where a file does not say."""

    source: str
    target: str
    type: str | None = None
    key: str | None = None
    undirected: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """A graph with its rules, nodes and edges."""

    name: str
    type: str | None
    config: GraphConfig
    nodes: Sequence[DocumentNode] = ()
    edges: Sequence[DocumentEdge] = ()


def read_document(source: Source, graph_id: str) -> Document:
    """Return a stored graph.

    Raises:
        FormatError: there is no such graph.
    """
    rows = source.rows(
        "SELECT g.name, t.name FROM graphs g LEFT JOIN graph_types t ON t.id = g.graph_type_id WHERE g.id = ?",
        (graph_id,),
    )
    if not rows:
        raise FormatError(f"no graph {graph_id!r}")
    name, type_name = rows[0]
    config = find_graph_type(source, type_name).config if type_name is not None else GraphConfig(multi=True)
    nodes = [DocumentNode(node.key, node.type, node.attributes) for node in all_nodes(source, graph_id)]
    edges = []
    for edge in all_edges(source, graph_id):
        attributes = {key: value for key, value in edge.attributes.items() if key != "edgeType"}
        edges.append(DocumentEdge(edge.source, edge.target, edge.type, edge.key, edge.undirected, attributes))
    return Document(name, type_name, config, nodes, edges)


def write_document(
    tx: Transaction,
    document: Document,
    *,
    graph_type: str | None = None,
    node_type: str | None = None,
    edge_type: str | None = None,
) -> str:
    """Store a document as a new graph and return its id; what it does not say of types, the arguments say.

    Raises:
        GraphError: a type is missing or unknown, attributes or edges do not fit; roll the transaction back.
    """
    wanted = graph_type or document.type
    if wanted is None:
        raise FormatError("the file does not say what kind of graph it is: name a graph type")
    graph_id = create_graph(tx, wanted, document.name)
    nodes = []
    for node in document.nodes:
        kind = node.type or node_type
        if kind is None:
            raise FormatError(f"node {node.key!r} has no type: name one for all that have none")
        nodes.append((kind, node.key, node.attributes))
    put_nodes(tx, graph_id, nodes, replace=False)
    for edge in document.edges:
        kind = edge.type or edge_type
        if kind is None:
            raise FormatError(f"edge {edge.source!r} -> {edge.target!r} has no type: name one for all that have none")
        put_edge(
            tx, graph_id, kind, edge.source, edge.target, edge.attributes, key=edge.key, undirected=edge.undirected
        )
    return graph_id
