"""Each format gives back what was written into it, whatever is in the graph, and refuses what it is not."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storage.graphs.document import Document, DocumentEdge, DocumentNode
from storage.graphs.errors import FormatError
from storage.graphs.formats import FORMATS
from storage.graphs.module import GraphConfig

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
keys = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Cn", "Co", "Cf", "Zs"]), min_size=1, max_size=12
)
names = st.text("abcXYZ_0123", min_size=1, max_size=8)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | text
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=5
)
attributes = st.dictionaries(names, values, max_size=4)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    kind = draw(st.sampled_from(["directed", "undirected", "mixed"]))
    nodes = [
        DocumentNode(key, draw(st.none() | names), draw(attributes))
        for key in draw(st.lists(keys, unique=True, max_size=5))
    ]
    edges = []
    if nodes:
        ends = st.sampled_from([node.key for node in nodes])
        for _ in range(draw(st.integers(0, 5))):
            undirected = {"directed": False, "undirected": True}.get(kind, draw(st.booleans()))
            edges.append(
                DocumentEdge(
                    draw(ends),
                    draw(ends),
                    draw(st.none() | names),
                    draw(st.none() | keys),
                    undirected,
                    draw(attributes),
                )
            )
    config = GraphConfig(type=kind, multi=draw(st.booleans()), allow_self_loops=draw(st.booleans()))
    return Document(draw(keys), draw(st.none() | names), config, nodes, edges)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60)
@given(document=documents())
@example(document=Document("-", None, GraphConfig(), [DocumentNode('"\\', "t", {"a": "\\n\n"})], []))
def test_a_written_document_is_read_as_it_was(name: str, document: Document) -> None:
    assert FORMATS[name].read(FORMATS[name].write(document)) == document


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60)
@given(garbage=st.text(max_size=60))
@example(garbage="")
@example(garbage="{}")
@example(garbage="<graphml><graph><node/></graph></graphml>")
@example(garbage="digraph { a -> ")
def test_garbage_is_refused_with_a_typed_error(name: str, garbage: str) -> None:
    with suppress(FormatError):
        FORMATS[name].read(garbage)


def test_a_dtd_is_refused() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><graphml><graph id="&b;"/></graphml>'
    with pytest.raises(FormatError, match="DTD"):
        FORMATS["graphml"].read(bomb)


def test_graphology_json_of_other_programs() -> None:
    text = json.dumps(
        {"nodes": [{"key": 1}, {"key": "b", "attributes": {"x": 1}}], "edges": [{"source": 1, "target": "b"}]}
    )
    found = FORMATS["json"].read(text)
    assert [node.key for node in found.nodes] == ["1", "b"]
    assert found.edges[0].source == "1"


def test_graphml_of_other_programs() -> None:
    text = """<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
      <key id="d0" for="node" attr.name="weight" attr.type="double"/>
      <graph id="G" edgedefault="undirected"><node id="a"><data key="d0">1.5</data></node><node id="b"/>
      <edge source="a" target="b"/></graph></graphml>"""
    found = FORMATS["graphml"].read(text)
    assert found.nodes[0] == DocumentNode("a", None, {"weight": 1.5})
    assert found.edges[0].undirected


def test_dot_of_other_programs() -> None:
    found = FORMATS["dot"].read(
        'strict digraph { rankdir=LR; a [color=red]; subgraph c { b } a -> b -> d:n [label="x y"] }'
    )
    assert {node.key: node.attributes for node in found.nodes} == {"a": {"color": "red"}, "b": {}, "d": {}}
    assert [(edge.source, edge.target, edge.attributes) for edge in found.edges] == [
        ("a", "b", {"label": "x y"}),
        ("b", "d", {"label": "x y"}),
    ]


def test_mermaid_of_other_programs() -> None:
    found = FORMATS["mermaid"].read(
        'graph LR\n  A[Start] --> B{"Is it?"}\n  B -->|yes| C(("Done"))\n  C --- D\n  classDef x fill:#f9f\n  %% said\n'
    )
    assert {node.key: node.attributes for node in found.nodes} == {
        "A": {"label": "Start"},
        "B": {"label": "Is it?"},
        "C": {"label": "Done"},
        "D": {},
    }
    assert [(edge.source, edge.target, edge.undirected) for edge in found.edges] == [
        ("A", "B", False),
        ("B", "C", False),
        ("C", "D", True),
    ]
