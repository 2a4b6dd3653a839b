"""What can be done on a screen: the bindings of its list, of the screen and of the application; the user's keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.dom import DOMNode

if TYPE_CHECKING:
    from app.tui.view import View

_SHOWN = {
    "question_mark": "?",
    "slash": "/",
    "colon": ":",
    "minus": "-",
    "plus": "+",
    "equals_sign": "=",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "asterisk": "*",
    "escape": "esc",
    "full_stop": ".",
    "comma": "comma",
}


@dataclass(frozen=True, slots=True)
class Verb:
    """A binding, and the node whose action it runs."""

    binding: Binding
    owner: DOMNode

    def why_not(self, view: View) -> str | None:
        """Why it is not possible on the screen now; None when it is. A list's verbs have no reasons."""
        if self.owner is view.spoke:
            return view.spoke.why_not(self.binding.action)
        return view.why_not(self.binding.action.partition("(")[0]) if self.owner is view else None


def verbs_of(view: View) -> Iterator[Verb]:
    """Every verb of the screen, once: those of the list that has the keys, of the screen, of the application."""
    from app.tui.lines.line_list import LineList

    lists = (
        [view.focused] if isinstance(view.focused, LineList) else [one for one in view.query(LineList) if one.display]
    )
    seen: set[str] = set()
    owners: list[DOMNode] = [*lists[:1], view, view.app]
    for owner in owners:
        for binding in bindings_of(type(owner)):
            if binding.id == "list.open" and not view.opens:
                continue
            if binding.description and (binding.id or binding.action) not in seen:
                seen.add(binding.id or binding.action)
                yield Verb(binding, owner)


def bindings_of(owner: type) -> Iterator[Binding]:
    """The bindings of a class and of the classes of ours, not Textual's, that it is made of; the nearest first."""
    for kind in owner.__mro__:
        if not kind.__module__.startswith("textual."):
            for binding in vars(kind).get("BINDINGS", ()):
                if isinstance(binding, Binding):
                    yield binding


def shown_keys(binding: Binding, keymap: Mapping[str, str], *, first: bool = False) -> str:
    """The keys of a binding as a person reads them."""
    keys = keymap.get(binding.id or "", binding.key).split(",")
    return " ".join(_SHOWN.get(key.strip(), key.strip()) for key in (keys[:1] if first else keys))
