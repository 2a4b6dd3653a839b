"""A call that runs: its output, or the outputs of a subscription as they come."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.worker import Worker

from app.tui.detail import Detail, wrap
from app.tui.lines.line_list import LineList
from app.tui.view import View
from app.views.forms.text import dumps
from app.views.operations import OperationRow
from app.views.text import clip, duration, of, safe
from storage.engine import EngineError
from sync.calls.errors import CallFailed

MAX_LINES = 10_000
"""Of one output that are shown; `y` and `o` have the whole."""
KEPT = 1_000
"""Outputs of a subscription that are kept; the oldest go."""


class CallView(View):
    """One call; it begins when the screen opens, and is stopped when the screen is left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "stop", "stop it", id="call.stop"),
        Binding("c", "again", "call again", id="call.again"),
        Binding("f", "follow", "follow", show=False, id="call.follow"),
    ]

    def __init__(self, row: OperationRow, value: Any) -> None:
        super().__init__()
        self._row = row
        self._value = value
        self._outputs: deque[Any] = deque(maxlen=KEPT)
        self._failure: list[str] = []
        self._count = 0
        self._state = "running"
        self._worker: Worker[None] | None = None
        self._done = False

    def compose_body(self) -> ComposeResult:
        """What comes."""
        waiting = "  Waiting for the hub; leaving this screen ends the waiting, not the call: spoke calls list"
        empty = ("", waiting if self._row.where == "hub" else "  Nothing came yet. x stops it.")
        yield LineList[tuple[int, str]](lambda row, _: row[1], lambda row: row[0], empty, follow=self._streams)

    def on_mount(self) -> None:
        """Begin."""
        self._worker = self._run()

    @work(exclusive=True, group="call")
    async def _run(self) -> None:
        calling = self.spoke.calling
        assert calling is not None, "calls begin where something executes them"
        began = self.spoke.now_ms()
        try:
            async with aclosing(calling.outputs(self._row, self._value)) as outputs:
                async for output in outputs:
                    self._take(output)
            self._state = f"done in {duration(self.spoke.now_ms() - began)}"
        except CallFailed as error:
            self._fail(error.code, error.message, error.hint)
        except EngineError as error:
            self._fail(type(error).__name__, str(error), error.hint)
        except asyncio.CancelledError:
            self._state = "stopped"
            raise
        finally:
            self._done = True
            if self.is_attached:
                self.spoke.reload()

    @property
    def _streams(self) -> bool:
        return self._row.type == "subscription"

    def _take(self, output: Any) -> None:
        self._count += 1
        self._outputs.append(output)
        self.spoke.reload()

    def _fail(self, code: str, message: str, hint: str) -> None:
        self._state = f"failed: {code}"
        self._failure = ["", f"✗ {code}: {message}"] + ([f"  do: {hint}"] if hint else [])

    async def load(self) -> None:
        """Show what came."""
        lines = self.query_one(LineList)
        width = max(20, (lines.size.width or self.size.width) - 2)
        outputs, first = list(self._outputs), self._count - len(self._outputs)
        rows = await asyncio.to_thread(lambda: list(self._rows(outputs, first, width)))
        lines.show([row for row in rows if not self.wanted or self.matches(row[1])])
        came = of(self._count, "output") if self._streams else ""
        self.set_title("  ".join(part for part in (f"call {self._row.name}", self._state, came) if part))

    def _rows(self, outputs: list[Any], first: int, width: int) -> Iterator[tuple[int, str]]:
        """Numbered lines: of a subscription one for each output, else the one output as indented JSON; the failure."""
        if self._streams:
            for number, output in enumerate(outputs, first + 1):
                line = f"{number:>6}  {dumps(output)}"
                yield number, clip(safe(line, ascii_only=self.spoke.ascii_only), width)
        else:
            text = "\n".join(json.dumps(output, ensure_ascii=False, indent=2) for output in outputs)
            yield from ((number, line) for number, line in enumerate(self._wrapped(text, width)) if text)
        for number, line in enumerate(self._wrapped("\n".join(self._failure), width)):
            if self._failure:
                yield -1 - number, line

    def _wrapped(self, text: str, width: int) -> list[str]:
        plain = text.replace("✗", "x") if self.spoke.ascii_only else text
        return list(wrap(plain, width, ascii_only=self.spoke.ascii_only, most=MAX_LINES))

    def leave(self) -> None:
        """Stop it, and back."""
        if self._worker is not None:
            self._worker.cancel()
        self.spoke.back()

    def action_stop(self) -> None:
        """Stop it: the call is aborted, and so is every call that it led to."""
        if self._worker is not None:
            self._worker.cancel()

    def why_not_stop(self) -> str | None:
        """What has ended cannot be stopped."""
        return "the call has ended" if self._done else None

    @work
    async def action_again(self) -> None:
        """The form again, with what was given."""
        from app.tui.operations import call_operation

        await call_operation(self, self._row, self._value)

    def why_not_again(self) -> str | None:
        """One after the other."""
        return None if self._done else "the call still runs: x stops it"

    def action_follow(self) -> None:
        """Stay at the newest output, or stop doing so."""
        lines = self.query_one(LineList)
        lines.follow = not lines.follow
        self.spoke.reload()

    def why_not_follow(self) -> str | None:
        """What has one output is not followed."""
        return None if self._streams else "this call has one output"

    def on_line_list_chosen(self, message: LineList.Chosen) -> None:
        """The output of the line, to be read in full; a secret stays here, where no pager gets it."""
        number = message.row[0]
        index = number - 1 - (self._count - len(self._outputs)) if self._streams else 0
        if number >= 0 and not self._row.sensitive and 0 <= index < len(self._outputs):
            text = json.dumps(self._outputs[index], ensure_ascii=False, indent=2)
            self.app.push_screen(Detail(f"{self._row.name} output {number if self._streams else ''}".rstrip(), text))

    def action_copy(self) -> None:
        """Copy what came."""
        self.spoke.copy(self.copy_text(), secret=self._row.sensitive)

    def copy_text(self) -> str:
        """The output as JSON; of a subscription those that are kept, a line each."""
        if self._streams:
            return "\n".join(dumps(one) for one in self._outputs)
        return json.dumps(self._outputs[0], ensure_ascii=False, indent=2) if self._outputs else ""
