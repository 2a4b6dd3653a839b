"""GraphML: every attribute a `<data>` of its own, so that yEd, Gephi and others see it.

Plain values keep their type; everything else is JSON text under a key whose id begins with `json_`. Documents with a
DTD are refused: entities could blow up, or read files.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import Any
from xml.parsers import expat

from storage.graphs.document import Document, DocumentEdge, DocumentNode
from storage.graphs.errors import FormatError
from storage.graphs.module import GraphConfig

NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
TYPE = "spoke.type"
UNDIRECTED = "spoke.undirected"
CONFIG = "spoke.config"
_KINDS = {bool: "boolean", int: "long", float: "double", str: "string"}
_LONG = 2**63


def write(document: Document) -> str:
    """Return the document as GraphML."""
    root = ET.Element("graphml", xmlns=NAMESPACE)
    keys: dict[tuple[str, str, str], str] = {}
    graph = ET.Element(
        "graph", id="G", edgedefault="undirected" if document.config.type == "undirected" else "directed"
    )

    def data(parent: ET.Element, owner: str, name: str, value: Any) -> None:
        kind = _KINDS.get(type(value), "json")
        if (isinstance(value, str) and not _is_xml(value)) or (kind == "long" and not -_LONG <= value < _LONG):
            kind = "json"
        key = keys.setdefault((owner, name, kind), f"{'json_' if kind == 'json' else 'd'}{len(keys)}")
        text = json.dumps(value) if kind in ("json", "boolean", "double") else str(value)
        ET.SubElement(parent, "data", key=key).text = text

    data(graph, "graph", "name", document.name)
    data(graph, "graph", CONFIG, document.config.model_dump(by_alias=True))
    if document.type:
        data(graph, "graph", TYPE, document.type)
    for node in document.nodes:
        element = ET.SubElement(graph, "node", id=node.key)
        _all(data, element, "node", node.type, node.attributes)
    for edge in document.edges:
        element = ET.SubElement(graph, "edge", source=edge.source, target=edge.target)
        if edge.key is not None:
            element.set("id", edge.key)
        if edge.undirected:
            element.set("directed", "false")
        _all(data, element, "edge", edge.type, edge.attributes)
    for (owner, name, kind), key in keys.items():
        attributes = {"id": key, "for": owner, "attr.name": name, "attr.type": "string" if kind == "json" else kind}
        ET.SubElement(root, "key", attributes)
    root.append(graph)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _all(data: Any, element: ET.Element, owner: str, kind: str | None, attributes: dict[str, Any]) -> None:
    if kind:
        data(element, owner, TYPE, kind)
    for name, value in attributes.items():
        data(element, owner, name, value)


def read(text: str) -> Document:
    """Return the document.

    Raises:
        FormatError: it is no XML, has a DTD, or is no GraphML.
    """
    root = _parse(text)
    if _tag(root) != "graphml":
        raise FormatError(f"no GraphML: the document is a <{_tag(root)}>")
    graph = next((child for child in root if _tag(child) == "graph"), None)
    if graph is None:
        raise FormatError("no GraphML: there is no <graph>")
    keys = {
        str(child.get("id")): (str(child.get("attr.name", child.get("id"))), str(child.get("attr.type", "string")))
        for child in root
        if _tag(child) == "key"
    }
    directed = graph.get("edgedefault") != "undirected"
    facts = _data(graph, keys)
    config = _config(facts.get(CONFIG), directed)
    nodes, edges = [], []
    for child in graph:
        values = _data(child, keys)
        kind = values.pop(TYPE, None)
        if _tag(child) == "node":
            nodes.append(DocumentNode(_need(child, "id"), kind, values))
        elif _tag(child) == "edge":
            undirected = child.get("directed", "true" if directed else "false") == "false"
            edges.append(
                DocumentEdge(_need(child, "source"), _need(child, "target"), kind, child.get("id"), undirected, values)
            )
    return Document(str(facts.get("name", graph.get("id", "imported"))), facts.get(TYPE), config, nodes, edges)


def _config(value: Any, directed: bool) -> GraphConfig:
    if isinstance(value, dict):
        try:
            return GraphConfig.model_validate(value)
        except ValueError as error:
            raise FormatError(f"{CONFIG} is none") from error
    return GraphConfig(type="directed" if directed else "undirected", multi=True)


def _data(element: Iterable[ET.Element], keys: dict[str, tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for child in element:
        if _tag(child) == "data":
            key = str(child.get("key"))
            name, kind = keys.get(key, (key, "string"))
            found[name] = _value(key, kind, child.text or "")
    return found


def _value(key: str, kind: str, text: str) -> Any:
    try:
        if key.startswith("json_"):
            return json.loads(text)
        match kind:
            case "boolean":
                return text.strip().lower() in ("true", "1")
            case "int" | "long":
                return int(text)
            case "float" | "double":
                return float(text)
            case _:
                return text
    except ValueError as error:
        raise FormatError(f"<data key={key!r}>: {text[:40]!r} is no {kind}") from error


def _parse(text: str) -> ET.Element:
    def refuse(*_: object) -> None:
        raise FormatError("a document with a DTD is not read")

    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = refuse
    try:
        guard.Parse(text.encode(), True)
        return ET.fromstring(text.encode())
    except (ET.ParseError, expat.ExpatError, UnicodeError) as error:
        raise FormatError(f"no XML: {error}") from error


def _need(element: ET.Element, name: str) -> str:
    value = element.get(name)
    if value is None:
        raise FormatError(f"a <{_tag(element)}> without {name}")
    return value


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _is_xml(text: str) -> bool:
    """Whether XML can carry the text as it is."""
    return "\r" not in text and all(
        char in "\t\n" or "\x20" <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" or char >= "\U00010000"
        for char in text
    )
