"""One page for a browser: no scripts, nothing from elsewhere, every text escaped."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from typing import Any

from app.views.calls import Call
from app.views.exports.trace import Trace
from app.views.text import duration, of, safe
from app.views.waterfall import GLYPHS, critical_path

MOST_CHARACTERS = 4_000
"""Of an input, output or error; the JSON export has all of it."""
_STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:2rem;color:#111;background:#fff}
table{border-collapse:collapse;width:100%}td{padding:1px 6px;vertical-align:top}
.n{white-space:nowrap;width:1%}.d{text-align:right;white-space:nowrap;width:1%}
.b{position:relative}.b i{position:absolute;top:4px;height:12px;min-width:2px;background:#4a7ebb}
.failed .b i{background:#c0392b}.aborted .b i{background:#b9770e}.running .b i,.pending .b i{background:#95a5a6}
.critical .n{text-decoration:underline}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:2px 0}
@media(prefers-color-scheme:dark){body{color:#eee;background:#111}}
"""


def render(trace: Trace) -> str:
    """The page."""
    return "\n".join(_page(trace))


def _page(trace: Trace) -> Iterator[str]:
    session, tree = trace.session, trace.tree
    facts = [session.status, session.source, of(len(tree.calls), "call"), session.id, tree.note]
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">"""
    yield f"<title>{_escaped(session.title)}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{_escaped(session.title)}</h1>"
    yield f"<p>{_escaped(' · '.join(fact for fact in facts if fact))}</p>"
    yield "<p>Underlined: the calls that the end waited for.</p><table>" if tree.timed else "<table>"
    critical = critical_path(tree, trace.now_ms)
    for position, call in enumerate(tree.calls):
        yield from _row(trace, position, call, critical=call.request_id in critical)
    yield "</table>"
    if trace.messages:
        yield "<h2>Messages</h2>"
        for message in trace.messages:
            yield f"<h3>{_escaped(' · '.join(fact for fact in (message.role, message.agent, message.at) if fact))}</h3>"
            for _, kind, data in message.parts:
                yield f"<p>{_escaped(kind)}</p><pre>{_block(_plain(data))}</pre>"
    yield "</body></html>"


def _row(trace: Trace, position: int, call: Call, *, critical: bool) -> Iterator[str]:
    tree = trace.tree
    begin, length = tree.begin, max(tree.end(trace.now_ms) - tree.begin, 1e-6)
    start, end = tree.span(position, trace.now_ms)
    left, width = (start - begin) / length * 100, (end - start) / length * 100
    indent = f"padding-left:{min(tree.depths[position], 40)}em"
    yield f'<tr class="{call.status}{" critical" if critical else ""}">'
    yield f'<td class="n" style="{indent}"><details><summary>{GLYPHS[call.status]} {_escaped(call.operation_id)}'
    yield "</summary>"
    known = json.loads(trace.attributes[call.request_id])
    for name in ("requestId", "error", "input", "output"):
        if known.get(name) is not None:
            yield f"<b>{name}</b><pre>{_block(json.dumps(known[name], ensure_ascii=False, indent=1))}</pre>"
    took = duration(call.duration_ms if call.ended else end - start) + ("" if call.ended else "+")
    yield f'</details></td><td class="d">{took}</td>'
    yield f'<td class="b"><i style="left:{left:.3f}%;width:{width:.3f}%"></i></td></tr>'


def _plain(data: str) -> str:
    """A part's text, or its JSON."""
    found: Any = json.loads(data)
    return found["text"] if isinstance(found, dict) and isinstance(found.get("text"), str) else data


def _block(text: str) -> str:
    cut = f"\n… {len(text)} characters in all" if len(text) > MOST_CHARACTERS else ""
    return "\n".join(_escaped(line) for line in (text[:MOST_CHARACTERS] + cut).split("\n"))


def _escaped(text: str) -> str:
    """Safe for a page: no markup, no control characters, nothing that changes the direction of other text."""
    return html.escape(safe(text))
