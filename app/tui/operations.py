"""What can be called, one operation in full, and calling it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app.tui.call import CallView
from app.tui.form import FormScreen, problems_of
from app.tui.lines.line_list import LineList
from app.tui.places import operations
from app.tui.prompts import Confirm
from app.tui.table_view import TableView
from app.tui.view import View
from app.views.columns import Column
from app.views.forms.form import Problem
from app.views.forms.text import dumps
from app.views.operations import OperationRow, operation_lines
from app.views.text import clip
from storage.engine import Snapshot
from sync.calls.errors import CallFailed, OperationNotFoundError

if TYPE_CHECKING:
    from app.services.outputs import Calling

EMPTY = (
    "",
    "  Nothing can be called from here: nothing executes operations in this process.",
    "",
    "  On the command line:   spoke operations",
)
_TYPES = {"query": "query", "mutation": "mutation", "subscription": "stream"}


async def call_operation(view: View, row: OperationRow, value: dict[str, Any] | None = None) -> None:
    """Ask for the input of an operation, and call it on a screen of its own."""
    calling = view.spoke.calling
    assert calling is not None, "why_not_call looked"

    async def submit(given: Any) -> Sequence[Problem]:
        try:
            await asyncio.to_thread(calling.check, row, given)
        except CallFailed as error:
            return problems_of(error)
        if not row.destructive:
            return ()
        sure = await view.app.push_screen_wait(Confirm(f"call {row.name}?", [clip(dumps(given), 400)]))
        return () if sure else (Problem((), "not called: you said no"),)

    document = await asyncio.to_thread(calling.document, row)
    schema = document["inputSchema"]
    if schema.get("properties") or row.destructive:
        form = FormScreen(f"call {row.name}", schema, value, submit=submit, verb="call", note=row.description)
        value = await view.app.push_screen_wait(form)
        if value is None:
            return
    view.app.push_screen(CallView(row, value or {}))


def why_not_call(view: View) -> str | None:
    """Why nothing can be called from here; None when it can."""
    return "nothing executes operations here" if view.spoke.calling is None else view.spoke.why_not_operate()


class OperationsView(TableView[OperationRow]):
    """Every operation of this node, and of its hub."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("c", "call", "call", id="operations.call")]
    WRITES = frozenset({"call"})
    noun: ClassVar[str] = "operation"
    empty: ClassVar[Sequence[str]] = EMPTY
    columns = (
        Column("name", "OPERATION", lambda row: row.name, 27),
        Column("type", "TYPE", lambda row: _TYPES[row.type], 8, lambda row: row.type),
        Column("where", "WHERE", lambda row: row.where, 5),
        Column("scopes", "NEEDS", lambda row: ", ".join(row.scopes), 18, rank=1),
        Column("description", "WHAT IT DOES", lambda row: row.description, 30, grow=True),
    )

    def read(self, snapshot: Snapshot) -> Sequence[OperationRow]:
        """What can be called; the hub's, too, where there is one."""
        return operations(snapshot, self.spoke.calling)

    def key(self, row: OperationRow) -> object:
        """Its name."""
        return row.name

    def searched(self, row: OperationRow) -> str:
        """Its tags."""
        return " ".join(row.tags)

    def open(self, row: OperationRow) -> None:
        """All about it."""
        self.spoke.open_noun("operation", row.name)

    @work
    async def action_call(self) -> None:
        """Fill in its input, then call it."""
        row = self.table.selected
        if row is not None:
            await call_operation(self, row)

    def why_not_call(self) -> str | None:
        """One that is there, and something that executes it."""
        return why_not_call(self) or (None if self.table.selected else "there is no operation here")


class OperationView(View):
    """What an operation does, needs, takes and gives."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "call", "call", id="operation.call"),
        Binding("J", "schema", "schemas as JSON", id="operation.schema"),
    ]
    WRITES = frozenset({"call"})

    def __init__(self, name: str) -> None:
        super().__init__()
        self._operation = name
        self._row: OperationRow | None = None
        self._document: dict[str, Any] = {}
        self._as_json = False

    def compose_body(self) -> ComposeResult:
        """One list of lines."""
        yield LineList[tuple[int, str]](
            lambda row, _: row[1], lambda row: row[0], ("", "  Nothing matches the filter.")
        )

    async def load(self) -> None:
        """Describe it, off the event loop: schemas are made when they are asked for."""
        if self._row is None and self.spoke.calling is not None:
            self._row, self._document = await asyncio.to_thread(self._find, self.spoke.calling)
        self.set_title(f"operation {self._operation}")
        lines = [f"no operation {self._operation}: `spoke operations` lists them"]
        if self._row is not None and self._as_json:
            lines = json.dumps(self._document, ensure_ascii=False, indent=2).splitlines()
        elif self._row is not None:
            lines = operation_lines(self._row, self._document, max(20, self.size.width - 3))
        shown = [(number, f" {self.spoke.plain(line)}") for number, line in enumerate(lines) if self.matches(line)]
        self.query_one(LineList).show(shown)

    def _find(self, calling: Calling) -> tuple[OperationRow | None, dict[str, Any]]:
        row = next((one for one in calling.listed(hub=True) if one.name == self._operation), None)
        try:
            return row, {} if row is None else calling.document(row)
        except OperationNotFoundError:
            return None, {}

    @work
    async def action_call(self) -> None:
        """Fill in its input, then call it."""
        if self._row is not None:
            await call_operation(self, self._row)

    def why_not_call(self) -> str | None:
        """One that is there, and something that executes it."""
        return why_not_call(self) or (None if self._row else f"there is no operation {self._operation}")

    def action_schema(self) -> None:
        """The whole spec as JSON, and back."""
        self._as_json = not self._as_json
        self.spoke.reload()

    def copy_text(self) -> str:
        """The spec as JSON where that is shown, else the name."""
        return json.dumps(self._document, ensure_ascii=False, indent=2) if self._as_json else self._operation
