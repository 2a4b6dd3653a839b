"""Graphviz DOT. What Graphviz does not know goes into attributes that it passes over: `spoke_type`, `spoke_data`."""

from __future__ import annotations

import json
import logging
from typing import Any

from storage.graphs.document import Document, DocumentEdge, DocumentNode
from storage.graphs.errors import FormatError
from storage.graphs.module import GraphConfig


def write(document: Document) -> str:
    """Return the document as DOT; labels are keys and types."""
    directed = document.config.type != "undirected"
    arrow = "->" if directed else "--"
    facts = {"config": document.config.model_dump(by_alias=True), "type": document.type}
    lines = [
        f"{'digraph' if directed else 'graph'} {_quoted(document.name)} {{",
        f"  graph [spoke_data={_quoted(_json(facts))}];",
    ]
    for node in document.nodes:
        label = f"{node.key}\n{node.type}" if node.type else node.key
        given = {"label": label, "spoke_type": node.type, "spoke_data": _json(node.attributes)}
        lines.append(f"  {_quoted(node.key)} [{_list(given)}];")
    for edge in document.edges:
        given = {
            "label": edge.type,
            "dir": "none" if directed and edge.undirected else None,
            "spoke_type": edge.type,
            "spoke_key": edge.key,
            "spoke_data": _json(edge.attributes),
        }
        lines.append(f"  {_quoted(edge.source)} {arrow} {_quoted(edge.target)} [{_list(given)}];")
    return "\n".join([*lines, "}"]) + "\n"


def read(text: str) -> Document:
    """Return the document. Of a file that Spoke did not write, attributes become strings; subgraphs are flattened.

    Raises:
        FormatError: it is no DOT.
    """
    import pydot

    logging.getLogger("pydot").setLevel(logging.CRITICAL)  # it logs what we raise
    try:
        graphs = pydot.graph_from_dot_data(text)
    except Exception as error:
        raise FormatError(f"no DOT: {error}") from error
    if not graphs:
        raise FormatError("no DOT graph")
    graph = graphs[0]
    directed = graph.get_type() == "digraph"
    facts: dict[str, Any] = {}
    for default in graph.get_node("graph"):
        facts = _data(default.get_attributes())
    nodes: dict[str, DocumentNode] = {}
    edges: list[DocumentEdge] = []
    _collect(graph, directed, nodes, edges)
    for edge in edges:
        for key in (edge.source, edge.target):
            nodes.setdefault(key, DocumentNode(key, None, {}))
    try:
        config = GraphConfig.model_validate(facts["config"]) if "config" in facts else None
    except ValueError as error:
        raise FormatError(f"spoke_data of the graph: {error}") from error
    default_config = GraphConfig(type="directed" if directed else "undirected", multi=True)
    kind = facts.get("type")
    name = _plain(graph.get_name() or "imported")
    return Document(name, kind if isinstance(kind, str) else None, config or default_config, [*nodes.values()], edges)


def _collect(graph: Any, directed: bool, nodes: dict[str, DocumentNode], edges: list[DocumentEdge]) -> None:
    for node in graph.get_node_list():
        key = _plain(node.get_name())
        if node.get_name() not in ("graph", "node", "edge"):
            given = node.get_attributes()
            nodes[key] = DocumentNode(key, _text(given, "spoke_type"), _data(given))
    for edge in sorted(graph.get_edge_list(), key=lambda edge: int(edge.get_sequence())):
        given = edge.get_attributes()
        edges.append(
            DocumentEdge(
                _end(edge.get_source()),
                _end(edge.get_destination()),
                _text(given, "spoke_type"),
                _text(given, "spoke_key"),
                not directed or _text(given, "dir") == "none",
                _data(given),
            )
        )
    for inner in graph.get_subgraph_list():
        _collect(inner, directed, nodes, edges)


def _end(name: Any) -> str:
    if not isinstance(name, str):
        raise FormatError("edges to whole subgraphs are not read")
    if name.startswith('"'):
        return _plain(name)
    return name.partition(":")[0]  # without the port


def _data(given: dict[str, Any]) -> dict[str, Any]:
    if "spoke_data" in given:
        try:
            found = json.loads(_plain(given["spoke_data"]))
        except ValueError as error:
            raise FormatError(f"spoke_data: {error}") from error
        if not isinstance(found, dict):
            raise FormatError("spoke_data is no object")
        return found
    return {key: _plain(str(value)) for key, value in given.items() if not key.startswith("spoke_")}


def _text(given: dict[str, Any], name: str) -> str | None:
    return _plain(given[name]) if name in given else None


def _list(given: dict[str, str | None]) -> str:
    return ", ".join(f"{name}={_quoted(value)}" for name, value in given.items() if value is not None)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r") + '"'


def _plain(text: str) -> str:
    if not (text.startswith('"') and text.endswith('"') and len(text) > 1):
        return text
    out, source = [], iter(text[1:-1])
    for char in source:
        if char == "\\":
            following = next(source, "")
            out.append({"n": "\n", "r": "\r"}.get(following, following))
        else:
            out.append(char)
    return "".join(out)


def _json(value: Any) -> str:
    return json.dumps(value)
