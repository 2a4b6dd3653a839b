"""Changing a graph: nodes and edges, by operations that are recorded and checked like every call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from textual import work
from textual.binding import Binding, BindingType

from app.tui.form import FormScreen, problems_of
from app.tui.prompts import Ask, Choose, Confirm
from app.tui.view import View
from app.views.forms.form import Problem, schema_problems
from app.views.graphs.browse import Shown
from app.views.graphs.catalogue import EntryRow, GraphTypeRow, find_schema
from app.views.graphs.neighbourhood import Neighbourhood, read_neighbourhood
from app.views.graphs.nodes import Link, NodeRow, NoSuchNodeError, read_attributes, read_edge, read_node
from app.views.text import of
from storage.engine import EngineError, Snapshot
from sync.calls.errors import CallFailed

NAMED = 8
"""Edges that are named when they go with a node; of more, how many."""
KEPT_BY = {
    "call-graph": "calls are made by the log; what is changed here would be undone by a rebuild",
    "secret-graph": "secrets are changed by `spoke secret`, which encrypts them",
}


class GraphEditing(View):
    """The verbs of a graph that write. Subclasses say what is shown, and which node and edge are chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add_node", "add node", id="graph.add_node"),
        Binding("A", "add_edge", "add edge", id="graph.add_edge"),
        Binding("u", "edit_node", "edit node", show=False, id="graph.edit_node"),
        Binding("U", "edit_edge", "edit edge", show=False, id="graph.edit_edge"),
        Binding("d", "delete_node", "delete node", show=False, id="graph.delete_node"),
        Binding("D", "delete_edge", "delete edge", show=False, id="graph.delete_edge"),
    ]
    WRITES: ClassVar[frozenset[str]] = frozenset(
        {"add_node", "add_edge", "edit_node", "edit_edge", "delete_node", "delete_edge"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.shown: Shown | None = None
        """What was read last."""

    @property
    def key(self) -> str | None:
        """The chosen node."""
        raise NotImplementedError

    @property
    def link(self) -> Link | None:
        """The chosen edge."""
        raise NotImplementedError

    async def find_node(self, question: str) -> str | None:
        """Ask for a node."""
        raise NotImplementedError

    def went(self, key: str | None) -> None:
        """The chosen node is another now; None: it is gone."""
        raise NotImplementedError

    def unfold(self, key: str) -> None:
        """Show where the node leads to."""
        raise NotImplementedError

    # -- why not -------------------------------------------------------------------------------------------------------

    def _why_not(self) -> str | None:
        reason = self.spoke.why_not_operate()
        if reason is not None or self.shown is None:
            return reason or "the graph is not read yet"
        if self.shown.type is None:
            return "the type of this graph was deleted: it can be read, not written"
        return KEPT_BY.get(self.shown.type.name)

    def why_not_add_node(self) -> str | None:
        """The graph can be written."""
        return self._why_not()

    def why_not_edit_node(self) -> str | None:
        """There is a node."""
        return self._why_not() or (None if self.key is not None else "there is no node here")

    why_not_delete_node = why_not_edit_node

    def why_not_add_edge(self) -> str | None:
        """There is a node, and a type of edges."""
        reason = self.why_not_edit_node()
        return reason or (None if self._type.edge_types else "graphs of this type have no edges")

    def why_not_edit_edge(self) -> str | None:
        """There is an edge."""
        if self._why_not() is None and self.link is None:
            return "there is no edge here; n shows the edges of a node, tab changes sides"
        return self._why_not()

    why_not_delete_edge = why_not_edit_edge

    # -- nodes ---------------------------------------------------------------------------------------------------------

    @property
    def _type(self) -> GraphTypeRow:
        assert self.shown is not None
        assert self.shown.type is not None
        return self.shown.type

    @property
    def _graph_id(self) -> str:
        assert self.shown is not None
        return self.shown.graph.id

    @work
    async def action_add_node(self) -> None:
        """Its type, its key, its attributes."""
        node_type = await self._choose("a node of which type?", self._type.node_types)
        if node_type is None:
            return
        key = await self.app.push_screen_wait(Ask(f"key of the new {node_type}", check=_why_no_key))
        if key is None:
            return
        graph_id = self._graph_id
        try:
            await self.spoke.db.read(lambda snapshot: read_node(snapshot, graph_id, key))
        except NoSuchNodeError:
            value = {"graphId": graph_id, "type": node_type, "key": key}
            if await self._edit("node", node_type, f"new {node_type} {key}", {}, "graph.put_node", value):
                self.went(key)
        else:
            self.notify(f"there is a node {key} already: u edits it", severity="warning")
            self.went(key)

    @work
    async def action_edit_node(self) -> None:
        """Its attributes."""
        graph_id, key = self._graph_id, self.key
        assert key is not None

        def read(snapshot: Snapshot) -> tuple[NodeRow, dict[str, Any]]:
            return read_node(snapshot, graph_id, key), read_attributes(snapshot, graph_id, key)

        node, attributes = await self.spoke.db.read(read)
        if node.type is None:
            self.notify("this node has no type: nothing says what may be in it", severity="warning")
            return
        value = {"graphId": graph_id, "type": node.type, "key": key}
        await self._edit("node", node.type, f"{node.type} {key}", attributes, "graph.put_node", value)

    @work
    async def action_delete_node(self) -> None:
        """Say what goes, then delete."""
        graph_id, key = self._graph_id, self.key
        assert key is not None
        near = await self.spoke.db.read(lambda snapshot: read_neighbourhood(snapshot, graph_id, key))
        details = self._going(near)
        if await self.app.push_screen_wait(Confirm(f"delete the node {near.node.name}?", details)):
            gone = await self._operate("graph.delete_node", {"graphId": graph_id, "key": key})
            if gone is not None:
                self.notify(f"deleted: node {key} and {of(gone['edges'], 'edge')}")
                self.went(None)

    def _going(self, near: Neighbourhood) -> list[str]:
        arrow = "->" if self.spoke.ascii_only else "→"
        links = {link.edge_id: (near.node, link, link.node) for link in near.after.links}
        links |= {link.edge_id: (link.node, link, near.node) for link in near.before.links}
        number = len(links) + near.before.more + near.after.more
        named = [
            f"  {source.name} {arrow} {target.name}  {link.type or ''}"
            for source, link, target in list(links.values())[:NAMED]
        ]
        rest = [f"  and {of(number - len(named), 'more edge')}"] if number > len(named) else []
        return [f"with it {'goes' if number == 1 else 'go'} {of(number, 'edge')}:", *named, *rest] if number else []

    # -- edges ---------------------------------------------------------------------------------------------------------

    @work
    async def action_add_edge(self) -> None:
        """From the chosen node: its type, where to, its attributes."""
        graph_id, source = self._graph_id, self.key
        assert source is not None
        node = await self.spoke.db.read(lambda snapshot: read_node(snapshot, graph_id, source))
        fitting = [entry for entry in self._type.edge_types if not entry.sources or node.type in entry.sources]
        if not fitting:
            self.notify(f"no edge may lead away from a {node.type}", severity="warning")
            return
        edge_type = await self._choose(f"an edge of which type, from {node.name}?", fitting)
        target = edge_type and await self.find_node(f"{edge_type}: from {node.name} to which node? (key or name)")
        if edge_type and target:
            value = {"graphId": graph_id, "type": edge_type, "source": source, "target": target}
            title = f"{edge_type} from {source} to {target}"
            if await self._edit("edge", edge_type, title, {}, "graph.put_edge", value):
                self.unfold(source)  # else what was a root may have gone behind it

    @work
    async def action_edit_edge(self) -> None:
        """Its attributes."""
        link = self.link
        assert link is not None
        edge = await self.spoke.db.read(lambda snapshot: read_edge(snapshot, link.edge_id))
        if edge.type is None:
            self.notify("this edge has no type: nothing says what may be in it", severity="warning")
            return
        title = f"{edge.type} from {edge.source} to {edge.target}"
        fixed = {"edgeType": edge.type}
        await self._edit("edge", edge.type, title, edge.attributes, "edges.update", {"id": edge.id}, fixed)

    @work
    async def action_delete_edge(self) -> None:
        """Ask, then delete."""
        link = self.link
        assert link is not None
        edge = await self.spoke.db.read(lambda snapshot: read_edge(snapshot, link.edge_id))
        question = f"delete the edge {edge.type or ''} from {edge.source} to {edge.target}?"
        if await self.app.push_screen_wait(Confirm(question)):
            await self._operate("graph.delete_edge", {"id": edge.id})

    # -- how -----------------------------------------------------------------------------------------------------------

    async def _choose(self, question: str, entries: Sequence[EntryRow]) -> str | None:
        """One of the types; the only one without a question."""
        if len(entries) == 1:
            return entries[0].name
        options = [(entry.name, f"{entry.name}  {entry.description}".rstrip()) for entry in entries]
        return await self.app.push_screen_wait(Choose(question, options))

    async def _edit(
        self,
        kind: str,
        entry: str,
        title: str,
        attributes: dict[str, Any],
        operation: str,
        value: dict[str, Any],
        fixed: dict[str, Any] | None = None,
    ) -> bool:
        """Show the form of a type, and call the operation with what is in it; whether that was done.

        `fixed` are attributes that are not asked for. What is wrong is told at its field, and nothing was written.
        """
        graph_id = self._graph_id
        schema = await self.spoke.db.read(lambda snapshot: find_schema(snapshot, graph_id, kind, entry))

        async def submit(given: Any) -> Sequence[Problem]:
            problems = await asyncio.to_thread(schema_problems, schema, given)
            if problems:
                return problems
            try:
                await self.spoke.operate(operation, {**value, "attributes": {**given, **(fixed or {})}})
            except CallFailed as error:
                return problems_of(error)
            except EngineError as error:
                return [Problem((), str(error))]
            return ()

        return await self.app.push_screen_wait(FormScreen(title, schema, attributes, submit=submit)) is not None

    async def _operate(self, operation: str, value: dict[str, Any]) -> Any:
        try:
            return await self.spoke.operate(operation, value)
        except (CallFailed, EngineError) as error:
            self.notify(f"{error}; {error.hint}" if error.hint else str(error), severity="error")
            return None


def _why_no_key(key: str) -> str | None:
    return None if 1 <= len(key) <= 512 and key.isprintable() else "a key has 1 to 512 printable characters"
