"""Walks against a model that is easy to believe, on random graphs with cycles; and the plans of the queries."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.engine import Database
from storage.graphs.errors import GraphError, NotFoundError
from storage.graphs.module import EdgeType, GraphConfig, GraphType, NodeType
from storage.graphs.queries import (
    CycleError,
    ancestors,
    create_attribute_index,
    descendants,
    drop_attribute_index,
    find_cycle,
    find_nodes,
    neighbours,
    shortest_path,
    topological_order,
)
from storage.graphs.types import define_graph_type
from storage.graphs.writing import create_graph, put_edge, put_node

PLAIN = GraphType("plain", GraphConfig(multi=True), (NodeType("n", "", {}),), (EdgeType("e", "", {}),), scope="user")
KEYS = "abcdefg"
edges = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS), st.booleans()), max_size=14)


def reach(steps: dict[str, set[str]], start: str) -> set[str]:
    seen, waiting = {start}, [start]
    while waiting:
        for key in steps[waiting.pop()]:
            if key not in seen:
                seen.add(key)
                waiting.append(key)
    return seen - {start}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(edges=edges)
def test_walks_agree_with_a_model(db: Database, edges: list[tuple[str, str, bool]]) -> None:
    forward: dict[str, set[str]] = {key: set() for key in KEYS}
    backward: dict[str, set[str]] = {key: set() for key in KEYS}
    for source, target, undirected in edges:
        forward[source].add(target)
        backward[target].add(source)
        if undirected:
            forward[target].add(source)
            backward[source].add(target)
    with db.transaction() as tx:
        define_graph_type(tx, PLAIN)
        graph = create_graph(tx, "plain", "p")
        for key in KEYS:
            put_node(tx, graph, "n", key, {})
        for source, target, undirected in edges:
            put_edge(tx, graph, "e", source, target, undirected=undirected)
        for key in KEYS:
            assert set(neighbours(tx, graph, key, "out")) == forward[key]
            assert set(neighbours(tx, graph, key, "in")) == backward[key]
            assert set(neighbours(tx, graph, key)) == forward[key] | backward[key]
            assert set(descendants(tx, graph, key)) == reach(forward, key)
            assert set(ancestors(tx, graph, key)) == reach(backward, key)
            path = shortest_path(tx, graph, "a", key)
            assert (path is not None) == (key in reach(forward, "a") | {"a"})
            if path is not None:
                assert (path[0], path[-1]) == ("a", key)
                assert all(b in forward[a] for a, b in itertools.pairwise(path))
        cycle = find_cycle(tx, graph)
        if cycle is None:
            order = topological_order(tx, graph)
            assert sorted(order) == sorted(KEYS)
            assert all(order.index(a) < order.index(b) for a, b, undirected in edges if not undirected)
        else:
            assert cycle[0] == cycle[-1]
            directed = {(a, b) for a, b, undirected in edges if not undirected}
            assert all(pair in directed for pair in itertools.pairwise(cycle))
            with pytest.raises(CycleError):
                topological_order(tx, graph)


def test_attributes_are_found_by_path_with_and_without_an_index(db: Database) -> None:
    with db.transaction() as tx:
        define_graph_type(tx, PLAIN)
        graph = create_graph(tx, "plain", "p")
        for number in range(20):
            put_node(
                tx, graph, "n", f"k{number:02}", {"n": number, "deep": {"list": [number % 3]}, "on": number % 2 == 0}
            )
        put_node(tx, graph, "n", "none", {})
    found: list[list[list[str]]] = []
    for _ in range(2):
        with db.snapshot() as snapshot:
            found.append(
                [
                    [node.key for node in find_nodes(snapshot, graph, "$.n", 7)],
                    [node.key for node in find_nodes(snapshot, graph, "$.n", 17, operator=">=")],
                    [node.key for node in find_nodes(snapshot, graph, "$.deep.list[0]", 2, limit=2)],
                    [node.key for node in find_nodes(snapshot, graph, "$.n", None)],
                    [node.key for node in find_nodes(snapshot, graph, "$.on", True, after="k14")],
                ]
            )
        with db.transaction() as tx:
            create_attribute_index(tx, "$.n")
            create_attribute_index(tx, "$.deep.list[0]")
    assert found[0] == found[1]
    assert found[0] == [["k07"], ["k17", "k18", "k19"], ["k02", "k05"], ["none"], ["k16", "k18"]]
    plan = db.query(
        "EXPLAIN QUERY PLAN SELECT key FROM nodes WHERE graph_id = ? AND json_extract(attributes, '$.n') IS ?"
        " AND key > ? ORDER BY key LIMIT ?",
        (graph, 7, "", 10),
    )
    assert "INDEX attr_nodes_n_" in plan[0]["detail"]
    with db.transaction() as tx:
        drop_attribute_index(tx, "$.n")
        assert not tx.rows("SELECT 1 FROM sqlite_schema WHERE name LIKE 'attr_nodes_n_%'")


@pytest.mark.parametrize("path", ["", "$", "name", "$.a'); DROP TABLE nodes; --", "$.a b", "$..x", "$.a" * 20])
def test_what_is_no_path_is_refused(db: Database, path: str) -> None:
    with db.transaction() as tx:
        with pytest.raises(GraphError):
            find_nodes(tx, "g", path, 1)
        with pytest.raises(GraphError):
            create_attribute_index(tx, path)
        with pytest.raises(GraphError):
            find_nodes(tx, "g", "$.a", 1, operator="LIKE")  # type: ignore[arg-type]


def test_a_node_that_is_not_there(db: Database, tmp_path: Path) -> None:
    with db.snapshot() as snapshot:
        for walk in (neighbours, descendants, ancestors):
            with pytest.raises(NotFoundError):
                walk(snapshot, "g", "k")
