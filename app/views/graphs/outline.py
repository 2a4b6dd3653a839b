"""A graph as a tree: from roots along the edges. Pure; what a node leads to is asked for when it is opened.

A graph is no tree: a node that stands above already is shown once more as `↑ see` and not opened again; one that is
on the way to itself is `⟲`. So a node can be open in one place only, and what is open is a set of keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rich.cells import cell_len

from app.views.graphs.nodes import PAGE, Fan, Link, NodeRow, node_name, read_fan, short
from app.views.text import clip, count, safe
from storage.engine import Snapshot

Mark: TypeAlias = Literal["open", "closed", "leaf", "see", "cycle", "more"]
FanOf: TypeAlias = Callable[[str], Fan]

UNKNOWN = -1
_TREE = str.maketrans({"├": "|", "└": "`", "│": "|", "─": "-"})


class Fans:
    """What nodes lead to, read once each, as far as somebody asks.

    Args:
        edge_type: only along edges of this type.
        limits: edges to read, of nodes of which more than `limit` are wanted.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        graph_id: str,
        edge_type: str | None = None,
        limit: int = PAGE,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        self._snapshot, self._graph_id, self._edge_type = snapshot, graph_id, edge_type
        self._limit, self._limits = limit, limits or {}
        self._read: dict[str, Fan] = {}

    def __call__(self, key: str) -> Fan:
        """The edges that lead away from a node."""
        if key not in self._read:
            limit = self._limits.get(key, self._limit)
            self._read[key] = read_fan(self._snapshot, self._graph_id, key, "out", self._edge_type, limit)
        return self._read[key]


@dataclass(frozen=True, slots=True)
class OutlineRow:
    """A line of the outline."""

    path: tuple[str, ...]
    """Keys from the root to this node; of a `more` row, to the node whose edges are not all shown."""
    node: NodeRow
    link: Link | None
    """The edge that leads here; None for roots."""
    guides: str
    mark: Mark
    more: int = 0
    """Of a `more` row: how many more edges there are; `UNKNOWN` of the row after roots, which has no path."""

    @property
    def identity(self) -> tuple[object, ...]:
        """The same row after a reload."""
        return (self.path, self.mark == "more", self.link.edge_id if self.link else None)


def outline(roots: Sequence[NodeRow], fan_of: FanOf, opened: Set[str], limit: int = 100_000) -> list[OutlineRow]:
    """The rows of an outline in which the nodes `opened` are open; at most `limit` of them. Iterative."""
    rows: list[OutlineRow] = []
    seen: set[str] = set()
    waiting: list[tuple[tuple[str, ...], NodeRow, Link | None, str, str, int]] = [
        ((root.key,), root, None, "", "", 0) for root in reversed(roots)
    ]
    while waiting and len(rows) < limit:
        path, node, link, guides, below, more = waiting.pop()
        if more:
            rows.append(OutlineRow(path, node, None, guides, "more", more))
            continue
        if link is None and node.key in seen:
            continue  # by undirected edges, one root leads to another
        mark = _mark(path, node, seen, opened)
        seen.add(node.key)
        rows.append(OutlineRow(path, node, link, guides, mark))
        if mark != "open":
            continue
        fan = fan_of(node.key)
        # An undirected edge leads back to where one came from: that is the same edge, and no cycle.
        links = [to for to in fan.links if link is None or to.edge_id != link.edge_id]
        children = [((*path, to.node.key), to.node, to, 0) for to in links]
        inner: list[tuple[tuple[str, ...], NodeRow, Link | None, str, str, int]] = []
        for index, (child_path, child, to, _) in enumerate(children):
            last = index == len(children) - 1 and not fan.more
            inner.append((child_path, child, to, below + ("└─" if last else "├─"), below + ("  " if last else "│ "), 0))
        if fan.more:
            inner.append((path, node, None, below + "└─", "", fan.more))
        waiting += reversed(inner)
    return rows


def _mark(path: tuple[str, ...], node: NodeRow, seen: Set[str], opened: Set[str]) -> Mark:
    if node.key in path[:-1]:
        return "cycle"
    if node.key in seen:
        return "see"
    if not node.leads:
        return "leaf"
    return "open" if node.key in opened else "closed"


def more_roots(last: NodeRow) -> OutlineRow:
    """The row that stands after roots when not every node was looked at."""
    return OutlineRow((), last, None, "", "more", UNKNOWN)


def open_to(roots: Sequence[NodeRow], fan_of: FanOf, depth: int, limit: int) -> set[str]:
    """The nodes to open so that the outline shows `depth` edges below the roots, nearest first, until about `limit`
    rows are shown."""
    opened: set[str] = set()
    level = [root for root in roots if root.leads]
    shown = len(roots)
    for _ in range(depth):
        following: list[NodeRow] = []
        for node in level:
            if node.key in opened or shown >= limit:
                continue
            opened.add(node.key)
            links = fan_of(node.key).links
            shown += len(links)
            following += [link.node for link in links if link.node.leads and link.node.key not in opened]
        level = following
    return opened


_SIGNS = {"open": "▾ ", "closed": "▸ ", "leaf": "─ ", "see": "↑ ", "cycle": "⟲ ", "more": "… "}
_ASCII_SIGNS = {"open": "v ", "closed": "> ", "leaf": "- ", "see": "^ ", "cycle": "@ ", "more": "~ "}


def outline_line(row: OutlineRow, width: int, *, ascii_only: bool = False, typed: bool = True) -> str:
    """A row in at most `width` cells: tree, sign, glyph and name; on the right the edge's type and the node's."""
    ellipsis = "~" if ascii_only else "…"
    guides = row.guides.translate(_TREE) if ascii_only else row.guides
    sign = (_ASCII_SIGNS if ascii_only else _SIGNS)[row.mark]
    head = guides + (sign if guides or row.mark != "leaf" else "  ")
    if row.mark == "more":
        what = "look for more roots" if row.more == UNKNOWN else f"{count(row.more)} more"
        return clip(head + what, width, ellipsis=ellipsis)
    head += node_name(row.node, ascii_only=ascii_only)
    if row.mark == "see":
        head += "  see above"
    elif row.mark == "cycle":
        head += "  cycle"
    elif row.node.label is not None and row.node.label != row.node.key:
        head += f"  {safe(short(row.node.key), ascii_only=ascii_only)}"
    words = [row.link.type if typed and row.link else None, row.node.type]
    tail = " ".join(safe(word, ascii_only=ascii_only) for word in words if word)
    room = width - cell_len(tail) - 2
    if not tail or room < width // 2:
        return clip(head, width, ellipsis=ellipsis)
    shown = clip(head, room, ellipsis=ellipsis)
    return shown + " " * (width - cell_len(shown) - cell_len(tail)) + tail
