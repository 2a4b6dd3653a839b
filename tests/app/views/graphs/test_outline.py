"""The outline: every node once in full, and every edge, whatever the graph."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.views.graphs.nodes import Fan, Link, NodeRow
from app.views.graphs.outline import Fans, open_to, outline, outline_line
from app.views.graphs.roots import read_roots
from storage.engine import Database
from tests.app.views.graphs.conftest import make


def lines(db: Database, graph: str, depth: int = 9, *, ascii_only: bool = False, limit: int = 200) -> list[str]:
    with db.snapshot() as snapshot:
        roots = read_roots(snapshot, graph).nodes
        fan_of = Fans(snapshot, graph, limit=limit)
        rows = outline(roots, fan_of, open_to(roots, fan_of, depth, 1_000))
    return [outline_line(row, 60, ascii_only=ascii_only, typed=False).rsplit("  ", 1)[0].rstrip() for row in rows]


def test_what_stands_above_is_referred_to_and_a_cycle_ends(db: Database) -> None:
    graph = make(db, [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "b"), ("d", "f")], alone="z")
    assert lines(db, graph) == [
        "▾ a",
        "├─▾ b",
        "│ └─▾ d",
        "│   ├─⟲ b  cycle",
        "│   └── ✗ F  f",
        "└─▾ c",
        "  └─↑ d  see above",
        "  z",
    ]
    assert lines(db, graph, 1)[1:3] == ["├─▸ b", "└─▸ c"]
    assert all(line.isascii() for line in lines(db, graph, ascii_only=True))


def test_a_graph_of_cycles_begins_somewhere(db: Database) -> None:
    assert lines(db, make(db, [("a", "b"), ("b", "a")])) == ["▾ a", "└─▾ b", "  └─⟲ a  cycle"]
    assert lines(db, make(db, [], near=[("a", "b")])) == ["▾ a", "└─▾ b"]


def test_more_edges_than_are_wanted_are_counted(db: Database) -> None:
    graph = make(db, [("a", letter) for letter in "bcdefg"])
    assert lines(db, graph, limit=2) == ["▾ a", "├── b", "├── c", "└─… 4 more"]


@given(
    pairs=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.booleans()), max_size=20),
    width=st.integers(10, 80),
    ascii_only=st.booleans(),
)
def test_every_edge_that_can_be_reached_is_one_row(
    pairs: list[tuple[int, int, bool]], width: int, ascii_only: bool
) -> None:
    leaving: dict[str, list[Link]] = {str(key): [] for key in range(8)}
    leads = {end for a, b, both in pairs for end in ((a, b) if both else (a,))}
    for index, (a, b, both) in enumerate(pairs):
        for source, target in [(a, b)] + ([(b, a)] if both and a != b else []):
            node = NodeRow(str(target), "t", "日本\x1b語" * target, None, target in leads)
            leaving[str(source)].append(Link(f"e{index}", "to", both, node))
    roots = [NodeRow("0", "t", None, None, 0 in leads)]
    rows = outline(roots, lambda key: Fan(tuple(leaving[key])), {str(key) for key in range(8)})
    full = Counter(row.node.key for row in rows if row.mark in ("open", "leaf", "closed"))
    assert set(full.values()) == {1}
    reached = {key for key in full}
    edges = {(key, link.edge_id) for key in reached for link in leaving[key]}
    shown = {(row.path[-2], row.link.edge_id) for row in rows if row.link}
    assert shown <= edges
    assert {edge for _, edge in edges} == {edge for _, edge in shown}
    for row in rows:
        line = outline_line(row, width, ascii_only=ascii_only)
        assert cell_len(line) <= width
        assert "\x1b" not in line
