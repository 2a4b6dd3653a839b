"""graphology's JSON: `{attributes, options, nodes, edges}`. Types are attributes, under names of ours."""

from __future__ import annotations

import json
from typing import Any

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from storage.graphs.document import Document, DocumentEdge, DocumentNode
from storage.graphs.errors import FormatError
from storage.graphs.module import GraphConfig
from storage.graphs.writing import NODE_TYPE

GRAPH_TYPE = "_storage.graphType"


class _Node(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)
    key: str
    attributes: dict[str, Any] = Field(default_factory=dict)


class _Edge(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)
    source: str
    target: str
    key: str | None = None
    undirected: bool = False
    attributes: dict[str, Any] = Field(default_factory=dict)


class _File(BaseModel):
    attributes: dict[str, Any] = Field(default_factory=dict)
    options: GraphConfig = GraphConfig()
    nodes: list[_Node]
    edges: list[_Edge] = Field(default_factory=list)


def write(document: Document) -> str:
    """Return the document as JSON."""
    attributes = {"name": document.name, **({GRAPH_TYPE: document.type} if document.type else {})}
    nodes = [
        {"key": node.key, "attributes": {**node.attributes, **({NODE_TYPE: node.type} if node.type else {})}}
        for node in document.nodes
    ]
    edges = []
    for edge in document.edges:
        entry: dict[str, Any] = {"source": edge.source, "target": edge.target}
        if edge.key is not None:
            entry["key"] = edge.key
        if edge.undirected:
            entry["undirected"] = True
        entry["attributes"] = {**edge.attributes, **({"edgeType": edge.type} if edge.type else {})}
        edges.append(entry)
    options = document.config.model_dump(by_alias=True)
    return json.dumps(
        {"attributes": attributes, "options": options, "nodes": nodes, "edges": edges}, ensure_ascii=False
    )


def read(text: str) -> Document:
    """Return the document.

    Raises:
        FormatError: says where it is not graphology's JSON.
    """
    try:
        found = _File.model_validate_json(text)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise FormatError(f"no graphology JSON: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    nodes = [
        DocumentNode(
            node.key,
            _word(node.attributes.get(NODE_TYPE)),
            {key: value for key, value in node.attributes.items() if key != NODE_TYPE},
        )
        for node in found.nodes
    ]
    edges = [
        DocumentEdge(
            edge.source,
            edge.target,
            _word(edge.attributes.get("edgeType")),
            edge.key,
            edge.undirected,
            {key: value for key, value in edge.attributes.items() if key != "edgeType"},
        )
        for edge in found.edges
    ]
    name = str(found.attributes.get("name", "imported"))
    return Document(name, _word(found.attributes.get(GRAPH_TYPE)), found.options, nodes, edges)


def _word(value: object) -> str | None:
    return value if isinstance(value, str) else None
