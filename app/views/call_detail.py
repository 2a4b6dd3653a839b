"""Everything about one call, as lines of a pane: envelope, error, input, output, the calls it hangs together with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from app.views.calls import Call
from app.views.text import clip, count, duration, safe, wrap
from app.views.waterfall import ASCII_GLYPHS, GLYPHS, CallTree
from storage.engine import Snapshot

MOST_CHARACTERS = 8_000
"""Of an input or an output; the whole text is a key away."""
MOST_LINKS = 50
LABEL = 9

SQL_DETAIL = """-- substr and length: a payload of megabytes never leaves SQLite as a whole
SELECT attributes -> '$.identity', attributes -> '$.error.details',
  substr(attributes -> '$.input', 1, ?3), length(attributes -> '$.input'),
  substr(attributes -> '$.output', 1, ?3), length(attributes -> '$.output')
FROM nodes WHERE graph_id = ?1 AND key = ?2"""

SQL_LINKS = """-- by idx_edges_source and idx_edges_target
SELECT attributes ->> '$.edgeType', target_node_key, 1 FROM edges
WHERE graph_id = ?1 AND source_node_key = ?2 AND attributes ->> '$.edgeType' IS NOT 'triggered'
UNION ALL SELECT attributes ->> '$.edgeType', source_node_key, 0 FROM edges
WHERE graph_id = ?1 AND target_node_key = ?2 AND attributes ->> '$.edgeType' IS NOT 'triggered' LIMIT ?3"""


@dataclass(frozen=True, slots=True)
class Payload:
    """A JSON text, or its beginning."""

    text: str
    length: int


@dataclass(frozen=True, slots=True)
class CallDetail:
    """What the rows of a waterfall leave out. `links` are edges beside the tree: kind, the other call, outgoing."""

    call: Call
    identity: str | None
    details: str | None
    """Of the error."""
    input: Payload | None
    output: Payload | None
    links: Sequence[tuple[str, str, bool]]


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the pane. `jump` is the request id of the call that it names."""

    text: str
    jump: str | None = None
    heading: bool = False


def read_detail(snapshot: Snapshot, graph_id: str, call: Call) -> CallDetail | None:
    """Read it; None when the call is gone. A payload of any size costs no more than SQLite's reading of it."""
    rows = snapshot.rows(SQL_DETAIL, (graph_id, call.request_id, MOST_CHARACTERS))
    if not rows:
        return None
    identity, details, asked, asked_length, answered, answered_length = rows[0]
    links = snapshot.rows(SQL_LINKS, (graph_id, call.request_id, MOST_LINKS))
    return CallDetail(
        call,
        identity,
        details,
        None if asked is None else Payload(asked, asked_length),
        None if answered is None else Payload(answered, answered_length),
        [(str(kind or "link"), str(other), bool(out)) for kind, other, out in links],
    )


def facts(
    detail: CallDetail, tree: CallTree, width: int, when: Callable[[float | None], str], *, ascii_only: bool = False
) -> list[Fact]:
    """The lines, each at most `width` cells and safe for a terminal. `when` writes a moment."""
    return list(_facts(detail, tree, max(20, width), when, ascii_only=ascii_only))


def _facts(
    detail: CallDetail, tree: CallTree, width: int, when: Callable[[float | None], str], *, ascii_only: bool
) -> Iterator[Fact]:
    call = detail.call
    position = tree.positions.get(call.request_id)

    def field(label: str, value: str, jump: str | None = None) -> Iterator[Fact]:
        lines = [piece for raw in value.split("\n") for piece in wrap(safe(raw, ascii_only=ascii_only), width - LABEL)]
        for number, line in enumerate(lines):
            yield Fact(f"{'' if number else label:{LABEL}}{line}".rstrip(), jump)

    dot = " - " if ascii_only else " · "
    began, took = when(call.started_ms), duration(call.duration_ms)
    state = [f"{(ASCII_GLYPHS if ascii_only else GLYPHS)[call.status]} {call.status}"]
    state += [f"took {took}"] if call.duration_ms is not None else []
    state += [f"began {began}"] if call.started_ms is not None else ["nobody knows when"]
    yield from field("call", call.operation_id)
    yield from field("state", dot.join(state))
    if call.error is not None:
        yield from field("error", call.error)
    if position is not None:
        if position in tree.attempts:
            yield from field("attempt", str(tree.attempts[position]))
        for above in tree.path(position)[:1]:
            yield from field("caller", tree.calls[above].operation_id, tree.calls[above].request_id)
    yield from field("id", call.request_id)
    if detail.identity is not None:
        yield from field("identity", detail.identity)
    given = detail.details
    details = Payload(given, len(given)) if given is not None else None
    for name, payload in (("details", details), ("input", detail.input), ("output", detail.output)):
        if payload is not None and payload.length + LABEL <= width and payload.text[:1] not in ("{", "["):
            yield from field(name, payload.text)
        elif payload is not None:
            yield from _payload(name, payload, width, ascii_only=ascii_only)
    if detail.links:
        yield Fact("links", heading=True)
        for kind, other, out in detail.links:
            arrow = ("->" if out else "<-") if ascii_only else ("→" if out else "←")
            known = tree.positions.get(other)
            name = other if known is None else tree.calls[known].operation_id
            for line in wrap(safe(f"{arrow} {kind} {name}", ascii_only=ascii_only), width - 2):
                yield Fact(f"  {line}", other if known is not None else None)


def _payload(name: str, payload: Payload, width: int, *, ascii_only: bool) -> Iterator[Fact]:
    cut = payload.length > len(payload.text)
    size = f"  {count(payload.length)} characters" if payload.length > 200 else ""
    yield Fact(clip(f"{name}{size}", width, ellipsis="~" if ascii_only else "…"), heading=True)
    text = payload.text if cut else _pretty(payload.text)
    for raw in text.replace("\\n", "\n").split("\n"):
        indent = " " * min(len(raw) - len(raw.lstrip(" ")), width // 2)
        for line in wrap(safe(raw.strip(" "), ascii_only=ascii_only), width - 2 - len(indent)):
            yield Fact(f"  {indent}{line}".rstrip())
    if cut:
        more = "~" if ascii_only else "…"
        yield Fact(clip(f"  {more} enter on the call: all of it", width, ellipsis=more))


def _pretty(text: str) -> str:
    """JSON with a line for each value."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
