"""Ranks and order of a layered picture: longest paths, cycles broken, medians. Pure and deterministic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of an edge between two neighbouring ranks. Slots are numbers of nodes, and beyond those of bends."""

    edge: int
    upper: int
    lower: int


@dataclass(frozen=True, slots=True)
class Layers:
    """Slots rank by rank from left to right, the steps below each rank, and the edges that lead up."""

    ranks: list[list[int]]
    steps: list[list[Step]]
    upward: frozenset[int]


Fits: TypeAlias = Callable[[Sequence[int], int], bool]
"""Whether nodes, and so many bends, have room in one rank."""


def layers(count: int, edges: Sequence[tuple[int, int]], fits: Fits, *, divided: bool) -> Layers:
    """Lay out nodes `0..count-1`; edges are `(source, target)`, loops are passed over.

    Where ranks may be `divided`, some nodes of one that does not fit move down. Nodes without edges stand below, in
    rows that fit. A single node fits always.
    """
    upward = _upward(count, edges)
    down = [(b, a) if index in upward else (a, b) for index, (a, b) in enumerate(edges)]
    rank = _ranks(count, down, fits if divided else None)
    joined = {end for a, b in down if a != b for end in (a, b)}
    rows: list[list[int]] = [[] for _ in range(max(rank, default=-1) + 1)]
    for node in range(count):
        if node in joined:
            rows[rank[node]].append(node)
    rows = [row for row in rows if row]
    steps: list[list[Step]] = [[] for _ in rows]
    level = {node: index for index, row in enumerate(rows) for node in row}
    slot = count
    for index, (upper, lower) in enumerate(down):
        if upper == lower:
            continue
        at = upper
        for row in range(level[upper] + 1, level[lower]):
            rows[row].append(slot)
            steps[row - 1].append(Step(index, at, slot))
            at, slot = slot, slot + 1
        steps[level[lower] - 1].append(Step(index, at, lower))
    _order(rows, steps)
    alone: list[int] = []
    for node in range(count):  # what no edge holds fills rows of its own
        if node not in joined:
            if alone and not fits([*alone, node], 0):
                rows.append(alone)
                alone = []
            alone.append(node)
    if alone:
        rows.append(alone)
    steps += [[] for _ in range(len(rows) - len(steps))]
    return Layers(rows, steps, upward)


def _upward(count: int, edges: Sequence[tuple[int, int]]) -> frozenset[int]:
    """The edges that close a cycle when one walks depth first; turned round, no cycle is left. Iterative."""
    leaving: list[list[int]] = [[] for _ in range(count)]
    entered = [False] * count
    for index, (source, target) in enumerate(edges):
        if source != target:
            leaving[source].append(index)
            entered[target] = True
    state = [0] * count  # 1: on the way, 2: done
    closing: set[int] = set()
    for start in sorted(range(count), key=lambda node: entered[node]):
        if state[start]:
            continue
        state[start] = 1
        stack = [(start, iter(leaving[start]))]
        while stack:
            node, rest = stack[-1]
            for index in rest:
                target = edges[index][1]
                if state[target] == 1:
                    closing.add(index)
                elif not state[target]:
                    state[target] = 1
                    stack.append((target, iter(leaving[target])))
                    break
            else:
                state[node] = 2
                stack.pop()
    return frozenset(closing)


def _ranks(count: int, down: Sequence[tuple[int, int]], fits: Fits | None) -> list[int]:
    """Longest paths from above; a rank that is too wide passes its last nodes on."""
    rank = [0] * count
    edges = [(a, b) for a, b in down if a != b]

    def settle() -> None:
        changed = True
        while changed:
            changed = False
            for upper, lower in edges:
                if rank[lower] <= rank[upper]:
                    rank[lower] = rank[upper] + 1
                    changed = True

    settle()
    joined = sorted({end for edge in edges for end in edge})
    row = 0
    while fits is not None and any(rank[node] >= row for node in joined):
        here = [node for node in joined if rank[node] == row]
        bends = sum(rank[a] < row < rank[b] for a, b in edges)
        # Those with nothing below them can go down most cheaply.
        here.sort(key=lambda node: (not any(a == node for a, _ in edges), node))
        while len(here) > 1 and not fits(here, bends):
            rank[here.pop()] = row + 1
            settle()
            bends = sum(rank[a] < row < rank[b] for a, b in edges)
        row += 1
    return rank


def _order(rows: list[list[int]], steps: list[list[Step]]) -> None:
    """Two passes, down and up: each slot goes to the median of what it is joined to. Stable, so ties stay."""
    above: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for between in steps:
        for step in between:
            above.setdefault(step.lower, []).append(step.upper)
            below.setdefault(step.upper, []).append(step.lower)
    for _ in range(2):
        for row, fixed, joined in [
            *zip(rows[1:], rows, [above] * len(rows), strict=False),
            *zip(rows[-2::-1], rows[:0:-1], [below] * len(rows), strict=False),
        ]:
            place = {slot: index for index, slot in enumerate(fixed)}
            own = {slot: index for index, slot in enumerate(row)}
            row.sort(key=lambda slot: _median([place[to] for to in joined.get(slot, ())], own[slot]))


def _median(places: list[int], otherwise: int) -> float:
    if not places:
        return otherwise
    places.sort()
    middle = len(places) // 2
    return places[middle] if len(places) % 2 else (places[middle - 1] + places[middle]) / 2
