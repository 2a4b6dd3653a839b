"""One session: the waterfall of its calls, what was said in it, and everything about the call under the cursor."""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from app.tui.detail import Detail
from app.tui.lines.line_list import LineList
from app.tui.pause import Pause
from app.tui.prompts import Ask, Choose
from app.tui.session_lists import NO_CALLS, NO_MESSAGES, Calls, Pane, Said
from app.tui.session_read import Loaded, searched
from app.tui.view import View
from app.views.call_detail import Fact, facts, read_detail
from app.views.calls import Call, CallReader, call_attributes
from app.views.filter import Filter
from app.views.messages import Line, conversation, read_messages
from app.views.report import state_line
from app.views.sessions import read_session
from app.views.waterfall import (
    CallTree,
    Row,
    Window,
    call_tree,
    centred,
    critical_path,
    fall_of,
    matching,
    zoomed,
)
from storage.engine import Snapshot

GROW_S = 1.0
"""Bars of running calls grow once a second; nothing is painted while nothing runs."""
ZOOM = 2.0
WIDE = 120
NO_MATCH = ("", "  No call matches the filter. Esc clears it.")


class SessionView(View):
    """A row a call: state, tree and name, duration, bar; or the conversation. Beside it, if wanted, one call."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "fold", "fold", id="session.fold"),
        Binding("e", "error(1)", "next failed", id="session.next_error"),
        Binding("m", "messages", "messages", id="session.messages"),
        Binding("d", "pane", "details", id="session.pane"),
        Binding("c", "critical", "critical path", show=False, id="session.critical"),
        Binding("plus,equals_sign", "zoom_in", "zoom in", show=False, id="session.zoom_in"),
        Binding("minus", "zoom_out", "zoom out, then the previous view", show=False, id="session.zoom_out"),
        Binding("0", "zoom_all", "all of the time", show=False, id="session.zoom_all"),
        Binding("E", "error(-1)", "previous failed", show=False, id="session.previous_error"),
        Binding("left,h", "shut", "fold, or go to the caller", show=False, id="session.shut"),
        Binding("right,l", "unfold", "unfold, or go into it", show=False, id="session.unfold"),
        Binding("z", "fold_all", "unfold all, or fold all", show=False, id="session.fold_all"),
        Binding("p", "pause", "pause the list", show=False, id="session.pause"),
        Binding("x", "tail", "follow the newest call", show=False, id="session.tail"),
        Binding("w", "export", "write to a file", show=False, id="session.export"),
        Binding("Y", "copy_json", "copy the call as JSON", show=False, id="session.copy_json"),
    ]
    DEFAULT_CSS = """
    SessionView #split { layout: vertical; height: 1fr; }
    SessionView #pane { display: none; height: 45%; border-top: solid $primary; }
    SessionView #said { display: none; }
    SessionView.-wide #split { layout: horizontal; }
    SessionView.-wide #pane { width: 42%; height: 1fr; border-top: none; border-left: solid $primary; }
    SessionView.-narrow #pane.-maximised, SessionView.-wide #pane.-maximised { width: 100%; height: 100%; }
    SessionView.-ascii #pane { border-top: ascii $primary; }
    SessionView.-ascii.-wide #pane { border-top: none; border-left: ascii $primary; }
    """
    FIELDS = ("op", "state", "took", "error", "id")

    def __init__(self, session_id: str) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]
        self._session_id = session_id
        self._reader = CallReader(session_id)
        self._loaded: Loaded | None = None
        self._folded: frozenset[str] = frozenset()
        self._window: Window | None = None
        self._talking = self._detailed = self._critical = self._tailing = False
        self._go_to_call: str | None = None
        self._pause = Pause()

    # -- what is shown -------------------------------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        """Calls or messages, and the pane."""
        with Container(id="split"):
            yield Calls(ascii_only=self.spoke.ascii_only)
            yield Said()
            yield Pane()

    def on_mount(self) -> None:
        """Begin to let bars grow."""
        self.set_class(self.spoke.ascii_only, "-ascii")
        self.set_interval(GROW_S, self._grow)

    def _grow(self) -> None:
        if self.is_current and self._loaded is not None and self._loaded.tree.open and not self._talking:
            self._present()

    @property
    def shown(self) -> bool:
        """Whether it was read already."""
        return self._loaded is not None

    @property
    def calls(self) -> Calls:
        """The waterfall."""
        return self.query_one(Calls)

    @property
    def said(self) -> Said:
        """The conversation."""
        return self.query_one(Said)

    @property
    def _list(self) -> LineList[Row] | LineList[tuple[int, Line]]:
        return self.said if self._talking else self.calls

    async def load(self) -> None:
        """Read what changed, lay it out on the reader thread, show it."""
        width = self._list.text_width
        pane = max(20, (self.query_one(Pane).size.width or self.size.width) - 2)
        wanted, call, now_ms, held = self.wanted, self.calls.call, self.spoke.now_ms(), self._pause.held
        self._loaded = await self.spoke.db.read(
            lambda snapshot: self._read(snapshot, wanted, call, now_ms, width, pane, held=held)
        )
        self._pause.new = self._loaded.new
        self._present()

    def _read(
        self, snapshot: Snapshot, wanted: Filter, call: Call | None, now_ms: int, width: int, pane: int, *, held: bool
    ) -> Loaded:
        before, ascii_only = self._loaded, self.spoke.ascii_only
        session, changed = read_session(snapshot, self._session_id), self._reader.read(snapshot) is not None
        calls: Sequence[Call] = self._reader.calls
        if held and before is not None:  # what is known goes on, no row is put between
            calls = [call for call in calls if call.request_id in before.tree.positions]
        if before is not None and not changed and len(calls) == len(before.tree.calls):
            found = Loaded(session, before.tree, before.newest)
        else:
            found = Loaded(session, call_tree(list(calls)), calls[-1].request_id if calls else None)
        found.new = len(self._reader.calls) - len(calls)
        tree = found.tree
        if wanted and not self._talking:
            found.base = matching(tree, lambda one: wanted.matches(*searched(one, wanted)))
        if self._critical:
            found.critical = critical_path(tree, now_ms)
        if self._talking:
            messages = read_messages(snapshot, self._session_id, self._reader.calls)
            by_id = {one.request_id: one for one in tree.calls}
            lines = conversation(messages, by_id, width, ascii_only=ascii_only)
            if wanted:
                kept = {line.message_id for line in lines if wanted.matches(line.text, dict.fromkeys(self.FIELDS))}
                lines = [line for line in lines if line.message_id in kept]
            found.messages, found.lines = {message.id: message for message in messages}, lines
        if self._detailed and call is not None:
            detail = read_detail(snapshot, self._session_id, tree.calls[tree.positions[call.request_id]])
            if detail is not None:
                found.facts = facts(detail, tree, pane, self.spoke.when, ascii_only=ascii_only)
        return found

    def _present(self) -> None:
        """Show what was read, as it is folded and zoomed now: no database, no look at every call."""
        loaded = self._loaded
        if loaded is None:
            return
        now_ms, tree = self.spoke.now_ms(), loaded.tree
        fall = fall_of(tree, now_ms, self._folded, base=loaded.base, window=self._window, critical=loaded.critical)
        calls = self.calls
        calls.corner = self._corner(loaded)
        calls.show_fall(fall, empty=NO_MATCH if tree.calls and self.filter_text else NO_CALLS)
        goal = self._go_to_call or (loaded.newest if self._tailing and not self._pause.held else None)
        if goal is not None and goal in tree.positions:
            self._reveal(tree.positions[goal])
        self._go_to_call = None
        if self._talking:
            self.said.show_lines(loaded.lines, empty=NO_MATCH if self.filter_text else NO_MESSAGES)
        if self._detailed:
            self.query_one(Pane).show_facts(loaded.facts)
        self.set_title(state_line(loaded.session, tree).removeprefix("session "))

    def _corner(self, loaded: Loaded) -> str:
        """Above the names: what is on, else what the session is called."""
        modes = {
            self._pause.words(): bool(self._pause.words()),
            "zoomed": self._window is not None,
            "following": self._tailing and not self._pause.held,
            "* critical path": self._critical,
        }
        return ", ".join(mode for mode, on in modes.items() if on) or loaded.session.title

    @property
    def _tree(self) -> CallTree:
        return self.calls.fall.tree

    # -- folds ---------------------------------------------------------------------------------------------------------

    def why_not_fold(self) -> str | None:
        """Only what has something below it."""
        if self._talking:
            return "m shows the calls"
        return None if self.calls.selected and self.calls.selected.children else "this call made no calls"

    def action_fold(self) -> None:
        """Fold or unfold the call under the cursor."""
        if self.calls.call is not None:
            self._fold(self._folded ^ {self.calls.call.request_id})

    def _fold(self, folded: frozenset[str]) -> None:
        self._folded = folded
        self._present()

    def action_shut(self) -> None:
        """Fold, or go to the caller."""
        row = self.calls.selected
        if row is None:
            return
        if row.children and not row.hidden:
            self._fold(self._folded | {row.call.request_id})
        elif row.depth:
            self.calls.go_to(self._tree.parents[row.position])

    def action_unfold(self) -> None:
        """Unfold, or go into it."""
        row = self.calls.selected
        if row is not None and row.hidden:
            self._fold(self._folded - {row.call.request_id})
        elif row is not None and row.children:
            self.calls.go_to(row.position + 1)

    def action_fold_all(self) -> None:
        """Unfold everything; when nothing is folded, fold all below the first calls."""
        tree = self._tree
        roots = (p for p in range(len(tree.calls)) if tree.depths[p] == 0 and tree.sizes[p] > 1)
        self._fold(frozenset() if self._folded else frozenset(tree.calls[p].request_id for p in roots))

    def _reveal(self, position: int) -> None:
        """Unfold what hides a call and put the cursor on it."""
        tree = self._tree
        hiding = self._folded & {tree.calls[above].request_id for above in tree.path(position)}
        if hiding:
            self._folded -= hiding
            self.calls.show_fall(
                fall_of(
                    tree,
                    self.spoke.now_ms(),
                    self._folded,
                    base=self._loaded.base if self._loaded else None,
                    window=self._window,
                    critical=self._loaded.critical if self._loaded else frozenset(),
                )
            )
        self.calls.go_to(position)

    # -- time ----------------------------------------------------------------------------------------------------------

    def why_not_zoom_in(self) -> str | None:
        """Where there is an axis."""
        return "m shows the calls" if self._talking else None if self.calls.selected else "there are no calls here"

    def action_zoom_in(self) -> None:
        """Half as much time, the call under the cursor in the middle."""
        self._zoom(1 / ZOOM)

    def action_zoom_out(self) -> None:
        """Twice as much time; when all of it is shown, the view before this one, as everywhere."""
        if self._window is None:
            self.spoke.action_previous()
        else:
            self._zoom(ZOOM)

    def action_zoom_all(self) -> None:
        """All of the time."""
        self._window = None
        self._present()

    def _zoom(self, factor: float) -> None:
        position = self.calls.position
        if position is not None:
            self._window = zoomed(self._tree, self._window, position, factor, self.spoke.now_ms())
            self._present()

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        """The window goes with the cursor, and so does the pane."""
        if not isinstance(message.row, Row):
            return
        if self._window is not None:
            window = centred(self._tree, self._window, message.row.position, self.spoke.now_ms())
            if window != self._window:
                self._window = window
                self._present()
        if self._detailed:
            self.spoke.reload()

    # -- what else -----------------------------------------------------------------------------------------------------

    def why_not_critical(self) -> str | None:
        """An order without times says nothing of waiting."""
        return self._tree.note or None

    def action_critical(self) -> None:
        """Mark the calls that the end waited for, or stop doing so."""
        self._critical = not self._critical
        self.spoke.reload()

    def action_error(self, step: int) -> None:
        """Jump to the next or previous failed call, around the end, also into what is folded."""
        if self._talking:
            self._next_failed_line(step)
            return
        tree, here = self._tree, self.calls.position
        base = self._loaded.base if self._loaded is not None else None
        failed: Sequence[int] = tree.failed if base is None else sorted(set(tree.failed) & set(base))
        if not failed or here is None:
            self.notify("no failed call here")
            return
        at = bisect_right(failed, here) if step > 0 else bisect_left(failed, here) - 1
        self._tailing = False
        self._reveal(failed[at % len(failed)])

    def _next_failed_line(self, step: int) -> None:
        failed = [number for number, (_, line) in enumerate(self.said.rows) if line.failed and line.kind == "tool"]
        if not failed:
            self.notify("no failed tool here")
            return
        ahead = [number for number in failed if (number - self.said.cursor) * step > 0]
        self.said.move_to((ahead or failed)[0 if step > 0 else -1])

    @work
    async def action_messages(self) -> None:
        """What was said, or the calls; from a call to where it was asked for, and back."""
        before = self.calls.call
        line = self.said.selected
        self._talking = not self._talking
        self.said.display, self.calls.display = self._talking, not self._talking
        self._list.focus()
        if not self._talking and line is not None:
            self._go_to_call = line[1].call_id
        laid_out = asyncio.Event()
        self.call_after_refresh(laid_out.set)
        await laid_out.wait()  # what was said is wrapped to the width of its list, which has none before
        await self.reload()
        if self._talking and before is not None:
            self.said.go_to(lambda one: one.call_id == before.request_id)

    def action_pane(self) -> None:
        """Show or hide everything about the call under the cursor; new calls wait until it is hidden."""
        self._detailed = not self._detailed
        self._pause.read(self._detailed)
        self.query_one(Pane).display = self._detailed
        self._list.focus()
        self.call_after_refresh(self.spoke.reload)

    def why_not_tail(self) -> str | None:
        """Only what goes on can be followed."""
        ended = self._loaded is not None and self._loaded.session.status != "active"
        return "the session has ended" if ended and not self._tailing else None

    def action_tail(self) -> None:
        """Keep the cursor on the newest call, whoever held the list, or stop doing so."""
        self._tailing = not self._tailing
        if self._tailing:
            self._pause.go_on()
        self.spoke.reload()

    def action_pause(self) -> None:
        """Hold new calls back, or let them come, also beside what is read."""
        self._pause.toggle()
        self.spoke.reload()

    @work
    async def on_line_list_chosen(self, message: LineList.Chosen) -> None:
        """Everything about a call; all of a message; the call that a line of the pane names."""
        match message.row:
            case Row(call=call):
                text = await self._call_json(call)
                self.app.push_screen(Detail(f"{call.operation_id}  {call.status}", text))
            case (int(), Line(message_id=message_id)):
                said = self._loaded.messages[message_id] if self._loaded is not None else None
                if said is not None:
                    text = "\n\n".join(part.text for part in said.parts)
                    self.app.push_screen(Detail(f"{said.role} {said.agent or ''}".strip(), text))
            case (int(), Fact(jump=str(jump))) if jump in self._tree.positions:
                self._reveal(self._tree.positions[jump])

    async def _call_json(self, call: Call) -> str:
        def read(snapshot: Snapshot) -> str:
            return json.dumps(
                call_attributes(snapshot, self._session_id, call.request_id), ensure_ascii=False, indent=2
            )

        return await self.spoke.db.read(read)

    def copy_text(self) -> str:
        """The request id, or the message."""
        if self._talking:
            line = self.said.selected
            found = self._loaded.messages.get(line[1].message_id) if line and self._loaded else None
            return "" if found is None else "\n\n".join(part.text for part in found.parts)
        return "" if self.calls.call is None else self.calls.call.request_id

    @work
    async def action_copy_json(self) -> None:
        """Copy everything about the call."""
        call = self.calls.call
        self.spoke.copy("" if call is None else await self._call_json(call))

    @work
    async def action_export(self) -> None:
        """Write the session in a format of other programs."""
        from app.views.exports import FORMATS, read_trace

        options = [(one.name, f"{one.name:8} {one.opens_in}") for one in FORMATS.values()]
        name = await self.app.push_screen_wait(Choose("write the session as", options))
        if name is None:
            return
        form = FORMATS[name]
        suggested = f"session-{self._session_id[:8]}{form.suffix}"
        chosen = await self.app.push_screen_wait(Ask("to the file", suggested, check=_why_not_there))
        if chosen is None:
            return

        def make() -> str:
            with self.spoke.db.snapshot() as snapshot:
                return form.render(read_trace(snapshot, self._session_id, self.spoke.now_ms()))

        await self.spoke.write_file(Path(chosen), make)


def _why_not_there(name: str) -> str | None:
    return "there is such a file already; choose another name" if Path(name).expanduser().exists() else None
