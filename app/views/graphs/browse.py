"""What a screen about one graph reads: for what is wanted, one look at the file."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from app.views.graphs.catalogue import ENOUGH, GraphRow, GraphTypeRow, find_graph, list_types
from app.views.graphs.neighbourhood import Neighbourhood, read_neighbourhood
from app.views.graphs.nodes import (
    PAGE,
    NodeRow,
    NoSuchNodeError,
    read_attributes,
    read_node,
    way_up,
)
from app.views.graphs.outline import Fans, OutlineRow, more_roots, open_to, outline
from app.views.graphs.roots import Roots, read_roots
from app.views.graphs.whole import Whole, read_whole
from storage.engine import Snapshot

Face: TypeAlias = Literal["outline", "neighbourhood", "picture"]
FIRST_DEPTH, FIRST_ROWS = 2, 60
"""How far an outline is open when it is first shown."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be shown of a graph."""

    graph: str
    face: Face = "outline"
    key: str | None = None
    """The node in the middle; None: the first root."""
    edge_type: str | None = None
    root: str | None = None
    """Where the outline begins; None: at the roots."""
    opened: frozenset[str] | None = None
    """Nodes that are open in the outline; None: as many as make a beginning."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """Edges that are wanted of nodes with many."""
    pages: int = 1
    """Pages of roots."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What there is; only what the face shows is read."""

    graph: GraphRow
    type: GraphTypeRow | None
    key: str | None
    """None: the graph has no nodes."""
    opened: frozenset[str]
    rows: tuple[OutlineRow, ...] = ()
    near: Neighbourhood | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Of the node in the middle of its neighbourhood."""
    whole: Whole | None = None
    """None for a picture: the graph is too large."""


def read_shown(snapshot: Snapshot, wish: Wish) -> Shown:
    """Read what is wanted. A picture of a graph that is too large is not read.

    Raises:
        NoSuchGraphError, NoSuchNodeError: it is gone.
    """
    graph = find_graph(snapshot, wish.graph, ENOUGH)
    kind = next((row for row in list_types(snapshot) if row.name == graph.type), None)
    opened = wish.opened or frozenset()
    key = wish.key
    if wish.face == "outline" or key is None:
        roots = _roots(snapshot, graph.id, wish)
        fans = Fans(snapshot, graph.id, wish.edge_type, PAGE, wish.limits)
        if wish.opened is None:
            opened = frozenset(open_to(roots.nodes, fans, FIRST_DEPTH, FIRST_ROWS))
        rows = outline(roots.nodes, fans, opened)
        if rows and roots.after is not None:
            rows.append(more_roots(rows[0].node))
        key = key or (rows[0].node.key if rows else None)
        if wish.face == "outline" or key is None:
            return Shown(graph, kind, key, opened, rows=tuple(rows))
    if wish.face == "picture":
        return Shown(graph, kind, key, opened, whole=read_whole(snapshot, graph.id, wish.edge_type))
    return Shown(
        graph,
        kind,
        key,
        opened,
        near=read_neighbourhood(snapshot, graph.id, key, wish.edge_type),
        attributes=read_attributes(snapshot, graph.id, key),
    )


def _roots(snapshot: Snapshot, graph_id: str, wish: Wish) -> Roots:
    if wish.root is not None:
        try:
            return Roots((read_node(snapshot, graph_id, wish.root),), None)
        except NoSuchNodeError:
            pass  # it was deleted meanwhile: all roots are shown again
    return read_roots(snapshot, graph_id, wish.edge_type, wish.pages)


@dataclass(frozen=True, slots=True)
class Reveal:
    """How an outline comes to show a node: from where, and what must be open."""

    root: str | None
    opened: frozenset[str]


def reveal(snapshot: Snapshot, graph_id: str, key: str, wish: Wish) -> Reveal:
    """The way from a root to a node.

    It begins at the node itself where a node on the way has more edges than are read.
    """
    way = way_up(snapshot, graph_id, key, wish.edge_type)
    opened = (wish.opened or frozenset()) | frozenset(way[:-1])
    fans = Fans(snapshot, graph_id, wish.edge_type, PAGE, wish.limits)
    for upper, lower in itertools.pairwise(way):
        if all(link.node.key != lower for link in fans(upper).links):
            return Reveal(key, opened)
    roots = read_roots(snapshot, graph_id, wish.edge_type, wish.pages).nodes
    return Reveal(None if any(root.key == way[0] for root in roots) else way[0], opened)


def fact_lines(node: NodeRow, attributes: Mapping[str, Any]) -> list[str]:
    """What a node's attributes tell beside its name and status, a line each, as JSON, cut where it is long."""
    told = (None, node.label, node.status, node.key)
    return [f"{name}: {_brief(value)}" for name, value in attributes.items() if value not in told]


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:200]
