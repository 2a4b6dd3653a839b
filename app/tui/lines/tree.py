"""A list whose rows have branches that can be folded away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from rich.style import Style
from textual.binding import Binding, BindingType
from textual.message import Message

from app.tui.lines.line_list import PLAIN, LineList

T = TypeVar("T")


@dataclass(frozen=True)
class Branch(Generic[T]):
    """A row of a tree, in pre-order."""

    row: T
    depth: int
    size: int
    """Rows of this branch, itself included: a folded one is skipped by so many."""


class Tree(LineList[Branch[T]]):
    """Branches in pre-order, flat; folding skips a range, so that 100 000 rows fold as fast as ten.

    Args:
        draw: a row's text for a width; `hidden` is how many rows are folded away below it.
        key: identifies a row; what is folded stays folded when rows come and go.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "fold", "fold", id="tree.fold"),
        Binding("left,h", "shut", "fold, or go to the parent", show=False, id="tree.shut"),
        Binding("right,l", "open", "unfold", show=False, id="tree.open"),
        Binding("z", "fold_all", "fold all, or unfold", show=False, id="tree.fold_all"),
    ]

    class Folded(Message):
        """Something was folded or unfolded."""

    def __init__(
        self,
        draw: Callable[[T, int, int], str],
        key: Callable[[T], object],
        empty: Sequence[str] = (),
        style: Callable[[T], Style] = lambda _: PLAIN,
        *,
        id: str | None = None,
    ) -> None:
        super().__init__(
            lambda branch, width: draw(branch.row, self._hidden(branch), width),
            lambda branch: key(branch.row),
            empty,
            lambda branch: style(branch.row),
            id=id,
        )
        self.folded: set[object] = set()
        self._all: Sequence[Branch[T]] = ()

    def _hidden(self, branch: Branch[T]) -> int:
        return branch.size - 1 if self._key(branch) in self.folded else 0

    def show_tree(self, branches: Sequence[Branch[T]], *, empty: Sequence[str] | None = None) -> None:
        """Replace the rows."""
        self._all = branches
        self.show(self._visible(), empty=empty)

    def _visible(self) -> Sequence[Branch[T]]:
        if not self.folded:
            return self._all
        seen, at = [], 0
        while at < len(self._all):
            branch = self._all[at]
            seen.append(branch)
            at += branch.size if self._key(branch) in self.folded else 1
        return seen

    def action_fold(self) -> None:
        """Fold or unfold the branch under the cursor."""
        branch = self.selected
        if branch is None or branch.size == 1:
            self.notify("fold: there is nothing below this row")
            return
        self._set(self.folded ^ {self._key(branch)})

    def action_shut(self) -> None:
        """Fold the branch, or go to the one that it is in."""
        branch = self.selected
        if branch is None:
            return
        if branch.size > 1 and self._key(branch) not in self.folded:
            self._set(self.folded | {self._key(branch)})
            return
        for position in range(self.cursor - 1, -1, -1):
            if self.rows[position].depth < branch.depth:
                self.move_to(position)
                return

    def action_open(self) -> None:
        """Unfold the branch, or go into it."""
        branch = self.selected
        if branch is None:
            return
        if self._key(branch) in self.folded:
            self._set(self.folded - {self._key(branch)})
        elif branch.size > 1:
            self.move_to(self.cursor + 1)

    def action_fold_all(self) -> None:
        """Fold every branch of the first level, or unfold all."""
        first = {self._key(branch) for branch in self._all if branch.size > 1 and branch.depth == 0}
        self._set(set() if self.folded else first)

    def reveal(self, key: object) -> None:
        """Unfold what hides a row, and put the cursor on it."""
        above: list[Branch[T]] = []
        for branch in self._all:
            while above and above[-1].depth >= branch.depth:
                above.pop()
            if self._key(branch) == key:
                self._set(self.folded - {self._key(one) for one in above})
                self.move_to(next(i for i, one in enumerate(self.rows) if self._key(one) == key))
                return
            above.append(branch)

    def _set(self, folded: set[object]) -> None:
        self.folded = folded
        self.show(self._visible())
        self.refresh()
        self.post_message(self.Folded())
