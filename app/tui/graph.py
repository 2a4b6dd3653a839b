"""A graph: outline, neighbourhood, picture; one node is chosen, whichever face is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app.tui.detail import Detail
from app.tui.graph_edit import GraphEditing
from app.tui.graph_faces import Canvas, Columns, Outline
from app.tui.lines.line_list import LineList
from app.tui.prompts import Ask, Choose
from app.views.graphs.browse import Face, Shown, Wish, fact_lines, read_shown, reveal
from app.views.graphs.catalogue import ENOUGH, graph_title
from app.views.graphs.neighbourhood import Neighbourhood
from app.views.graphs.nodes import PAGE, Link, next_failed, node_name, read_attributes, search
from app.views.graphs.outline import UNKNOWN, OutlineRow
from app.views.graphs.picture import closing_lines, draw_picture, next_box
from app.views.graphs.whole import TOO_LARGE, Whole
from app.views.text import safe

EMPTY = (
    "",
    "  This graph has no nodes yet.",
    "",
    "  Add one:   a   or   spoke graph put-node GRAPH TYPE KEY '{…}'",
)
FORMATS = {".json": "json", ".dot": "dot", ".mmd": "mermaid", ".graphml": "graphml"}


class GraphView(GraphEditing):
    """A graph in three faces."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "face('outline')", "outline", id="graph.outline"),
        Binding("n", "face('neighbourhood')", "neighbours", id="graph.neighbours"),
        Binding("v", "face('picture')", "picture", id="graph.picture"),
        Binding("h,left", "walk(-1)", "back along an edge, fold", show=False, id="graph.back"),
        Binding("l,right", "walk(1)", "along an edge, unfold", show=False, id="graph.along"),
        Binding("j,down", "step(1)", "down", show=False, id="graph.down"),
        Binding("k,up", "step(-1)", "up", show=False, id="graph.up"),
        Binding("backspace", "return", "back the way that was walked", show=False, id="graph.return"),
        Binding("i,enter", "inspect", "attributes", id="graph.inspect"),
        Binding("f", "find", "find", id="graph.find"),
        Binding("e", "failed(1)", "next failed", show=False, id="graph.next_error"),
        Binding("E", "failed(-1)", "previous failed", show=False, id="graph.previous_error"),
        Binding("r", "root", "outline from here, or from the roots", show=False, id="graph.root"),
        Binding("x", "edge_type", "edges of one type", show=False, id="graph.edge_type"),
        Binding("w", "export", "write to a file", show=False, id="graph.export"),
    ]

    def __init__(self, graph: str) -> None:
        super().__init__()
        self._graph = graph
        self._face: Face = "outline"
        self._key: str | None = None
        self._edge_type: str | None = None
        self._root: str | None = None
        self._opened: frozenset[str] | None = None
        self._limits: dict[str, int] = {}
        self._pages = 1
        self._trail: list[tuple[str, str]] = []
        self._land_on: str | None = None

    # -- showing -------------------------------------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        """The three faces, of which one is displayed."""
        yield Outline([self.spoke.plain(line) for line in EMPTY], ascii_only=self.spoke.ascii_only)
        yield Columns(ascii_only=self.spoke.ascii_only)
        yield Canvas(ascii_only=self.spoke.ascii_only)

    def on_mount(self) -> None:
        """Begin with the outline."""
        self._display()

    @property
    def outline(self) -> Outline:
        """The tree."""
        return self.query_one("#outline", Outline)

    @property
    def columns(self) -> Columns:
        """The three columns."""
        return self.query_one("#neighbourhood", Columns)

    @property
    def key(self) -> str | None:
        """The node that verbs are about."""
        row = self.outline.selected if self._face == "outline" else None
        return row.node.key if row is not None and row.path else self._key

    @property
    def link(self) -> Link | None:
        """The edge that verbs are about: the one under the cursor, in the outline the one that leads to the node."""
        if self._face == "outline":
            return None if self.outline.selected is None else self.outline.selected.link
        side = self.columns.focused_side if self._face == "neighbourhood" else None
        return None if side is None else side.selected

    def _display(self) -> None:
        self.outline.display = self._face == "outline"
        self.columns.display = self._face == "neighbourhood"
        self.query_one(Canvas).display = self._face == "picture"
        self.focus_list()

    def focus_list(self) -> None:
        """Give the keys to the face; a picture has no list, and its keys are the screen's."""
        if self._face == "outline":
            self.outline.focus()
        elif self._face == "picture":
            self.set_focus(None)
        elif self.columns.focused_side is None:
            self.columns.sides[1].focus()

    def _wish(self) -> Wish:
        limits, opened = dict(self._limits), self._opened
        return Wish(self._graph, self._face, self.key, self._edge_type, self._root, opened, limits, self._pages)

    async def load(self) -> None:
        """Read what the face shows, and show it, unless another face was asked for meanwhile."""
        wish = self._wish()
        shown = await self.spoke.db.read(lambda snapshot: read_shown(snapshot, wish))
        self.shown = shown
        if self._face != wish.face:
            return
        # What was read before a node was revealed does not have it: the cursor lands when the next round shows it
        # (test_graphs.py::test_finding_and_failed_nodes, on a busy machine).
        lands = (wish.root, wish.opened) == (self._root, self._opened)
        if self._opened is None and wish.face == "outline":
            self._opened = shown.opened
        if wish.face == "outline" or shown.key is None:
            self._show_outline(shown, lands=lands)
        elif wish.face == "neighbourhood":
            assert shown.near is not None
            self._show_neighbourhood(shown.near, shown)
        elif shown.whole is None:
            self.notify(TOO_LARGE)
            self.action_face("outline")
        else:
            self._show_picture(shown.whole)
        only = f"only {safe(self._edge_type)}" if self._edge_type is not None else ""
        begins = f"from {safe(self._root)}" if self._root is not None and self._face == "outline" else ""
        title = graph_title(shown.graph, *filter(None, (only, begins)), ascii_only=self.spoke.ascii_only, most=ENOUGH)
        self.set_title(title)

    def _show_outline(self, shown: Shown, *, lands: bool) -> None:
        rows = shown.rows
        if self.wanted:
            rows = tuple(row for row in rows if self.matches(f"{row.node.name} {row.node.key} {row.node.status}"))
        empty = [self.spoke.plain(line) for line in EMPTY]
        self.outline.show(rows, empty=("", "  Nothing that is open matches the filter.") if shown.rows else empty)
        if self._land_on is not None and lands:
            self.outline.put_on(self._land_on)
            self._land_on = None

    def _show_neighbourhood(self, near: Neighbourhood, shown: Shown) -> None:
        self._key = near.node.key
        if self._trail and self._trail[-1][0] == near.node.key:
            self._trail.pop()
        self._trail.append((near.node.key, near.node.name))
        lines = [safe(line, ascii_only=self.spoke.ascii_only) for line in fact_lines(near.node, shown.attributes)]
        self.columns.give(near, [name for _, name in self._trail], lines)

    def _show_picture(self, whole: Whole) -> None:
        width, ascii_only = self.size.width - 2, self.spoke.ascii_only
        if all(node.key != self._key for node in whole.nodes):
            self._key = whole.nodes[0].key if whole.nodes else None
        picture = draw_picture(whole.nodes, whole.edges, width, ascii_only=ascii_only, selected=self._key)
        notes = closing_lines(picture, whole.nodes, width, ascii_only=ascii_only)
        self.query_one(Canvas).give(picture, notes, self._key)

    # -- faces ---------------------------------------------------------------------------------------------------------

    def why_not_face(self) -> str | None:
        """Without nodes there is nothing to show but that."""
        return None if self.key is not None else "this graph has no nodes yet"

    def why_not_failed(self) -> str | None:
        """It must have been read: one that is gone or damaged has nothing to go to, find or write."""
        return None if self.shown is not None else "this graph cannot be shown"

    why_not_find = why_not_edge_type = why_not_export = why_not_failed

    def action_face(self, face: Face) -> None:
        """Show another face of the same node."""
        key = self.key
        if face != self._face:
            self._key, self._face, self._trail = key, face, []
            self._display()
            if face == "outline" and key is not None:
                self._reveal(key)
        self.spoke.reload()

    def _go_to(self, key: str) -> None:
        """Make a node the chosen one, in the face that is shown."""
        if self._face == "outline":
            if not self.outline.put_on(key):
                self._reveal(key)
            return
        known = [each for each, _ in self._trail]
        if key in known:  # walked back
            del self._trail[known.index(key) + 1 :]
        self._key = key
        self.spoke.reload()

    @work(exclusive=True, group="reveal")
    async def _reveal(self, key: str) -> None:
        wish = self._wish()
        graph_id = self.shown.graph.id if self.shown else self._graph
        found = await self.spoke.db.read(lambda snapshot: reveal(snapshot, graph_id, key, wish))
        self._root, self._opened, self._land_on = found.root, found.opened, key
        self.spoke.reload()

    def went(self, key: str | None) -> None:
        """After a change: go to the node; where it is gone, to the outline."""
        if key is not None:
            self._go_to(key)
            return
        self._key = None
        self.action_face("outline") if self._face == "neighbourhood" else self.spoke.reload()

    def unfold(self, key: str) -> None:
        """Open a node in the outline."""
        self._opened = (self._opened or frozenset()) | {key}
        self.spoke.reload()

    # -- moving --------------------------------------------------------------------------------------------------------

    def action_walk(self, step: int) -> None:
        """Fold and unfold, walk along edges, go from box to box."""
        if self._face == "outline":
            row = self.outline.selected
            if row is not None:
                (self._unfold if step > 0 else self._fold)(row)
        elif self._face == "picture":
            self._to_box(step, 0)
        else:
            here, there = self.columns.sides if step < 0 else self.columns.sides[::-1]
            if there.has_focus and here.rows:
                here.focus()
            elif here.selected is None:
                self.notify("nothing leads here" if step < 0 else "nothing leads on from here")
            else:
                self._go_to(here.selected.node.key)

    def _unfold(self, row: OutlineRow) -> None:
        if row.mark == "more":
            self._more(row)
        elif row.mark in ("see", "cycle"):
            self.outline.put_on(row.node.key)
        elif row.mark == "closed":
            self.unfold(row.node.key)
        elif row.mark == "open":
            self.outline.action_move(1)

    def _fold(self, row: OutlineRow) -> None:
        if row.mark == "open":
            self._opened = (self._opened or frozenset()) - {row.node.key}
            self.spoke.reload()
        elif len(row.path) > 1:
            self.outline.put_on(row.path[-2], path=row.path[:-1])

    def _more(self, row: OutlineRow) -> None:
        if row.more == UNKNOWN:
            self._pages += 1
        else:
            self._limits[row.node.key] = self._limits.get(row.node.key, PAGE) + 5 * PAGE
        self.spoke.reload()

    def action_step(self, step: int) -> None:
        """To the box below or above; lists move by themselves."""
        if self._face == "picture":
            self._to_box(0, step)

    def _to_box(self, across: int, down: int) -> None:
        picture = self.query_one(Canvas).picture
        if picture is not None and self._key is not None:
            self._go_to(next_box(picture, self._key, across, down))

    def action_return(self) -> None:
        """Back the way that was walked."""
        if self._face == "neighbourhood" and len(self._trail) > 1:
            self._go_to(self._trail[-2][0])
        else:
            self.notify("back: no edge was walked along")

    def on_line_list_chosen(self, message: LineList.Chosen) -> None:
        """Enter: attributes of a node of the outline; along the edge in the columns."""
        row = message.row
        if isinstance(row, Link):
            self._go_to(row.node.key)
        elif row.mark in ("more", "see", "cycle"):
            self._unfold(row)
        else:
            self.action_inspect()

    @work(exclusive=True, group="find")
    async def action_failed(self, step: int) -> None:
        """To the next or previous node that failed, in the order in which they were made."""
        assert self.shown is not None
        graph_id, key = self.shown.graph.id, self.key or ""
        found = await self.spoke.db.read(lambda s: next_failed(s, graph_id, key, back=step < 0))
        if found is None:
            self.notify("no failed node here")
        else:
            self._go_to(found)

    @work(exclusive=True, group="find")
    async def action_find(self) -> None:
        """Find a node by its key or name."""
        found = await self.find_node("find a node by its key or name")
        if found is not None:
            self._go_to(found)

    async def find_node(self, question: str) -> str | None:
        """Ask for a node; where several fit, for one of them."""
        assert self.shown is not None
        graph_id = self.shown.graph.id
        text = await self.app.push_screen_wait(Ask(question))
        if not text:
            return None
        found = await self.spoke.db.read(lambda snapshot: search(snapshot, graph_id, text))
        if not found:
            self.notify(f"no node is called {safe(text)}")
        if len(found) < 2 or found[0].key == text:
            return found[0].key if found else None
        ascii_only = self.spoke.ascii_only
        options = [(row.key, f"{node_name(row, ascii_only=ascii_only)}  {row.key}") for row in found]
        return await self.app.push_screen_wait(Choose("which one?", options))

    # -- other verbs ---------------------------------------------------------------------------------------------------

    def why_not_inspect(self) -> str | None:
        """There must be a node."""
        return self.why_not_face()

    @work(exclusive=True, group="find")
    async def action_inspect(self) -> None:
        """Read the attributes of the node."""
        assert self.shown is not None
        graph_id, key = self.shown.graph.id, self.key
        assert key is not None
        found = await self.spoke.db.read(lambda snapshot: read_attributes(snapshot, graph_id, key))
        self.app.push_screen(Detail(key, json.dumps(found, ensure_ascii=False, indent=2)))

    def action_root(self) -> None:
        """Begin the outline at this node, or at the roots again."""
        self._root = None if self._root is not None else self.key
        self._pages, self._land_on = 1, self.key
        if self._root is not None:
            self._opened = (self._opened or frozenset()) | {self._root}
        self.spoke.reload()

    def why_not_root(self) -> str | None:
        """Only outlines have roots."""
        return None if self._face == "outline" else "show the outline first: o"

    @work
    async def action_edge_type(self) -> None:
        """Show edges of one type alone, or of all."""
        assert self.shown is not None
        names = [entry.name for entry in self.shown.type.edge_types] if self.shown.type else []
        options = [("", "all edges"), *((name, name) for name in names)]
        chosen = await self.app.push_screen_wait(Choose("along which edges?", options, self._edge_type or ""))
        if chosen is not None:
            self._edge_type, self._opened, self._pages = chosen or None, None, 1
            self.spoke.reload()

    @work
    async def action_export(self) -> None:
        """Write the graph into a file of another program, by the ending of its name."""
        assert self.shown is not None
        graph_id = self.shown.graph.id
        question = f"write the graph to ({' '.join(FORMATS)})"
        chosen = await self.app.push_screen_wait(Ask(question, "graph.json", check=_why_not_a_file))
        if chosen is not None:
            await self.spoke.write_file(Path(chosen), lambda: self._document(graph_id, FORMATS[Path(chosen).suffix]))

    def _document(self, graph_id: str, form: str) -> str:
        from storage.graphs.document import read_document
        from storage.graphs.formats import FORMATS as WRITERS

        with self.spoke.db.snapshot() as snapshot:
            return WRITERS[form].write(read_document(snapshot, graph_id))

    def copy_text(self) -> str:
        """The node's key."""
        return self.key or ""


def _why_not_a_file(name: str) -> str | None:
    path = Path(name).expanduser()
    if path.suffix not in FORMATS:
        return f"the name must end in {' '.join(FORMATS)}"
    return "there is such a file already; choose another name" if path.exists() else None
