"""A Gantt chart for Mermaid, as Markdown renders it: one bar a call, failed ones critical, running ones active."""

from __future__ import annotations

import re

from app.views.calls import Call
from app.views.exports.trace import Trace
from app.views.text import clip, safe
from app.views.waterfall import GLYPHS

MOST_CALLS = 300
"""Mermaid refuses texts of more than 50 000 characters, and nobody reads longer charts."""
MOST_CELLS = 60
_TAGS = {"completed": "done", "failed": "crit", "aborted": "crit, done", "running": "active", "pending": "active"}
_PLAIN = re.compile(r"[A-Za-z0-9 ._/()…✓✗⊘▶└-]")


def escaped(text: str) -> str:
    """Text in which nothing means anything to Mermaid: whatever is not plain is a character entity.

    >>> escaped("a: b;")
    'a#58; b#59;'
    """
    return "".join(c if _PLAIN.match(c) else f"#{ord(c)};" for c in clip(safe(text), MOST_CELLS))


def render(trace: Trace) -> str:
    """The chart; of a session of more calls the first ones, and a comment says so."""
    calls = trace.tree.calls
    shown = min(len(calls), MOST_CALLS)
    lines = [
        "gantt",
        f"    title {escaped(trace.session.title) or 'session'}",
        "    dateFormat x",
        "    axisFormat %H:%M:%S",
    ]
    if shown < len(calls):
        lines.insert(1, f"    %% the first {shown} of {len(calls)} calls")
    if trace.tree.note:
        lines.insert(1, f"    %% {trace.tree.note}")
    lines += [_task(trace, position, call) for position, call in enumerate(calls[:shown])]
    return "\n".join(lines) + "\n"


def _task(trace: Trace, position: int, call: Call) -> str:
    start, end = (round(at) for at in trace.span_ms(position))
    indent = "└ " * min(trace.tree.depths[position], 5)
    name = f"{GLYPHS[call.status]} {indent}{escaped(call.operation_id) or 'call'}"
    return f"    {name} :{_TAGS[call.status]}, c{position}, {start}, {max(end, start + 1)}"
