"""A form made from a JSON Schema: one line for each field, what it is and what is wrong with it below the line.

    value = await self.app.push_screen_wait(FormScreen("call nodes.create", schema, {"graphId": "g"}, submit=submit))

`submit` takes the value and returns problems, which are shown at their fields while everything that was typed stays;
when there are none the form closes with the value. Esc closes it with None.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, cast

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import DescendantFocus
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from app.tui.line_input import LineInput
from app.tui.picker import Picker
from app.tui.programs import editor, show_in
from app.tui.prompts import Confirm
from app.views.forms.field import Field, read_text
from app.views.forms.form import Problem, build, told_problem
from app.views.forms.text import TextError, dumps, read_json, read_word, write_word
from app.views.text import clip, fit, of, safe
from sync.calls.errors import CallFailed, ValidationError

if TYPE_CHECKING:
    from app.tui.app import SpokeApp

Submit: TypeAlias = Callable[[Any], Awaitable[Sequence[Problem]]]
LABEL_WIDTH = 22


async def _take(_: Any) -> Sequence[Problem]:
    return ()


def problems_of(error: CallFailed) -> list[Problem]:
    """What a call that failed says of its input: of the fields where it names them, else of the whole."""
    told = (error.details or {}).get("problems") if isinstance(error, ValidationError) else None
    if isinstance(told, list) and told:
        return [Problem(*told_problem(str(one))) for one in told]
    return [Problem((), f"{error.code}: {error.message}" + (f" — {error.hint}" if error.hint else ""))]


class FieldLine(Vertical):
    """A field: label, what edits it, and below them a note that is seen while it has the keys, or is wrong."""

    DEFAULT_CSS = """
    FieldLine { height: 1; }
    FieldLine.here, FieldLine.wrong { height: auto; }
    FieldLine > Horizontal { height: 1; }
    FieldLine .label { width: 24; }
    FieldLine Input { width: 1fr; height: 1; }
    FieldLine .note { height: auto; padding: 0 0 0 24; color: $text-muted; display: none; }
    FieldLine.wrong .note { display: block; color: $text-error; }
    FieldLine.here .note { display: block; }
    FieldLine.here .label { text-style: bold; }
    """

    def __init__(self, field: Field, text: str, *, ascii_only: bool) -> None:
        super().__init__()
        self.field = field
        self.error = ""
        self._ascii_only = ascii_only
        self._first = text
        default = safe(field.default, ascii_only=ascii_only)
        nothing = "must be given" if field.required else f"not given ({default})" if default else "not given"
        self.edit: LineInput | Picker
        """What edits it."""
        if field.options:
            self.edit = Picker(field.options, text, nothing, arrows=("<", ">") if ascii_only else ("‹", "›"))
        else:
            self.edit = LineInput(text, placeholder=nothing, password=field.secret, compact=True, select_on_focus=False)

    def compose(self) -> ComposeResult:
        """Label and editor, then the note."""
        field = self.field
        indent = "  " if field.group is not None else ""
        label = f"{indent}{safe(field.label, ascii_only=self._ascii_only)}{'*' if field.required else ''}"
        with Horizontal():
            ellipsis = "~" if self._ascii_only else "…"
            yield Static(" " + fit(label, LABEL_WIDTH, ellipsis=ellipsis), classes="label", markup=False)
            yield self.edit
        yield Static(self._note(), classes="note", markup=False)

    @property
    def text(self) -> str:
        """What stands there."""
        return self.edit.value

    @property
    def changed(self) -> bool:
        """Whether that is something else than at the beginning."""
        return self.text != self._first

    def complain(self, error: str) -> None:
        """Say what is wrong; empty: nothing is."""
        self.error = error
        self.set_class(bool(error), "wrong")
        self.query_one(".note", Static).update(self._note())

    def _note(self) -> str:
        sign = "x " if self._ascii_only else "✗ "
        field = self.field
        parts = [field.hint, f"{field.default} if not given" if field.default else "", field.description]
        known = (" - " if self._ascii_only else " · ").join(part for part in parts if part)
        return safe(sign + self.error if self.error else known, ascii_only=self._ascii_only)


class FormScreen(ModalScreen[Any]):
    """The form.

    Args:
        title: what it is for.
        schema: JSON Schema of what is asked for.
        value: what stands in it at first.
        submit: takes the value; see above.
        verb: what ctrl+s does, in a word.
        note: a line below the title.
    """

    DEFAULT_CSS = """
    FormScreen { background: $background; }
    FormScreen > #form-title { height: 1; text-style: bold; }
    FormScreen > #form-note { height: auto; max-height: 3; padding: 0 1; color: $text-muted; }
    FormScreen > VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; }
    FormScreen > #form-problem { height: auto; max-height: 5; padding: 0 1; display: none; color: $text-error; }
    FormScreen > #form-keys { height: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "submit", "submit", id="form.submit", priority=True),
        Binding("escape", "cancel", "cancel", id="form.cancel"),
        Binding("down,tab,enter", "next_field(1)", "next field", id="form.next", priority=True),
        Binding("up,shift+tab", "next_field(-1)", "previous field", show=False, id="form.previous", priority=True),
        Binding("ctrl+o,f4", "edit", "edit in $EDITOR", show=False, id="form.edit", priority=True),
    ]

    def __init__(
        self,
        title: str,
        schema: object,
        value: Mapping[str, Any] | None = None,
        *,
        submit: Submit = _take,
        verb: str = "save",
        note: str = "",
    ) -> None:
        super().__init__()
        self._title = title
        self._form = build(schema, value)
        self._submit = submit
        self._verb = verb
        self._about = note
        self._lines: list[FieldLine] = []
        self._here: FieldLine | None = None
        self._busy = False

    @property
    def spoke(self) -> SpokeApp:
        """The application."""
        return cast("SpokeApp", self.app)

    def compose(self) -> ComposeResult:
        """Title, fields, what is wrong with the whole, keys."""
        plain = self.spoke.ascii_only
        yield Static(" " + safe(self._title, ascii_only=plain), id="form-title", markup=False)
        if self._about:
            yield Static(safe(self._about, ascii_only=plain), id="form-note", markup=False)
        with VerticalScroll(can_focus=False):
            for field, text in zip(self._form.fields, self._form.texts, strict=True):
                self._lines.append(FieldLine(field, text, ascii_only=plain))
                yield self._lines[-1]
        yield Static("", id="form-problem", markup=False)
        keys = f" ctrl+s {self._verb}  esc cancel  tab next  ctrl+o editor  * must be given"
        yield Static(keys, id="form-keys", markup=False)

    def on_mount(self) -> None:
        """Begin at the first field that must be given and is not."""
        self._show_groups()
        lines = self._shown()
        first = next((one for one in lines if one.field.required and not one.text), lines[0])
        first.edit.focus()

    def _shown(self) -> list[FieldLine]:
        return [line for line in self._lines if line.display]

    def _texts(self) -> list[str]:
        return [line.text for line in self._lines]

    def _show_groups(self) -> None:
        lines, texts = self._lines, self._texts()
        for index, line in enumerate(lines):
            line.display = self._form.visible(index, texts)

    def _line_of(self, editor: object) -> FieldLine | None:
        return next((line for line in self._lines if line.edit is editor), None)

    # -- editing -------------------------------------------------------------------------------------------------------

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Keep the field and its note in sight."""
        line = self._line_of(event.widget)
        if self._here is not None:
            self._here.remove_class("here")
        self._here = line
        if line is not None:
            line.add_class("here")
            self.call_after_refresh(lambda: line.scroll_visible(animate=False))

    def on_input_changed(self, event: Input.Changed) -> None:
        """What is typed is looked at at once; that something is missing is said later."""
        event.stop()
        self._look_at(self._line_of(event.input))

    def on_picker_changed(self, event: Picker.Changed) -> None:
        """A group that is given shows its fields."""
        event.stop()
        self._look_at(self._line_of(event.picker))
        self._show_groups()

    def _look_at(self, line: FieldLine | None) -> None:
        if line is None:
            return
        error = read_text(line.field, line.text)[1] if line.text else ""
        if error != line.error:
            line.complain(error)

    def action_next_field(self, step: int) -> None:
        """Another field; at the ends it stays."""
        lines = self._shown()
        here = next((i for i, line in enumerate(lines) if line.edit is self.focused), 0)
        lines[max(0, min(len(lines) - 1, here + step))].edit.focus()

    def action_edit(self) -> None:
        """Edit the text of the field in the user's editor: JSON indented, words as they are."""
        line = self._line_of(self.focused)
        if line is None or line.field.options or line.field.secret:
            why = "a secret is not written into a file" if line is not None and line.field.secret else "this is chosen"
            self.notify(f"editor: {why}", severity="warning")
            return
        text, is_json = _to_edit(line.field, line.text)
        edited = show_in(self.app, editor(), text, "value.json" if is_json else "value.txt")
        self.refresh(repaint=True, layout=True)
        if edited is not None and edited != text:
            line.edit.value = _from_edit(edited, is_json=is_json)

    # -- ending --------------------------------------------------------------------------------------------------------

    @work
    async def action_submit(self) -> None:
        """Read the fields; give the value to `submit`; close when it takes it."""
        if self._busy:
            return
        filled = self._form.read(self._texts())
        self._complain(filled.errors, "")
        if not filled.good:
            return
        self._busy = True
        try:
            problems = await self._submit(filled.value)
        finally:
            self._busy = False
        if problems:
            self._complain(*self._form.place(problems))
        else:
            self.dismiss(filled.value)

    def _complain(self, errors: Sequence[str], whole: str) -> None:
        lines = self._lines
        for line, error in zip(lines, errors, strict=True):
            line.complain(error)
        wrong = [line for line in lines if line.error]
        hidden = next((line for line in wrong if not line.display), None)
        if hidden is not None:
            whole = "; ".join(part for part in (whole, f"{hidden.field.label}: {hidden.error}") if part)
        problem = self.query_one("#form-problem", Static)
        problem.update(safe(whole, ascii_only=self.spoke.ascii_only))
        problem.display = bool(whole)
        shown = [line for line in wrong if line.display]
        if shown:
            shown[0].edit.focus()

    @work
    async def action_cancel(self) -> None:
        """Close; asks when something was changed."""
        changed = sum(line.changed for line in self._lines)
        if changed:
            sure = await self.app.push_screen_wait(Confirm(f"throw away what you typed in {of(changed, 'field')}?"))
            if not sure:
                return
        self.dismiss(None)


def _to_edit(field: Field, text: str) -> tuple[str, bool]:
    if field.kind == "text":
        return read_word(text), False
    try:
        return (json.dumps(read_json(text), ensure_ascii=False, indent=2) if text else "") + "\n", True
    except TextError:
        return text, True


def _from_edit(text: str, *, is_json: bool) -> str:
    if not is_json:
        word = text.removesuffix("\n")
        return write_word(word) if word else ""
    try:
        return dumps(read_json(text)) if text.strip() else ""
    except TextError:
        return clip(" ".join(text.split()), 100_000)
