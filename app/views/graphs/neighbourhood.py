"""A node and what is one edge away: predecessors, the node, successors, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len

from app.views.graphs.nodes import PAGE, Fan, Link, NodeRow, node_name, read_fan, read_node, short
from app.views.text import count, fit, safe
from storage.engine import Snapshot


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """A node between the edges that lead to it and those that lead away; undirected ones lead away."""

    node: NodeRow
    before: Fan
    after: Fan


def read_neighbourhood(
    snapshot: Snapshot, graph_id: str, key: str, edge_type: str | None = None, limit: int = PAGE
) -> Neighbourhood:
    """Read it; what that costs hangs on its edges alone.

    Raises:
        NoSuchNodeError: there is no such node.
    """
    return Neighbourhood(
        read_node(snapshot, graph_id, key),
        read_fan(snapshot, graph_id, key, "in", edge_type, limit),
        read_fan(snapshot, graph_id, key, "out", edge_type, limit),
    )


def columns(width: int) -> tuple[int, int, int]:
    """Cells for the three columns, which have one cell between them."""
    middle = max(12, (width - 2) // 4)
    left = (width - 2 - middle) // 2
    return left, middle, width - 2 - middle - left


def only_type(fan: Fan) -> str | None:
    """The type that all edges have, which then stands above them once."""
    types = {link.type for link in fan.links}
    return types.pop() if len(types) == 1 else None


def link_text(
    link: Link, node: NodeRow, width: int, *, leads_away: bool, ascii_only: bool = False, typed: bool = True
) -> str:
    """A neighbour in exactly `width` cells; the arrow, `typed` with the edge's type, stands on the side of the node."""
    arrow = _arrow(link, ascii_only)
    kind = safe(link.type or "", ascii_only=ascii_only) if typed else ""
    name = node_name(link.node, ascii_only=ascii_only)
    if link.node.key == node.key:
        name = f"{'@' if ascii_only else '⟲'} itself"
    ellipsis = "~" if ascii_only else "…"
    room = max(6, width // 3)
    arrow = f"{fit(kind, min(cell_len(kind), room), ellipsis=ellipsis)} {arrow}".lstrip()
    if leads_away:
        return fit(f"{arrow} {name}", width, ellipsis=ellipsis)
    return fit(f"{fit(name, max(1, width - cell_len(arrow) - 1), ellipsis=ellipsis)} {arrow}", width, ellipsis=ellipsis)


def _arrow(link: Link, ascii_only: bool) -> str:
    if link.undirected:
        return "--" if ascii_only else "──"
    return "->" if ascii_only else "─▶"


def side_lines(
    fan: Fan, node: NodeRow, width: int, *, leads_away: bool, ascii_only: bool = False, empty: str = ""
) -> list[str]:
    """One column, a neighbour a line, each of exactly `width` cells."""
    ellipsis = "~" if ascii_only else "…"
    typed = only_type(fan) is None
    lines = [
        link_text(link, node, width, leads_away=leads_away, ascii_only=ascii_only, typed=typed) for link in fan.links
    ]
    if fan.more:
        lines.append(fit(f"{ellipsis} {count(fan.more)} more", width, ellipsis=ellipsis))
    return lines or [fit(empty, width, ellipsis=ellipsis)]


def node_lines(node: NodeRow, width: int, *, ascii_only: bool = False) -> list[str]:
    """The column in the middle: name, type, status, key."""
    ellipsis = "~" if ascii_only else "…"
    words = [node_name(node, ascii_only=ascii_only), node.type, node.status]
    if node.label is not None:
        words.append(short(node.key))
    return [fit(safe(word, ascii_only=ascii_only), width, ellipsis=ellipsis) for word in words if word]


def neighbourhood_lines(found: Neighbourhood, width: int, *, ascii_only: bool = False) -> list[str]:
    """All three columns, with a header."""
    left, middle, right = columns(width)
    bar = "|" if ascii_only else "│"
    ellipsis = "~" if ascii_only else "…"
    heads = (
        fan_head(found.before, leads_away=False, ascii_only=ascii_only),
        "node",
        fan_head(found.after, leads_away=True, ascii_only=ascii_only),
    )
    out = [
        bar.join(fit(head, size, ellipsis=ellipsis) for head, size in zip(heads, (left, middle, right), strict=True))
    ]
    for before, node, after in zip_longest(
        side_lines(found.before, found.node, left, leads_away=False, ascii_only=ascii_only, empty="nothing"),
        node_lines(found.node, middle, ascii_only=ascii_only),
        side_lines(found.after, found.node, right, leads_away=True, ascii_only=ascii_only, empty="nothing"),
    ):
        out.append(bar.join((before or " " * left, node or " " * middle, after or " " * right)))
    return [line.rstrip() for line in out]


def fan_head(fan: Fan, *, leads_away: bool, ascii_only: bool = False) -> str:
    """What stands above a column: how many there are, and their type when it is one."""
    kind = only_type(fan)
    told = f"{'leads on to' if leads_away else 'leads here'}: {count(len(fan.links) + fan.more)}"
    return told + (f" {safe(kind, ascii_only=ascii_only)}" if kind else "")
