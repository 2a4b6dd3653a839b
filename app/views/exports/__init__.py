"""A session in the formats of other programs. Pure: a `Trace` in, the text of a file out.

`docs/session-export.md` describes them; `tests/app/views/exports` holds their schemas.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.views.exports import chrome, document, mermaid, otlp, page
from app.views.exports.trace import Trace, read_trace


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write a session."""

    name: str
    suffix: str
    opens_in: str
    render: Callable[[Trace], str]


FORMATS: dict[str, Format] = {
    found.name: found
    for found in (
        Format("otlp", ".otlp.json", "OpenTelemetry tools: otel-tui, Jaeger, Grafana", otlp.render),
        Format("chrome", ".trace.json", "ui.perfetto.dev, chrome://tracing", chrome.render),
        Format("mermaid", ".mmd", "Mermaid: a Gantt chart in Markdown", mermaid.render),
        Format("json", ".json", "programs: everything that is known", document.render),
        Format("html", ".html", "any browser: one page, no scripts", page.render),
    )
}

__all__ = ["FORMATS", "Format", "Trace", "read_trace"]
