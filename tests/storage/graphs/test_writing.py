"""What a graph's type says is held, whatever is tried; and who hears of what was written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from storage.engine import Database
from storage.graphs.attributes import MAX_BYTES
from storage.graphs.document import read_document, write_document
from storage.graphs.errors import (
    AttributesError,
    DanglingEdgeError,
    EdgeRefusedError,
    GraphError,
    NotFoundError,
    TooLargeError,
    UnknownTypeError,
)
from storage.graphs.formats import FORMATS
from storage.graphs.module import EdgeType, GraphConfig, GraphType, NodeType
from storage.graphs.queries import all_edges, get_node
from storage.graphs.types import TypeInUseError, define_graph_type, delete_graph_type, find_graph_type
from storage.graphs.writing import create_graph, delete_edge, delete_node, put_edge, put_node

THING = NodeType("thing", "", {"type": "object", "properties": {"size": {"type": "integer", "minimum": 0}}})
OTHER = NodeType("other", "", {"type": "object"})


def kind(name: str = "things", **config: Any) -> GraphType:
    edges = (EdgeType("joins", "", {"type": "object"}, ("thing",), ("thing", "other")), EdgeType("likes", "", {}))
    return GraphType(name, GraphConfig(**config), (THING, OTHER), edges, scope="user")


def notifications(db: Database) -> list[tuple[str, Any]]:
    rows = db.query("SELECT channel, payload FROM _honker_notifications WHERE channel NOT LIKE 'honker:%' ORDER BY id")
    return [(row["channel"], json.loads(row["payload"])) for row in rows]


def test_a_graph_of_a_type_of_the_users_own(db: Database) -> None:
    with db.transaction() as tx:
        define_graph_type(tx, kind(type="directed"))
        graph = create_graph(tx, "things", "mine", owner_id="me")
        put_node(tx, graph, "thing", "a", {"size": 1})
        put_node(tx, graph, "other", "b", {})
        put_edge(tx, graph, "joins", "a", "b", {"weight": 2})
    with db.snapshot() as snapshot:
        assert get_node(snapshot, graph, "a").attributes == {"size": 1}
        assert [(edge.type, edge.source, edge.target) for edge in all_edges(snapshot, graph)] == [("joins", "a", "b")]
    assert notifications(db) == [
        ("graph:created", {"graphId": graph, "graphTypeId": "things", "ownerId": "me"}),
        ("nodes:created", {"graphId": graph, "keys": ["a"]}),
        ("nodes:created", {"graphId": graph, "keys": ["b"]}),
        ("graph:updated", {"graphId": graph, "changes": ["edges"]}),
    ]


def test_attributes_that_do_not_fit_are_refused(db: Database) -> None:
    with db.transaction() as tx:
        define_graph_type(tx, kind())
        graph = create_graph(tx, "things", "mine")
        for attributes in ({"size": "large"}, {"size": -1}):
            with pytest.raises(AttributesError, match="size"):
                put_node(tx, graph, "thing", "a", attributes)
        with pytest.raises(TooLargeError):
            put_node(tx, graph, "thing", "a", {"text": "x" * MAX_BYTES})
        with pytest.raises(UnknownTypeError, match=r"they have \['other', 'thing'\]"):
            put_node(tx, graph, "nothing", "a", {})
        with pytest.raises(NotFoundError):
            put_node(tx, "nowhere", "thing", "a", {})
        for key in ("", "x" * 513, "a\x1b[2J", "a\nb"):
            with pytest.raises(GraphError, match="printable"):
                put_node(tx, graph, "thing", key, {})
        with pytest.raises(UnknownTypeError, match="call-graph"):
            create_graph(tx, "'; DROP TABLE nodes; --", "x")
        assert tx.rows("SELECT count(*) FROM nodes") == [(0,)]


@pytest.mark.parametrize(
    ("config", "edge", "error"),
    [
        ({"type": "directed"}, {"source": "a", "target": "b", "undirected": True}, EdgeRefusedError),
        ({"type": "undirected"}, {"source": "a", "target": "b", "undirected": False}, EdgeRefusedError),
        ({"allow_self_loops": False}, {"source": "a", "target": "a"}, EdgeRefusedError),
        ({}, {"source": "o", "target": "a"}, EdgeRefusedError),
        ({}, {"source": "a", "target": "gone"}, DanglingEdgeError),
        ({}, {"source": "gone", "target": "a"}, DanglingEdgeError),
        ({}, {"source": "a", "target": "b", "edge_type": "hates"}, UnknownTypeError),
    ],
)
def test_edges_that_break_a_rule_are_refused(
    db: Database, config: dict[str, Any], edge: dict[str, Any], error: type[GraphError]
) -> None:
    with db.transaction() as tx:
        define_graph_type(tx, kind(**config))
        graph = create_graph(tx, "things", "mine")
        for key, node_type in (("a", "thing"), ("b", "thing"), ("o", "other")):
            put_node(tx, graph, node_type, key, {})
        with pytest.raises(error):
            put_edge(tx, graph, **{"edge_type": "joins", **edge})
        assert tx.rows("SELECT count(*) FROM edges") == [(0,)]


def test_parallel_edges(db: Database) -> None:
    with db.transaction() as tx:
        define_graph_type(tx, kind("single"))
        define_graph_type(tx, kind("many", multi=True))
        for name in ("single", "many"):
            graph = create_graph(tx, name, name)
            put_node(tx, graph, "thing", "a", {})
            put_node(tx, graph, "thing", "b", {})
            put_edge(tx, graph, "joins", "a", "b", key="first")
            put_edge(tx, graph, "joins", "b", "a")
            put_edge(tx, graph, "likes", "a", "b")  # another type is no parallel
            put_edge(tx, graph, "joins", "a", "b", {"again": 1}, key="first")  # the same edge, replaced
            if name == "many":
                put_edge(tx, graph, "joins", "a", "b")
                continue
            for undirected in (False, True):
                with pytest.raises(EdgeRefusedError, match="parallel"):
                    put_edge(tx, graph, "joins", "a", "b", undirected=undirected)
            put_edge(tx, graph, "likes", "b", "b", undirected=True)
            with pytest.raises(EdgeRefusedError, match="parallel"):
                put_edge(tx, graph, "likes", "b", "b")


def test_deleting_a_node_takes_its_edges(db: Database) -> None:
    with db.transaction() as tx:
        define_graph_type(tx, kind())
        graph = create_graph(tx, "things", "mine")
        put_node(tx, graph, "thing", "a", {})
        put_node(tx, graph, "thing", "b", {})
        edge = put_edge(tx, graph, "joins", "a", "b")
        delete_node(tx, graph, "b")
        assert tx.rows("SELECT count(*) FROM edges") == [(0,)]
        with pytest.raises(NotFoundError):
            delete_edge(tx, edge)
        with pytest.raises(NotFoundError):
            delete_node(tx, graph, "b")


def test_a_type_changes_and_its_graphs_are_looked_at(db: Database) -> None:
    with db.transaction() as tx:
        define_graph_type(tx, kind())
        define_graph_type(tx, kind())  # the same again: nothing
        assert tx.rows("SELECT version FROM graph_types WHERE name = 'things'") == [(1,)]
        graph = create_graph(tx, "things", "mine")
        put_node(tx, graph, "thing", "a", {})
        with pytest.raises(TypeInUseError):
            define_graph_type(tx, GraphType("things", GraphConfig(), (OTHER,), scope="user"))
        define_graph_type(tx, GraphType("things", GraphConfig(), (THING,), scope="user"))
        assert find_graph_type(tx, "things").version == 2
        assert tx.rows("SELECT payload FROM _honker_live WHERE queue = 'schema-migration'") == [
            ('{"graphType":"things","version":2}',)
        ]
        with pytest.raises(TypeInUseError):
            delete_graph_type(tx, "things")
        tx.execute("UPDATE graphs SET status = 'archived'")
        delete_graph_type(tx, "things")
        with pytest.raises(UnknownTypeError, match="was deleted"):
            put_node(tx, graph, "thing", "b", {})
        for name in ("acl", "call-graph"):
            with pytest.raises(GraphError, match="belongs to the system"):
                delete_graph_type(tx, name)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"$ref": "#/$defs/gone"},
        {"$ref": "https://example.org/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"properties": []},
        "a string",
        {"description": "x" * 300_000},
    ],
)
def test_what_is_no_schema_is_refused(db: Database, schema: Any) -> None:
    with db.transaction() as tx, pytest.raises(AttributesError):
        define_graph_type(tx, GraphType("t", GraphConfig(), (NodeType("n", "", schema),), scope="user"))


@pytest.mark.parametrize("name", FORMATS)
def test_a_stored_graph_goes_through_every_format(db: Database, name: str) -> None:
    with db.transaction() as tx:
        define_graph_type(tx, kind(multi=True))
        graph = create_graph(tx, "things", "mine")
        put_node(tx, graph, "thing", "a", {"size": 1, "note": {"deep": [None, "ü"]}})
        put_node(tx, graph, "other", "b", {})
        put_edge(tx, graph, "joins", "a", "b", {"weight": 0.5}, key="k", undirected=True)
        put_edge(tx, graph, "likes", "b", "a")
        document = read_document(tx, graph)
        copy = write_document(tx, FORMATS[name].read(FORMATS[name].write(document)))
        assert read_document(tx, copy) == document


def test_an_import_that_does_not_fit_leaves_nothing(db: Database) -> None:
    text = 'digraph { a -> b [label="x"] }'
    with db.transaction() as tx:
        define_graph_type(tx, kind())
    with pytest.raises(AttributesError), db.transaction() as tx:
        bad = FORMATS["dot"].read('digraph { a; b [size="not a number"] }')
        write_document(tx, bad, graph_type="things", node_type="thing")
    with pytest.raises(GraphError, match="no type"), db.transaction() as tx:
        write_document(tx, FORMATS["dot"].read(text), graph_type="things")
    assert db.query("SELECT count(*) AS n FROM graphs") == [{"n": 0}]
    with db.transaction() as tx:
        write_document(tx, FORMATS["dot"].read(text), graph_type="things", node_type="thing", edge_type="likes")
