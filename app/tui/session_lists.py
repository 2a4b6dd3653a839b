"""The three lists of the session screen: calls, what was said, everything about one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region

from app.tui.lines.line_list import LineList
from app.tui.style import call_style, said_style
from app.views.call_detail import Fact
from app.views.calls import Call
from app.views.messages import Line
from app.views.waterfall import Row, Waterfall, call_tree, fall_of, header, name_width, render_row

if TYPE_CHECKING:
    from app.tui.app import SpokeApp

NO_CALLS = (
    "",
    "  This session has no calls yet. A call is something that was executed:",
    "  an operation, a command, a tool of an agent.",
    "",
    "  Record one into it:   SPOKE_SESSION_ID=… spoke record -- make test",
)
NO_MESSAGES = (
    "",
    "  Nothing was said in this session: only those of agents have messages.",
    "  Its calls are a key away: m.",
    "",
    "  Import some:   spoke import claude-code",
)
NOTHING = fall_of(call_tree(()), 0.0)
HEADING = Style(bold=True)
JUMP = Style(underline=True)


class Calls(LineList[Row]):
    """The rows of a waterfall under its axis."""

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(self._line, lambda row: row.call.request_id, NO_CALLS, call_style, id="calls")
        self._ascii_only = ascii_only
        self._axis: str | None = None
        self.fall = NOTHING
        self.corner = ""
        """What stands above the names."""

    @property
    def call(self) -> Call | None:
        """The call under the cursor."""
        return None if self.selected is None else self.selected.call

    @property
    def position(self) -> int | None:
        """Its place in the tree."""
        return None if self.selected is None else self.selected.position

    def show_fall(self, fall: Waterfall, *, empty: Sequence[str] = NO_CALLS) -> None:
        """Show these rows; the cursor stays on its call, or goes to the caller that hides it."""
        self.fall = fall
        self.show(fall.rows, empty=empty)
        axis = self.header_line(self.size.width - 1)
        if axis != self._axis:
            self._axis = axis
            self.refresh(Region(0, 0, self.size.width, 1))

    def go_to(self, position: int) -> None:
        """Put the cursor on a call of the tree, or on the caller that hides it."""
        self.move_to(self.fall.rows.index_of(position))

    def header_line(self, width: int) -> str | None:
        """The axis."""
        if not len(self.fall.rows):
            return None
        names = name_width(self.fall, width)
        return header(self.fall, names, width, self.corner, ascii_only=self._ascii_only)

    def _line(self, row: Row, width: int) -> str:
        return render_row(row, self.fall, name_width(self.fall, width), width, ascii_only=self._ascii_only)

    def _position_of(self, row: Row, rows: Sequence[Row]) -> int:
        """Where a call is now: by its place in the tree, without a look at the other rows."""
        position = self.fall.tree.positions.get(row.call.request_id)
        return self.cursor if position is None else self.fall.rows.index_of(position)


class Said(LineList[tuple[int, Line]]):
    """A conversation, line by line."""

    def __init__(self) -> None:
        super().__init__(
            lambda row, _: row[1].text, lambda row: row[0], NO_MESSAGES, lambda row: said_style(row[1]), id="said"
        )

    def show_lines(self, lines: Sequence[Line], *, empty: Sequence[str] = NO_MESSAGES) -> None:
        """Show these lines."""
        self.show(list(enumerate(lines)), empty=empty)

    def go_to(self, wanted: Callable[[Line], bool]) -> bool:
        """Put the cursor on the first such line; whether there is one."""
        found = next((number for number, (_, line) in enumerate(self.rows) if wanted(line)), None)
        if found is not None:
            self.move_to(found)
        return found is not None


class Pane(LineList[tuple[int, Fact]]):
    """Everything about the call under the cursor; lines that name another call lead to it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("z", "maximise", "maximise the details", show=False, id="pane.maximise")
    ]

    def __init__(self) -> None:
        super().__init__(
            lambda row, _: row[1].text,
            lambda row: row[0],
            ("", "  No call is under the cursor."),
            lambda row: HEADING if row[1].heading else JUMP if row[1].jump else Style(),
            id="pane",
        )

    def action_maximise(self) -> None:
        """Take the whole screen, or give the calls theirs back."""
        self.toggle_class("-maximised")
        self.call_after_refresh(cast("SpokeApp", self.app).reload)  # its lines are wrapped to its width

    def show_facts(self, facts: Sequence[Fact]) -> None:
        """Show these lines."""
        self.show(list(enumerate(facts)))
