"""What lists of graphs and nodes read, and the neighbourhood of a node."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.views.columns import lay_out
from app.views.graphs import roots as reading
from app.views.graphs.catalogue import (
    NoSuchGraphError,
    find_graph,
    find_schema,
    graph_columns,
    graph_title,
    list_graphs,
    list_types,
    type_lines,
)
from app.views.graphs.neighbourhood import Neighbourhood, neighbourhood_lines, read_neighbourhood
from app.views.graphs.nodes import (
    Fan,
    Link,
    NodeRow,
    NoSuchNodeError,
    find_node,
    next_failed,
    read_attributes,
    search,
    way_up,
)
from app.views.graphs.roots import read_roots
from app.views.graphs.whole import MOST_NODES, read_whole
from storage.engine import Database
from storage.graphs.writing import create_graph, put_edge, put_node, put_nodes
from tests.app.views.graphs.conftest import make


def test_the_list_counts_and_knows_the_newest_change(db: Database) -> None:
    graph = make(db, [("a", "b")], alone="c")
    with db.transaction() as tx:
        tx.execute("UPDATE nodes SET updated_at = 4102444800 WHERE key = 'c'")
        tx.execute("UPDATE graphs SET graph_type_id = NULL WHERE id = ?", (create_graph(tx, "things", "typeless"),))
    with db.snapshot() as snapshot:
        row, newest = list_graphs(snapshot)  # that which changed last is first
        assert (newest.name, newest.type, newest.nodes) == ("typeless", None, 0)
        assert (row.id, row.type, row.nodes, row.edges, row.changed_ms) == (graph, "things", 3, 1, 4_102_444_800_000)
        assert list_graphs(snapshot, graph_type="things") == [row]
        assert find_graph(snapshot, "letters") == find_graph(snapshot, graph[:9]) == row
        with pytest.raises(NoSuchGraphError, match="no graph 'nope'"):
            find_graph(snapshot, "nope")
        assert graph_title(row) == "letters · things · 3 nodes · 1 edge"
        some = find_graph(snapshot, "letters", 2)
        assert graph_title(some, "from a", ascii_only=True, most=2) == "letters - from a - things - 2+ nodes - 1 edge"
        line = lay_out(graph_columns(lambda _: "now"), 80).line(newest)
        assert line.startswith("typeless ")
        assert "(type gone)" in line


def test_types_and_schemas(db: Database) -> None:
    graph = make(db, [("a", "b")])
    with db.transaction() as tx:
        tasks = create_graph(tx, "task-dependencies", "release")
    with db.snapshot() as snapshot:
        things = next(row for row in list_types(snapshot) if row.name == "things")
        assert type_lines(things, ascii_only=True)[-2:] == [
            "  edge to                   any -> any",
            "  edge near                 any -> any",
        ]
        assert things.graphs == 1
        schema = find_schema(snapshot, tasks, "edge", "depends_on")
        assert "edgeType" not in str(schema)
        assert "qualityRetention" in str(schema)
        assert "name" in str(find_schema(snapshot, tasks, "node", "task"))
        with pytest.raises(NoSuchGraphError):
            find_schema(snapshot, graph, "node", "task")


def test_a_node_between_what_leads_to_it_and_what_it_leads_to(db: Database) -> None:
    graph = make(db, [("a", "f"), ("f", "b"), ("f", "f")], near=[("c", "f")])
    with db.snapshot() as snapshot:
        found = read_neighbourhood(snapshot, graph, "f")
        assert [link.node.key for link in found.before.links] == ["a", "f"]
        assert [(link.node.key, link.undirected) for link in found.after.links] == [
            ("b", False),
            ("f", False),
            ("c", True),
        ]
        assert neighbourhood_lines(found, 60) == [
            "leads here: 2 to      │node          │leads on to: 3",
            "a                   ─▶│✗ F           │to ─▶ b",
            "⟲ itself            ─▶│thing         │to ─▶ ⟲ itself",
            "                      │failed        │near ── c",
            "                      │f             │",
        ]
        near = read_neighbourhood(snapshot, graph, "f", "near")
        assert (len(near.before.links), len(near.after.links)) == (0, 1)
        with pytest.raises(NoSuchNodeError):
            read_neighbourhood(snapshot, graph, "nope")


def test_finding_nodes(db: Database) -> None:
    graph = make(db, [("a", "b"), ("b", "f"), ("f", "c"), ("c", "b")])
    with db.transaction() as tx:
        put_node(tx, graph, "thing", "beta", {"name": "The Second"})
    with db.snapshot() as snapshot:
        assert find_node(snapshot, graph, "b").key == "b"
        assert find_node(snapshot, graph, "bet").name == "The Second"
        assert [row.key for row in search(snapshot, graph, "b")] == ["b", "beta"]
        assert [row.key for row in search(snapshot, graph, "second")] == ["beta"]
        assert way_up(snapshot, graph, "c") == ["a", "b", "f", "c"]
        assert next_failed(snapshot, graph, "c") == next_failed(snapshot, graph, "f") == "f"
        assert next_failed(snapshot, graph, "", back=True) == "f"
        assert read_attributes(snapshot, graph, "f") == {"name": "F", "status": "failed"}
        with pytest.raises(NoSuchNodeError):
            find_node(snapshot, graph, "x")
        with pytest.raises(NoSuchNodeError, match="several"):
            find_node(snapshot, graph, "")


def test_roots_come_a_window_at_a_time(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WINDOW", 3)
    graph = make(db, [("z", "a"), ("a", "b"), ("b", "c")], alone="xy")
    monkeypatch.setattr(reading, "SMALL", 3)
    with db.snapshot() as snapshot:
        first = read_roots(snapshot, graph)
        assert ([row.key for row in first.nodes], first.after) == (["x", "y", "z"], "z")
        assert read_roots(snapshot, graph, pages=5).after is None
        monkeypatch.setattr(reading, "PAGE", 1)
        first = read_roots(snapshot, graph)
        assert ([row.key for row in first.nodes], first.after) == (["x"], "x")
        assert [row.key for row in read_roots(snapshot, graph, pages=4).nodes] == ["x", "y", "z"]
    ring = make(db, [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")])
    with db.snapshot() as snapshot:
        assert [row.key for row in read_roots(snapshot, ring).nodes] == ["a"]


def test_an_outline_of_a_small_graph_leads_to_every_node(db: Database) -> None:
    graph = make(db, [("a", "b"), ("d", "c"), ("c", "d"), ("e", "e")], near=[("x", "y")])
    with db.snapshot() as snapshot:
        assert [row.key for row in read_roots(snapshot, graph).nodes] == ["a", "e", "x", "c"]
        assert len(read_roots(snapshot, graph, "near").nodes) == 6


def test_the_whole_of_a_small_graph_only(db: Database) -> None:
    graph = make(db, [("a", "b")], near=[("b", "a")])
    with db.snapshot() as snapshot:
        whole, near = read_whole(snapshot, graph), read_whole(snapshot, graph, "near")
    assert whole is not None
    assert near is not None
    assert [node.key for node in whole.nodes] == ["a", "b"]
    assert [(edge.source, edge.target) for edge in whole.edges] == [("a", "b"), ("b", "a")]
    assert [edge.undirected for edge in near.edges] == [True]
    with db.transaction() as tx:
        put_nodes(tx, graph, [("thing", f"n{number}", {}) for number in range(MOST_NODES - 1)])
    with db.snapshot() as snapshot:
        assert read_whole(snapshot, graph) is None


def test_labels_of_any_kind_are_text(db: Database) -> None:
    graph = make(db, [])
    with db.transaction() as tx:
        for key, name in (("a", 5), ("b", {"x": 1}), ("c", None), ("d", "x" * 5_000), ("e", True)):
            put_node(tx, graph, "thing", key, {"name": name, "status": {"odd": 1}})
        put_edge(tx, graph, "to", "a", "b")
    with db.snapshot() as snapshot:
        rows = read_roots(snapshot, graph).nodes
    assert [row.name for row in rows] == ["5", "c", "x" * 200, "1"]
    assert {row.status for row in rows} == {None}


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(label=names, kind=names, width=st.integers(40, 160), ascii_only=st.booleans())
def test_columns_hold_whatever_names_hold(label: str, kind: str, width: int, ascii_only: bool) -> None:
    node = NodeRow("k", kind, label, label, True)
    fan = Fan((Link("e", kind, False, NodeRow("m", kind, label, None, True)),), 3)
    for line in neighbourhood_lines(Neighbourhood(node, fan, fan), width, ascii_only=ascii_only):
        assert cell_len(line) <= width
        assert line.isascii() or not ascii_only
        assert not set(line) & {"\x1b", "\n", "‮"}
