"""The picture of a graph: followed cell by cell, it shows the edges that there are and no other."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from app.views.graphs.nodes import NodeRow
from app.views.graphs.picture import Box, Picture, PictureEdge, closing_lines, draw_picture, spread
from app.views.text import safe

ARMS = {"│": "ud", "─": "lr", "┌": "dr", "┐": "dl", "└": "ur", "┘": "ul", "┼": "udlr", "▲": "ud", "▼": "ud"}
BACK = {"u": "d", "d": "u", "l": "r", "r": "l"}
STEP = {"u": (-1, 0), "d": (1, 0), "l": (0, -1), "r": (0, 1)}
HOSTILE = ["a\x1b[31m", "日本語の名前", "‮evil", "e\u0301e\u0301", "👍🏽", "x" * 300, "│┼▼", "a\nb", "\u200b"]


def row(key: str, status: str | None = None, label: str | None = None) -> NodeRow:
    return NodeRow(key, "t", label, status, True)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[NodeRow], list[PictureEdge]]:
    count = draw(st.integers(1, 14))
    labels = st.none() | st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    statuses = st.sampled_from([None, "completed", "failed", "running", "odd"])
    nodes = [row(f"n{index}", draw(statuses), draw(labels)) for index in range(count)]
    ends = st.integers(0, count - 1)
    pairs = draw(st.lists(st.tuples(ends, ends, st.booleans()), max_size=24))
    return nodes, [PictureEdge(f"n{a}", f"n{b}", undirected) for a, b, undirected in pairs]


def cells(picture: Picture) -> list[list[str]]:
    """One entry a cell; what is inside a box is blank, since names may hold anything."""
    inside: dict[int, list[Box]] = {}
    for box in picture.boxes:
        inside.setdefault(box.y + 1, []).append(box)
    grid: list[list[str]] = []
    for y, line in enumerate(picture.lines):
        at = 0
        out: list[str] = []
        for box in sorted(inside.get(y, ()), key=lambda box: box.x):
            while cell_len("".join(out)) < box.x + 1:
                out.append(line[at])
                at += 1
            rest = next(end for end in range(at, len(line) + 1) if cell_len(line[at:end]) >= box.width - 2)
            while rest < len(line) and cell_len(line[at : rest + 1]) == box.width - 2:
                rest += 1
            out += [" "] * (box.width - 2)
            at = rest
        grid.append(out + list(line[at:]))
    width = max(map(len, grid), default=0)
    return [line + [" "] * (width - len(line)) for line in grid]


def followed(picture: Picture) -> Counter[tuple[str, str, str]]:
    """Every edge of the picture, as (upper node, lower node, arrows at the ends), from each `┬` on downwards."""
    grid = cells(picture)
    edges: Counter[tuple[str, str, str]] = Counter()
    used: set[tuple[int, int]] = set()
    for box in picture.boxes:
        for x in range(box.x, box.x + box.width):
            if grid[box.y + 2][x] != "┬":
                continue
            y, at, heading, arrows = box.y + 2, x, "d", ""
            while True:
                y, at = y + STEP[heading][0], at + STEP[heading][1]
                here = grid[y][at]
                below = [b for b in picture.boxes if b.y == y and b.x < at < b.x + b.width - 1]
                if below:
                    assert heading == "d"
                    assert here == ("─" if arrows.endswith("▼") else "┴")
                    edges[box.key, below[0].key, arrows] += 1
                    break
                used.add((y, at))
                if here in "▲▼":
                    arrows += here
                assert BACK[heading] in ARMS[here], f"the line breaks at {y}, {at}"
                if here != "┼":
                    heading = ARMS[here].replace(BACK[heading], "")
    drawn = {(y, x) for y, line in enumerate(grid) for x, cell in enumerate(line) if cell != " "}
    frames = {(y, x) for b in picture.boxes for y in range(b.y, b.y + 3) for x in range(b.x, b.x + b.width)}
    assert drawn <= used | frames, "a line that belongs to no edge"
    return edges


def wanted(picture: Picture, edges: list[PictureEdge]) -> Counter[tuple[str, str, str]]:
    """What must be followed; of an undirected edge, the ends in alphabetical order."""
    up = Counter(picture.closing)
    fixed: Counter[tuple[str, str, str]] = Counter()
    for edge in edges:
        if edge.source == edge.target:
            continue
        if edge.undirected:
            fixed[min(edge.source, edge.target), max(edge.source, edge.target), ""] += 1
        elif up[edge]:
            up[edge] -= 1
            fixed[edge.target, edge.source, "▲"] += 1
        else:
            fixed[edge.source, edge.target, "▼"] += 1
    return fixed


def normal(found: Counter[tuple[str, str, str]]) -> Counter[tuple[str, str, str]]:
    out: Counter[tuple[str, str, str]] = Counter()
    for (upper, lower, arrows), number in found.items():
        key = (upper, lower, arrows) if arrows else (min(upper, lower), max(upper, lower), "")
        out[key] += number
    return out


K33 = [PictureEdge(a, b) for a in ("n0", "n1", "n2") for b in ("n3", "n4", "n5")]
RING = [PictureEdge("n0", "n1"), PictureEdge("n1", "n2"), PictureEdge("n2", "n0"), PictureEdge("n0", "n1")]


@settings(max_examples=150, deadline=None)
@given(graph=graphs(), width=st.integers(20, 120))
@example(graph=([row(f"n{i}") for i in range(6)], K33), width=80)
@example(graph=([row(f"n{i}") for i in range(3)], RING), width=80)
@example(graph=([row("n0", None, name) for name in ["日本語の名前"]], [PictureEdge("n0", "n0")]), width=20)
def test_every_edge_leads_from_its_source_to_its_target_and_there_is_no_other(
    graph: tuple[list[NodeRow], list[PictureEdge]], width: int
) -> None:
    nodes, edges = graph
    picture = draw_picture(nodes, edges, width)
    assert normal(followed(picture)) == wanted(picture, edges)
    assert draw_picture(nodes, edges, width) == picture  # the same graph is the same picture


@settings(max_examples=100, deadline=None)
@given(graph=graphs(), width=st.integers(20, 120), ascii_only=st.booleans())
def test_boxes_stand_apart_and_hold_the_names(
    graph: tuple[list[NodeRow], list[PictureEdge]], width: int, ascii_only: bool
) -> None:
    nodes, edges = graph
    picture = draw_picture(nodes, edges, width, ascii_only=ascii_only)
    assert sorted(box.key for box in picture.boxes) == sorted(node.key for node in nodes)
    for a in picture.boxes:
        for b in picture.boxes:
            apart = a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
            assert a is b or apart
    for line in picture.lines:
        assert safe(line) == line
        assert line.isascii() or not ascii_only
    for box in picture.boxes:
        assert box.x + box.width <= picture.width


@settings(max_examples=60, deadline=None)
@given(graph=graphs())
def test_a_turned_edge_closes_a_cycle(graph: tuple[list[NodeRow], list[PictureEdge]]) -> None:
    nodes, edges = graph
    picture = draw_picture(nodes, edges, 80)
    leaving: dict[str, set[str]] = {}
    for edge in edges:
        leaving.setdefault(edge.source, set()).add(edge.target)
    for edge in picture.closing:
        reached, waiting = {edge.target}, [edge.target]
        while waiting:
            for to in leaving.get(waiting.pop(), set()) - reached:
                reached.add(to)
                waiting.append(to)
        assert edge.source in reached
    assert len(closing_lines(picture, nodes, 40)) == len(picture.closing)


PIPELINE = """\
     ┌─────────┐
     │ ✓ build │
     └┬───────┬┘
      ▼       ▼
┌────────┐  ┌────────┐
│ ▶ test │  │ ✗ lint │
└────┬───┘  └────────┘
     ▼
 ┌──────┐
 │ ship │
 └──────┘"""


def test_a_small_pipeline() -> None:
    nodes = [row("build", "completed"), row("test", "running"), row("lint", "failed"), row("ship")]
    edges = [PictureEdge("build", "test"), PictureEdge("build", "lint"), PictureEdge("test", "ship")]
    assert list(draw_picture(nodes, edges, 60).lines) == PIPELINE.splitlines()


def test_in_ascii_it_is_the_same_picture() -> None:
    nodes, signs = [row(f"n{index}") for index in range(6)], str.maketrans(dict(zip("│─▼┬┴┼", "|-v+++", strict=True)))
    shown = draw_picture(nodes, [*K33, *RING], 60)
    corners = {"┌": "+.", "┐": "+.", "└": "+'", "┘": "+'"}
    for line, plain in zip(shown.lines, draw_picture(nodes, [*K33, *RING], 60, ascii_only=True).lines, strict=True):
        for cell, sign in zip(line, plain, strict=True):
            assert sign in corners.get(cell, cell.translate(signs).replace("▲", "^"))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_what_can_fit_fits(width: int) -> None:
    nodes = [row(f"a node with a rather long name {index}") for index in range(12)]
    edges = [PictureEdge(nodes[0].key, node.key) for node in nodes[1:]]
    assert draw_picture(nodes, edges, width).width <= width
    assert draw_picture(nodes, [], width).width <= width


@given(
    things=st.lists(st.tuples(st.integers(-20, 60), st.integers(1, 8)), max_size=8),
    gap=st.integers(0, 3),
    high=st.integers(0, 80),
)
def test_things_in_a_row_keep_their_order_and_their_gap(things: list[tuple[int, int]], gap: int, high: int) -> None:
    sizes = [size for _, size in things]
    places = spread([want for want, _ in things], sizes, gap, 0, high)
    for index in range(1, len(places)):
        assert places[index] >= places[index - 1] + sizes[index - 1] + gap
    if places:
        assert places[0] >= 0
        assert places[-1] + sizes[-1] <= max(high, sum(sizes) + gap * (len(sizes) - 1))
