"""Questions: confirm, type a text, choose one of several. Small screens over the one that asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from app.tui.line_input import LineInput
from app.tui.lines.line_list import LineList
from app.views.filter import near
from app.views.text import safe

if TYPE_CHECKING:
    from app.tui.app import SpokeApp

R = TypeVar("R")


class Prompt(ModalScreen[R | None]):
    """A question at the bottom of the screen; Esc answers None."""

    DEFAULT_CSS = """
    Prompt { align: left bottom; background: transparent; }
    Prompt > #box { height: auto; max-height: 80%; width: 100%; background: $panel; padding: 0 1; }
    Prompt #question { text-style: bold; }
    Prompt #problem { color: $text-warning; display: none; }
    Prompt LineList { height: auto; max-height: 14; }
    Prompt ToastRack { dock: top; align: right top; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "cancel", id="prompt.cancel")]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """The question, and what answers it."""
        with Vertical(id="box"):
            yield Static(self.plain(self._question), id="question", markup=False)
            yield from self.compose_answer()
            yield Static("", id="problem", markup=False)

    def plain(self, text: str) -> str:
        """One line of it, as the terminal can show it."""
        return cast("SpokeApp", self.app).plain(safe(text))

    def compose_answer(self) -> ComposeResult:
        """What answers it."""
        raise NotImplementedError

    def complain(self, problem: str) -> None:
        """Say what is wrong with the answer."""
        line = self.query_one("#problem", Static)
        line.update(self.plain(problem))
        line.display = True


class Ask(Prompt[str]):
    """A line of text.

    Args:
        question: what is asked.
        value: what stands there already.
        check: why a text will not do; None when it does.
        password: show dots.
    """

    def __init__(
        self,
        question: str,
        value: str = "",
        *,
        check: Callable[[str], str | None] = lambda _: None,
        password: bool = False,
    ) -> None:
        super().__init__(question)
        self._value = value
        self._check = check
        self._password = password

    def compose_answer(self) -> ComposeResult:
        """The line, and what is known before it is typed."""
        yield LineInput(self._value, id="answer", compact=True, password=self._password, select_on_focus=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer, or say why not."""
        problem = self._check(event.value)
        if problem is None:
            self.dismiss(event.value)
        else:
            self.complain(problem)


class Confirm(Prompt[bool]):
    """Yes or no; `y` is yes, everything else no. With `typed`, the text must be typed: nothing is lost by a slip.

    Args:
        question: what will happen.
        details: what goes with it, a line each.
        typed: what must be typed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes", id="prompt.yes"),
        Binding("n,enter", "answer(False)", "no", id="prompt.no"),
    ]

    def __init__(self, question: str, details: Sequence[str] = (), *, typed: str | None = None) -> None:
        super().__init__(question)
        self._details = details
        self._typed = typed

    def compose_answer(self) -> ComposeResult:
        """What goes with it, and how to answer."""
        yield Static("\n".join(map(self.plain, self._details)), id="details", markup=False)
        if self._typed is None:
            yield Static("y yes   n no", markup=False)
        else:
            yield Static(f"type {self.plain(self._typed)} and press enter; esc cancels", markup=False)
            yield LineInput(id="answer", compact=True)

    def action_answer(self, yes: bool) -> None:
        """Answer with a key."""
        if self._typed is None:
            self.dismiss(yes)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer with the typed text."""
        if event.value == self._typed:
            self.dismiss(True)
        else:
            self.complain(f"that is not {self._typed}: nothing was done")


class Choose(Prompt[str]):
    """One of several, by arrows or by typing some of its letters.

    Args:
        question: what is chosen.
        options: pairs of what is returned and what is shown.
        current: the option that the cursor begins at.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,ctrl+n", "move(1)", "next", show=False, id="choose.next"),
        Binding("up,ctrl+p", "move(-1)", "previous", show=False, id="choose.previous"),
    ]

    def __init__(self, question: str, options: Sequence[tuple[str, str]], current: str = "") -> None:
        super().__init__(question)
        self._options = list(options)
        self._current = current

    def compose_answer(self) -> ComposeResult:
        """A box to type letters in, and the options."""
        yield LineInput(placeholder="type to narrow, enter to choose", id="answer", compact=True)
        yield LineList[tuple[str, str]](lambda option, _: safe(option[1]), lambda option: option[0], ("no match",))

    def on_mount(self) -> None:
        """Show all of them."""
        lines = self.query_one(LineList)
        lines.can_focus = False
        lines.show(self._options)
        lines.move_to(next((i for i, option in enumerate(self._options) if option[0] == self._current), 0))
        self._fit()

    def _fit(self) -> None:
        self.query_one(LineList).styles.height = max(1, min(14, len(self.query_one(LineList).rows)))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow."""
        shown = near(event.value, [label for _, label in self._options])
        order = {label: position for position, label in enumerate(shown)}
        rows = sorted((o for o in self._options if o[1] in order), key=lambda o: order[o[1]])
        lines = self.query_one(LineList)
        lines.show(rows)
        if event.value:
            lines.move_to(0)
        self._fit()

    def action_move(self, step: int) -> None:
        """Another option."""
        self.query_one(LineList).action_move(step)

    def on_input_submitted(self) -> None:
        """Choose."""
        row = self.query_one(LineList).selected
        if row is not None:
            self.dismiss(row[0])

    def on_line_list_chosen(self, message: LineList.Chosen) -> None:
        """Choose by mouse."""
        self.dismiss(message.row[0])
