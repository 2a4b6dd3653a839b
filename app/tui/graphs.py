"""The list of graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType

from app.tui.detail import Detail
from app.tui.prompts import Ask, Choose
from app.tui.table_view import TableView
from app.views.graphs.catalogue import GraphRow, graph_columns, list_graphs, list_types, type_lines
from storage.engine import Snapshot
from sync.calls.errors import CallFailed

EMPTY = (
    "",
    "  No graphs yet. A graph is nodes and edges of types that you choose: tasks, rights, calls.",
    "",
    "  Begin one:         c   or   spoke graph create task-dependencies release",
    "  Import one:        spoke graph import release.dot --format dot --graph-type …",
    "  Record a session:  spoke record -- make test   (its calls are a graph)",
)


class GraphsView(TableView[GraphRow]):
    """Every graph, the newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "create", "create", id="graphs.create"),
        Binding("T", "types", "types of graph", id="graphs.types"),
    ]
    WRITES: ClassVar[frozenset[str]] = frozenset({"create"})
    noun: ClassVar[str] = "graph"
    empty: ClassVar[Sequence[str]] = EMPTY

    def __init__(self) -> None:
        super().__init__()
        self.columns = graph_columns(lambda at_ms: self.spoke.when(at_ms))

    def read(self, snapshot: Snapshot) -> Sequence[GraphRow]:
        """The graphs."""
        return list_graphs(snapshot)

    def key(self, row: GraphRow) -> object:
        """The graph's id."""
        return row.id

    def open(self, row: GraphRow) -> None:
        """The graph."""
        self.spoke.open_noun("graph", row.id)

    def why_not_create(self) -> str | None:
        """Somebody must execute operations."""
        return self.spoke.why_not_operate()

    @work
    async def action_create(self) -> None:
        """Begin a graph: its type, its name."""
        types = await self.spoke.db.read(list_types)
        options = [(row.name, f"{row.name}  {row.description}") for row in types]
        graph_type = await self.app.push_screen_wait(Choose("a graph of which type?", options))
        if graph_type is None:
            return
        named = Ask("its name", check=lambda name: None if name.strip() else "a graph has a name")
        name = await self.app.push_screen_wait(named)
        if name is None:
            return
        try:
            made = await self.spoke.operate("graph.create", {"type": graph_type, "name": name})
        except CallFailed as error:
            self.notify(str(error), severity="error")
        else:
            self.spoke.open_noun("graph", made["graphId"])

    @work
    async def action_types(self) -> None:
        """Read what kinds of graph there are."""
        types = await self.spoke.db.read(list_types)
        text = "\n\n".join("\n".join(type_lines(row, ascii_only=self.spoke.ascii_only)) for row in types)
        self.app.push_screen(Detail("types of graph", text))
