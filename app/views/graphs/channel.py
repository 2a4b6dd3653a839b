"""The lines between two ranks of a picture: each edge goes down, across on a track, and down. Pure.

Lines of different edges never share a cell but where they cross at right angles: so an edge can be followed by eye.
Columns at the top belong to one line each, so do those at the bottom; where one line's top column is another's bottom
column, the first must turn off above the second. Lines that wait for each other in a ring (two that change sides) are
opened by one that turns twice, over a column of its own.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wire:
    """From a column at the top to one at the bottom; `turns` are `(track, column)` after which it goes on there."""

    top: int
    bottom: int
    turns: tuple[tuple[int, int], ...]


def route(ends: Sequence[tuple[int, int]]) -> tuple[list[Wire], int]:
    """Wires for `(top, bottom)` columns, and the number of tracks. Tops must differ, so must bottoms."""
    used = {column for pair in ends for column in pair}
    by_top = {top: index for index, (top, bottom) in enumerate(ends) if top != bottom}
    legs: list[list[tuple[int, int]]] = [[] if top == bottom else [(top, bottom)] for top, bottom in ends]
    for ring in _rings(ends, by_top):
        top, bottom = ends[ring]
        spare = next(
            column
            for distance in range(1, len(used) + 2)
            for column in (max(top, bottom) - distance, max(top, bottom) + distance)
            if column not in used and column >= 0
        )
        used.add(spare)
        legs[ring] = [(top, spare), (spare, bottom)]
    tracks = _tracks([leg for of_wire in legs for leg in of_wire], {top for top, _ in ends})
    wires = []
    for (top, bottom), of_wire in zip(ends, legs, strict=True):
        wires.append(Wire(top, bottom, tuple((tracks[leg], leg[1]) for leg in of_wire)))
    return wires, max(tracks.values(), default=-1) + 1


def _rings(ends: Sequence[tuple[int, int]], by_top: dict[int, int]) -> list[int]:
    """One wire of each ring. A wire waits for the one whose top column is its bottom column: at most for one."""
    found: list[int] = []
    done: set[int] = set()
    for start in range(len(ends)):
        chain: list[int] = []
        at: int | None = start
        while at is not None and at not in done:
            done.add(at)
            chain.append(at)
            at = by_top.get(ends[at][1]) if ends[at][0] != ends[at][1] else None
        if at is not None and at in chain:
            found.append(at)
    return found


def _tracks(legs: Sequence[tuple[int, int]], tops: Set[int]) -> dict[tuple[int, int], int]:
    """The track of each leg: below that of the leg that must turn off first, beside none that is in its way.

    A second leg begins on a column of its own, for which nobody waits.
    """
    by_top = {leg[0]: leg for leg in legs if leg[0] in tops}
    tracks: dict[tuple[int, int], int] = {}
    taken: list[list[tuple[int, int]]] = []
    for leg in sorted(legs, key=lambda leg: (abs(leg[0] - leg[1]), leg)):
        chain = [leg]
        while (first := by_top.get(chain[-1][1])) is not None:
            chain.append(first)  # what comes down in our bottom column turns off above us
        for each in reversed(chain):
            if each in tracks:
                continue
            first = by_top.get(each[1])
            track = tracks[first] + 1 if first is not None else 0
            low, high = sorted(each)
            while track < len(taken) and any(low <= end + 1 and start - 1 <= high for start, end in taken[track]):
                track += 1
            while len(taken) <= track:
                taken.append([])
            taken[track].append((low, high))
            tracks[each] = track
    return tracks
