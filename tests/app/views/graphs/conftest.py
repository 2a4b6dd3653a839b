from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from storage.engine import Database
from storage.graphs.module import EdgeType, GraphConfig, GraphType, NodeType
from storage.graphs.types import define_graph_type
from storage.graphs.writing import create_graph, put_edge, put_nodes
from storage.tenants import open_tenant_database

THINGS = GraphType(
    "things",
    GraphConfig(type="mixed", multi=True),
    (NodeType("thing", "", {}),),
    (EdgeType("to", "", {}), EdgeType("near", "", {})),
    scope="user",
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = open_tenant_database(tmp_path / "tenant-local.db", durability="normal")
    with db.transaction() as tx:
        define_graph_type(tx, THINGS)
    yield db
    db.close()


def make(
    db: Database, edges: Sequence[tuple[str, str]], *, alone: str = "", near: Sequence[tuple[str, str]] = ()
) -> str:
    """A graph of one-letter things: edges of type `to`, undirected ones of type `near`."""
    with db.transaction() as tx:
        graph = create_graph(tx, "things", "letters")
        keys = sorted({end for edge in (*edges, *near) for end in edge} | set(alone))
        put_nodes(
            tx, graph, [("thing", key, {"name": key.upper(), "status": "failed"} if key == "f" else {}) for key in keys]
        )
        for source, target in edges:
            put_edge(tx, graph, "to", source, target)
        for source, target in near:
            put_edge(tx, graph, "near", source, target, undirected=True)
    return graph
