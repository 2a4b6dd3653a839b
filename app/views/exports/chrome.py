"""Trace events as Chrome and Perfetto read them: complete events (`X`) on lanes.

Events of one lane must lie within each other or apart: calls that overlap get lanes of their own, and a call stays on
its caller's lane where it can.
"""

from __future__ import annotations

import heapq
from typing import Any

import msgspec

from app.views.calls import Call
from app.views.exports.trace import Trace
from app.views.waterfall.tree import ROOT

PROCESS = 1


def render(trace: Trace) -> str:
    """The document."""
    session = trace.session
    spans = [_micro(trace.span_ms(position)) for position in range(len(trace.tree.calls))]
    lanes = lanes_of(spans, list(trace.tree.parents))
    events: list[dict[str, Any]] = [
        _meta("process_name", 0, f"{session.title} ({session.id[:8]})"),
        *(_meta("thread_name", lane, f"lane {lane}") for lane in range(1, max(lanes, default=0) + 1)),
    ]
    events += [_event(trace, call, spans[position], lanes[position]) for position, call in enumerate(trace.tree.calls)]
    document = {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"sessionId": session.id, "status": session.status, "times": trace.tree.note or "known"},
    }
    return msgspec.json.encode(document).decode()


def _meta(name: str, lane: int, text: str) -> dict[str, Any]:
    return {"ph": "M", "pid": PROCESS, "tid": lane, "name": name, "args": {"name": text}}


def _event(trace: Trace, call: Call, span: tuple[int, int], lane: int) -> dict[str, Any]:
    args = {"requestId": call.request_id, "status": call.status}
    if call.error is not None:
        args["error"] = call.error
    event: dict[str, Any] = {
        "ph": "X",
        "pid": PROCESS,
        "tid": lane,
        "name": call.operation_id,
        "cat": call.status,
        "ts": span[0],
        "dur": span[1] - span[0],
        "args": args,
    }
    if call.status == "failed":
        event["cname"] = "terrible"
    return event


def _micro(span: tuple[float, float]) -> tuple[int, int]:
    start, end = (round(at * 1000) for at in span)
    return start, max(start, end)


def lanes_of(spans: list[tuple[int, int]], parents: list[int]) -> list[int]:
    """A lane from 1 for each span, so that spans of one lane are nested or apart.

    The time is that of sorting: a span looks at its caller's lane and at the lane that has been free the longest.
    """
    lanes = [0] * len(spans)
    open_until: list[list[int]] = [[]]  # of each lane, the ends of the spans that are open, the innermost last
    free: list[tuple[int, int]] = []  # (since when, lane) of lanes on which nothing may be open any more
    for position in sorted(range(len(spans)), key=lambda p: (spans[p][0], -spans[p][1], p)):
        start, end = spans[position]
        lane = lanes[parents[position]] if parents[position] != ROOT else 0
        if lane == 0 or not _fits(open_until[lane], start, end):
            lane = _free_lane(open_until, free, start)
        if not open_until[lane]:
            heapq.heappush(free, (end, lane))
        open_until[lane].append(end)
        lanes[position] = lane
    return lanes


def _fits(ends: list[int], start: int, end: int) -> bool:
    while ends and ends[-1] <= start:
        ends.pop()
    return not ends or end <= ends[-1]


def _free_lane(open_until: list[list[int]], free: list[tuple[int, int]], start: int) -> int:
    while free and free[0][0] <= start:
        _, lane = heapq.heappop(free)
        if _fits(open_until[lane], start, start) and not open_until[lane]:
            return lane
        if open_until[lane]:
            heapq.heappush(free, (open_until[lane][0], lane))
    open_until.append([])
    return len(open_until) - 1
