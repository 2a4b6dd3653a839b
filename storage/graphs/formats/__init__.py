"""Files of other programs: graphology JSON, GraphML, DOT, Mermaid. Each is read and written without loss.

What a format has no place for (types, nested attributes) goes where its other readers pass over it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from storage.graphs.document import Document
from storage.graphs.formats import dot, graphml, graphology, mermaid


class Format(NamedTuple):
    """How a format is written and read; `read` raises FormatError."""

    write: Callable[[Document], str]
    read: Callable[[str], Document]


FORMATS: dict[str, Format] = {
    "json": Format(graphology.write, graphology.read),
    "graphml": Format(graphml.write, graphml.read),
    "dot": Format(dot.write, dot.read),
    "mermaid": Format(mermaid.write, mermaid.read),
}
