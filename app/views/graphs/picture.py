"""A small graph as boxes and lines. Pure: the same graph is the same picture.

Edges lead down from the bottom of a box to the top of another, with an arrow at their target; one that closes a cycle
leads up, and is named below the picture. Undirected edges have no arrow. A loop is a sign in its box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from app.views.graphs.channel import Wire, route
from app.views.graphs.layers import Layers, Step, layers
from app.views.graphs.nodes import NodeRow, node_name
from app.views.text import clip, safe

_ATTEMPTS = ((28, False), (20, False), (14, False), (28, True), (20, True), (14, True), (10, True), (6, True))
"""Cells for a label, and whether ranks may be divided; the first with which the picture fits."""
_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_LINES = {
    _UP | _DOWN: "│",
    _LEFT | _RIGHT: "─",
    _DOWN | _RIGHT: "┌",
    _DOWN | _LEFT: "┐",
    _UP | _RIGHT: "└",
    _UP | _LEFT: "┘",
    _UP | _DOWN | _LEFT | _RIGHT: "┼",
}
_ASCII = str.maketrans(dict(zip("│─┌┐└┘┼┬┴▼▲⟲…", "|-..''+++v^@~", strict=True)))


@dataclass(frozen=True, slots=True)
class PictureEdge:
    """An edge between nodes of the picture, by their keys."""

    source: str
    target: str
    undirected: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """Where a node stands: its upper left cell and its size."""

    key: str
    x: int
    y: int
    width: int
    height: int = 3


@dataclass(frozen=True, slots=True)
class Picture:
    """Lines of text, where each node is in them, and the edges that lead up because they close a cycle."""

    lines: tuple[str, ...]
    boxes: tuple[Box, ...]
    closing: tuple[PictureEdge, ...]

    @property
    def width(self) -> int:
        """Cells of the longest line."""
        return max(map(cell_len, self.lines), default=0)


def draw_picture(
    nodes: Sequence[NodeRow],
    edges: Sequence[PictureEdge],
    width: int,
    *,
    ascii_only: bool = False,
    selected: str | None = None,
) -> Picture:
    """Draw it, within `width` cells where it can be; the box of the node `selected` has a heavy frame."""
    numbers = {node.key: index for index, node in enumerate(nodes)}
    pairs = [(numbers[edge.source], numbers[edge.target]) for edge in edges]
    drawn: Picture | None = None
    for label, divided in _ATTEMPTS:
        attempt = _Drawing(nodes, edges, pairs, label, width, divided, ascii_only).picture(selected)
        if drawn is None or attempt.width < drawn.width:
            drawn = attempt
        if drawn.width <= width:
            break
    assert drawn is not None
    return drawn


class _Drawing:
    """One attempt: labels of at most `label` cells; ranks of at most `width` cells, where they may be `divided`."""

    def __init__(
        self,
        nodes: Sequence[NodeRow],
        edges: Sequence[PictureEdge],
        pairs: Sequence[tuple[int, int]],
        label: int,
        width: int,
        divided: bool,
        ascii_only: bool,
    ) -> None:
        self._nodes, self._edges, self._pairs, self._ascii = nodes, edges, pairs, ascii_only
        loops = {a for a, b in pairs if a == b}
        texts = [node_name(node, ascii_only=ascii_only) for node in nodes]
        self._texts = [clip(("⟲ " if index in loops else "") + text, label) for index, text in enumerate(texts)]
        # Turned edges change sides: there is room for every edge on either.
        degrees = [sum(node in pair for pair in pairs) for node in range(len(nodes))]
        self._size = [
            max(cell_len(text) + 4, 2 * degree + 1, 5) for text, degree in zip(self._texts, degrees, strict=True)
        ]

        gap = self._gap = 1 if divided else 2

        def fits(here: Sequence[int], bends: int) -> bool:
            return sum(self._size[node] + gap for node in here) + bends * (1 + gap) - gap <= width

        self._layers: Layers = layers(len(nodes), pairs, fits, divided=divided)
        self._x: dict[int, int] = {}
        self._place()

    def _width_of(self, slot: int) -> int:
        return self._size[slot] if slot < len(self._size) else 1

    def _place(self) -> None:
        """Columns of all slots: packed, then drawn towards what they are joined to, twice down and up."""
        rows, steps = self._layers.ranks, self._layers.steps
        widest = max((sum(self._width_of(s) + self._gap for s in row) - self._gap for row in rows), default=0)
        joined: dict[int, tuple[list[int], list[int]]] = {slot: ([], []) for row in rows for slot in row}
        for between in steps:
            for step in between:
                joined[step.lower][0].append(step.upper)
                joined[step.upper][1].append(step.lower)
        for row in rows:
            sizes = [self._width_of(slot) for slot in row]
            self._x.update(zip(row, spread([0] * len(row), sizes, self._gap, 0, widest), strict=True))
        for side, order in ((1, rows[::-1]), (0, rows)) * 2:
            for row in order:
                sizes = [self._width_of(slot) for slot in row]
                wanted = [self._drawn_to(slot, joined[slot][side]) for slot in row]
                self._x.update(zip(row, spread(wanted, sizes, self._gap, 0, widest), strict=True))

    def _drawn_to(self, slot: int, others: Sequence[int]) -> int:
        if not others:
            return self._x[slot]
        middle = sum(2 * self._x[other] + self._width_of(other) - 1 for other in others) // len(others)
        return (middle - self._width_of(slot) + 1) // 2

    # -- drawing -----------------------------------------------------------------------------------------------------

    def picture(self, selected: str | None) -> Picture:
        """Draw boxes and wires onto cells, a rank and the channel below it at a time."""
        cells: dict[tuple[int, int], int] = {}
        marks: dict[tuple[int, int], str] = {}
        boxes: list[Box] = []
        y = 0
        for row, steps in zip(self._layers.ranks, self._layers.steps, strict=True):
            for slot in row:
                if slot < len(self._nodes):
                    boxes.append(Box(self._nodes[slot].key, self._x[slot], y, self._size[slot]))
                    self._draw_box(boxes[-1], self._texts[slot], marks, heavy=boxes[-1].key == selected)
                else:
                    cells.update({(y + line, self._x[slot]): _UP | _DOWN for line in range(3)})
            wires, tracks = self._wires(steps)
            ups = [self._arrow_up(step) for step in steps]
            first = y + 3 + int(any(ups))
            bottom = first + tracks + (1 if steps else 0)
            for step, wire, up in zip(steps, wires, ups, strict=True):
                self._draw_wire(step, wire, up, y + 3, first, bottom, cells, marks)
            y = bottom
        return Picture(tuple(self._lines(cells, marks, y)), tuple(boxes), self._closing())

    def _closing(self) -> tuple[PictureEdge, ...]:
        upward = [self._edges[index] for index in sorted(self._layers.upward)]
        return tuple(edge for edge in upward if not edge.undirected)

    def _arrow_up(self, step: Step) -> bool:
        return (
            step.edge in self._layers.upward and step.upper < len(self._nodes) and not self._edges[step.edge].undirected
        )

    def _draw_box(self, box: Box, text: str, marks: dict[tuple[int, int], str], *, heavy: bool) -> None:
        inner = box.width - 2
        left, right, across, side = ("┏┗", "┓┛", "━", "┃") if heavy else ("┌└", "┐┘", "─", "│")
        if self._ascii:
            left, right, across, side = ("##", "##", "=", "#") if heavy else ("++", "++", "-", "|")
        for line, corner in ((0, 0), (2, 1)):
            for column in range(inner):
                marks.setdefault((box.y + line, box.x + 1 + column), across)  # ports from above are there already
            marks[box.y + line, box.x] = left[corner]
            marks[box.y + line, box.x + box.width - 1] = right[corner]
        marks[box.y + 1, box.x] = marks[box.y + 1, box.x + box.width - 1] = side
        indent = (inner - cell_len(text)) // 2
        marks[box.y + 1, box.x + 1 + indent] = text  # one mark, as wide as it is
        for column in range(1, cell_len(text)):
            marks[box.y + 1, box.x + 1 + indent + column] = ""

    def _wires(self, steps: Sequence[Step]) -> tuple[list[Wire], int]:
        def middle(slot: int) -> int:
            return self._x[slot] + self._width_of(slot) // 2

        tops = self._ports([(step.upper, middle(step.lower)) for step in steps])
        bottoms = self._ports([(step.lower, top) for step, top in zip(steps, tops, strict=True)])
        return route(list(zip(tops, bottoms, strict=True)))

    def _ports(self, wanted: Sequence[tuple[int, int]]) -> list[int]:
        """A column on its slot for each, as near to what it wants as there is room."""
        found = [0] * len(wanted)
        by_slot: dict[int, list[int]] = {}
        for index, (slot, _) in enumerate(wanted):
            by_slot.setdefault(slot, []).append(index)
        for slot, here in by_slot.items():
            here.sort(key=lambda index: (wanted[index][1], index))
            bend = slot >= len(self._nodes)
            low = self._x[slot] + (0 if bend else 1)
            high = self._x[slot] + self._width_of(slot) - (0 if bend else 1)
            columns = spread([wanted[index][1] for index in here], [1] * len(here), 1, low, high)
            for index, column in zip(here, columns, strict=True):
                found[index] = column
        return found

    def _draw_wire(
        self,
        step: Step,
        wire: Wire,
        up: bool,
        top: int,
        first: int,
        bottom: int,
        cells: dict[tuple[int, int], int],
        marks: dict[tuple[int, int], str],
    ) -> None:
        def add(line: int, column: int, arms: int) -> None:
            cells[line, column] = cells.get((line, column), 0) | arms

        at, column = top, wire.top
        for track, to in wire.turns:
            for line in range(at, first + track):
                add(line, column, _UP | _DOWN)
            right = to > column
            add(first + track, column, _UP | (_RIGHT if right else _LEFT))
            for between in range(min(column, to) + 1, max(column, to)):
                add(first + track, between, _LEFT | _RIGHT)
            add(first + track, to, _DOWN | (_LEFT if right else _RIGHT))
            at, column = first + track + 1, to
        for line in range(at, bottom):
            add(line, column, _UP | _DOWN)
        undirected = self._edges[step.edge].undirected
        if step.upper < len(self._nodes):
            marks[top - 1, wire.top] = "┬"
        if up:
            marks[top, wire.top] = "▲"
        if step.lower < len(self._nodes):
            if undirected or step.edge in self._layers.upward:
                marks[bottom, wire.bottom] = "┴"
            else:
                marks[bottom - 1, wire.bottom] = "▼"

    def _lines(self, cells: dict[tuple[int, int], int], marks: dict[tuple[int, int], str], height: int) -> list[str]:
        shown = {place: _LINES[arms] for place, arms in cells.items()} | marks
        rows: list[dict[int, str]] = [{} for _ in range(height)]
        for (line, column), text in shown.items():
            rows[line][column] = text.translate(_ASCII) if self._ascii else text
        return ["".join(row.get(c, " ") for c in range(max(row, default=-1) + 1)).rstrip() for row in rows]


def next_box(picture: Picture, key: str, across: int, down: int) -> str:
    """The node whose box one comes to from another: beside it in its rank, or the nearest of the rank above or below.

    Where there is none, the node itself.
    """
    here = next(box for box in picture.boxes if box.key == key)
    middle = 2 * here.x + here.width
    if across:
        rank = sorted((box for box in picture.boxes if box.y == here.y), key=lambda box: box.x)
        at = rank.index(here) + across
        return rank[at].key if 0 <= at < len(rank) else key
    beyond = [box for box in picture.boxes if (box.y - here.y) * down > 0]
    near = min(beyond, key=lambda box: (abs(box.y - here.y), abs(2 * box.x + box.width - middle), box.x), default=here)
    return near.key


def spread(wanted: Sequence[int], sizes: Sequence[int], gap: int, low: int, high: int) -> list[int]:
    """Places for things in a row, as near to where they are wanted as their order, the gap and the bounds allow.

    Things that have no room between the bounds begin at `low` and go on beyond `high`.
    """
    places: list[int] = []
    at = low
    for want, size in zip(wanted, sizes, strict=True):
        places.append(max(at, want))
        at = places[-1] + size + gap
    at = max(high, low + sum(sizes) + gap * (len(sizes) - 1))
    for index in range(len(places) - 1, -1, -1):
        places[index] = min(places[index], at - sizes[index])
        at = places[index] - gap
    return places


def closing_lines(picture: Picture, nodes: Sequence[NodeRow], width: int, *, ascii_only: bool = False) -> list[str]:
    """What the picture's reader must know of edges that lead up."""
    names = {node.key: safe(node.name, ascii_only=ascii_only) for node in nodes}
    sign, arrow, ellipsis = ("@", "->", "~") if ascii_only else ("⟲", "→", "…")
    return [
        clip(f"{sign} {names[edge.source]} {arrow} {names[edge.target]} closes a cycle", width, ellipsis=ellipsis)
        for edge in picture.closing
    ]
