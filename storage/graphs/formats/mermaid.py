"""Mermaid flowcharts, as Markdown pages show them. Comments (`%% spoke …`) carry what a flowchart has no place for.

Of other people's flowcharts the common core is read: nodes with a label in any bracket, and edges with or without one.
"""

from __future__ import annotations

import json
import re
from typing import Any

from storage.graphs.document import Document, DocumentEdge, DocumentNode
from storage.graphs.errors import FormatError
from storage.graphs.module import GraphConfig

_HEAD = re.compile(r"(?:flowchart|graph)(?:\s+(?:TB|TD|BT|RL|LR))?\s*;?")
_NODE = (
    r"(?P<{0}>[A-Za-z0-9_.-]+?)"
    r"(?:(?:\[\[|\[|\(\(|\(|\{{\{{|\{{|>)(?P<{0}_label>\"[^\"]*\"|[^\]\)\}}]*)(?:\]\]|\]|\)\)|\)|\}}\}}|\}}))?"
)
_LINE = re.compile(
    _NODE.format("source")
    + r"\s*(?P<arrow><?(?:--+|==+|-\.+-)[>ox]?)\s*(?:\|(?P<label>\"[^\"]*\"|[^|]*)\|\s*)?"
    + _NODE.format("target")
    + r"\s*;?"
)
_ALONE = re.compile(_NODE.format("source") + r"\s*;?")
_PASSED_OVER = re.compile(
    r"(?:subgraph\b.*|end|classDef\b.*|class\b.*|style\b.*|linkStyle\b.*|direction\b.*|click\b.*)"
)
_DATA = re.compile(r"%% spoke (graph|node|edge) (.*)")


def write(document: Document) -> str:
    """Return the document as a flowchart from top to bottom."""
    facts = {"name": document.name, "type": document.type, "config": document.config.model_dump(by_alias=True)}
    lines = ["flowchart TD", f"%% spoke graph {json.dumps(facts)}"]
    ids: dict[str, str] = {}
    for number, node in enumerate(document.nodes):
        ids[node.key] = f"n{number}"
        data = {"key": node.key, "type": node.type, "attributes": node.attributes}
        lines.append(f"%% spoke node {json.dumps(data)}")
        lines.append(f'  n{number}["{_shown(node.key)}"]')
    for edge in document.edges:
        data = {"key": edge.key, "type": edge.type, "attributes": edge.attributes}
        lines.append(f"%% spoke edge {json.dumps(data)}")
        arrow = "---" if edge.undirected else "-->"
        label = f'|"{_shown(edge.type)}"|' if edge.type else ""
        lines.append(f"  {ids[edge.source]} {arrow}{label} {ids[edge.target]}")
    return "\n".join(lines) + "\n"


def read(text: str) -> Document:
    """Return the document.

    Raises:
        FormatError: names the first line that is none of a flowchart's.
    """
    nodes: dict[str, DocumentNode] = {}
    keys: dict[str, str] = {}
    edges: list[DocumentEdge] = []
    facts: dict[str, Any] = {}
    pending: tuple[str, dict[str, Any]] | None = None
    begun = False

    def node(mermaid_id: str, label: str | None) -> str:
        nonlocal pending
        if mermaid_id not in keys:
            if pending is not None and pending[0] == "node":
                data, pending = pending[1], None
                key = str(data.get("key", mermaid_id))
                nodes[key] = DocumentNode(key, _word(data.get("type")), _object(data.get("attributes")))
            else:
                key = mermaid_id
                nodes[key] = DocumentNode(key, None, {"label": _unquoted(label)} if label else {})
            keys[mermaid_id] = key
        return keys[mermaid_id]

    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        data_line = _DATA.fullmatch(line)
        if data_line:
            found = _load(data_line[2], number)
            if data_line[1] == "graph":
                facts = found
            else:
                pending = data_line[1], found
        elif not line or line.startswith("%%") or (begun and _PASSED_OVER.fullmatch(line)):
            continue
        elif not begun:
            if not _HEAD.fullmatch(line):
                raise FormatError(f"line {number}: a Mermaid flowchart begins with 'flowchart TD', not {line[:40]!r}")
            begun = True
        elif edge := _LINE.fullmatch(line):
            own = pending[1] if pending is not None and pending[0] == "edge" else None
            pending = None
            source = node(edge["source"], edge["source_label"])
            target = node(edge["target"], edge["target_label"])
            edges.append(_edge(source, target, edge, own))
        elif alone := _ALONE.fullmatch(line):
            node(alone["source"], alone["source_label"])
        else:
            raise FormatError(f"line {number}: no node and no edge: {line[:60]!r}")
    if not begun:
        raise FormatError("no Mermaid flowchart: it is empty")
    try:
        config = GraphConfig.model_validate(facts["config"]) if "config" in facts else GraphConfig(multi=True)
    except ValueError as error:
        raise FormatError(f"'%% spoke graph': {error}") from error
    return Document(str(facts.get("name", "imported")), _word(facts.get("type")), config, [*nodes.values()], edges)


def _edge(source: str, target: str, match: re.Match[str], data: dict[str, Any] | None) -> DocumentEdge:
    undirected = not match["arrow"].endswith((">", "o", "x"))
    if data is not None:
        attributes = _object(data.get("attributes"))
        return DocumentEdge(source, target, _word(data.get("type")), _word(data.get("key")), undirected, attributes)
    label = _unquoted(match["label"]) if match["label"] else None
    return DocumentEdge(source, target, undirected=undirected, attributes={"label": label} if label else {})


def _load(text: str, number: int) -> dict[str, Any]:
    try:
        return _object(json.loads(text))
    except ValueError as error:
        raise FormatError(f"line {number}: {error}") from error


def _object(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FormatError("a '%% spoke' comment holds no object")
    return value


def _word(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _shown(text: str) -> str:
    """A label: quotes and controls as Mermaid's entity codes."""
    return "".join(char if char.isprintable() and char not in '"#<>' else f"#{ord(char)};" for char in text)


def _unquoted(text: str) -> str:
    plain = text.strip().removeprefix('"').removesuffix('"')
    return re.sub(r"#(\d{1,7});", lambda found: chr(min(int(found[1]), 0x10FFFF)), plain)
