"""A session as it goes on, on the terminal's ordinary screen: drawn again in place, or a line for each change."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import click

from app.cli.context import as_wanted, camel, print_json
from app.views.calls import Call
from app.views.live import Change, Changes, change_line
from app.views.report import session_json, title_line, waterfall_lines
from app.views.sessions import SessionRow
from app.views.waterfall import CallTree, folds


@dataclass(frozen=True, slots=True)
class Shape:
    """How much is shown, and with what."""

    depth: int | None
    fold_ok: bool
    ascii_only: bool
    width: int | None = None

    def hides(self, call: Call, depth: int) -> bool:
        """Whether a change of this call is left out where every change is a line."""
        if self.depth is not None and depth >= self.depth:
            return True
        return self.fold_ok and depth > 0 and call.status not in ("failed", "aborted")


class Trace(Protocol):
    """Shows a session whenever it may have changed."""

    grows: bool
    """Whether time alone changes what is shown."""

    def show(self, session: SessionRow, tree: CallTree, now_ms: float) -> None:
        """Show it as it is now."""

    def end(self, session: SessionRow, tree: CallTree, now_ms: float) -> None:
        """Show how it ended."""


class Lines:
    """A line for each call that begins or ends: for logs, pipes and screen readers."""

    grows = False

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._changes = Changes()

    def show(self, session: SessionRow, tree: CallTree, now_ms: float) -> None:
        """What began and ended since the last time."""
        for change in self._changes.since(tree):
            if not self._shape.hides(change.call, change.depth):
                self._print(change)

    def end(self, session: SessionRow, tree: CallTree, now_ms: float) -> None:
        """The rest, and the session."""
        self.show(session, tree, now_ms)
        self._print_end(session, tree)

    def _print(self, change: Change) -> None:
        click.echo(change_line(change, self._shape.width, ascii_only=self._shape.ascii_only, when=as_wanted()))

    def _print_end(self, session: SessionRow, tree: CallTree) -> None:
        click.echo(title_line(session, tree, self._shape.width or 100, ascii_only=self._shape.ascii_only).rstrip())


class Objects(Lines):
    """A JSON object for each change, the last one for the session."""

    def _print(self, change: Change) -> None:
        print_json({"change": change.kind, "depth": change.depth, "call": camel(change.call)})

    def _print_end(self, session: SessionRow, tree: CallTree) -> None:
        print_json({"change": "session", "session": session_json(session)})


class InPlace:
    """The waterfall, drawn over itself; lines that did not change are not written again."""

    grows = True

    def __init__(
        self,
        shape: Shape,
        write: Callable[[str], Any],
        size: Callable[[], tuple[int, int]] = lambda: shutil.get_terminal_size(),
    ) -> None:
        self._shape = shape
        self._write = write
        self._size = size
        self._drawn: list[str] = []

    def show(self, session: SessionRow, tree: CallTree, now_ms: float) -> None:
        """As many rows as the terminal has lines for, the last ones."""
        width, height = self._size()
        title, axis, *rows = self._lines(session, tree, now_ms, width)
        room = max(1, height - 4)
        if len(rows) > room:
            hidden = len(rows) - room
            more = f"{'~' if self._shape.ascii_only else '…'} {hidden} rows above (--depth N and --fold ok show fewer)"
            rows = [more[: width - 1], *rows[hidden:]]
        self._draw([title, axis, *rows])

    def end(self, session: SessionRow, tree: CallTree, now_ms: float) -> None:
        """All rows: they stay in the terminal's history."""
        self._draw(self._lines(session, tree, now_ms, self._size()[0]))

    def _lines(self, session: SessionRow, tree: CallTree, now_ms: float, width: int) -> list[str]:
        shape = self._shape
        hidden = folds(tree, shape.depth, ok=shape.fold_ok)
        columns = min(width, shape.width or width) - 1  # the last column would wrap on some terminals
        return waterfall_lines(session, tree, now_ms, columns, folded=hidden, ascii_only=shape.ascii_only)

    def _draw(self, lines: list[str]) -> None:
        before, self._drawn = self._drawn, lines
        text = f"\x1b[{len(before)}A" if before else ""
        for number, line in enumerate(lines):
            old = before[number] if number < len(before) else None
            text += "\n" if line == old else f"\r{line}\x1b[K\n"
        if lines != before:
            self._write(text + "\x1b[J")


def trace_for(shape: Shape, *, as_json: bool) -> Trace:
    """What suits where stdout goes."""
    if as_json:
        return Objects(shape)
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return Lines(shape)

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    return InPlace(shape, write)
