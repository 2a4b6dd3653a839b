"""A call that runs: its output, or the outputs of a subscription as they come."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.worker import Worker

from app.tui.detail import wrap
from app.tui.lines.line_list import LineList
from app.tui.view import View
from app.views.form_text import dumps
from app.views.operations import OperationRow
from app.views.text import clip, duration, of, safe
from storage.engine import EngineError
from sync.calls.errors import CallFailed

MAX_LINES = 10_000
"""Of outputs that are kept; the oldest go. The log has all of them, or none where it is a subscription."""


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
        self._lines: list[str] = []
        self._outputs: list[Any] = []
        self._count = 0
        self._state = "running"
        self._worker: Worker[None] | None = None
        self._done = False

    def compose_body(self) -> ComposeResult:
        """What comes."""
        waiting = "  Waiting for the hub; leaving this screen ends the waiting, not the call: spoke calls list"
        empty = ("", waiting if self._row.where == "hub" else "  Nothing came yet. x stops it.")
        yield LineList[tuple[int, str]](
            lambda row, _: row[1], lambda row: row[0], empty, follow=self._row.type == "subscription"
        )

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

    def _take(self, output: Any) -> None:
        self._count += 1
        if self._row.type == "subscription":
            self._lines.append(f"{self._count:>6}  {dumps(output)}")
            self._outputs = [*self._outputs[-99:], output]
        else:
            self._outputs = [output]
            self._lines += json.dumps(output, ensure_ascii=False, indent=2).splitlines()
        del self._lines[:-MAX_LINES]
        self.spoke.reload()

    def _fail(self, code: str, message: str, hint: str) -> None:
        self._state = f"failed: {code}"
        self._lines += ["", f"✗ {code}: {message}"] + ([f"  do: {hint}"] if hint else [])

    async def load(self) -> None:
        """Show what came."""
        lines = self.query_one(LineList)
        width = max(20, (lines.size.width or self.size.width) - 2)
        first = self._count - len(self._lines) if self._row.type == "subscription" else 0
        shown: list[tuple[int, str]] = []
        for number, text in enumerate(self._lines):
            if not self.matches(text):
                continue
            if self._row.type == "subscription":
                shown.append((first + number, clip(safe(text, ascii_only=self.spoke.ascii_only), width)))
            else:
                shown += [(len(shown) + n, one) for n, one in enumerate(self._wrapped(text, width))]
        lines.show(shown)
        came = of(self._count, "output") if self._row.type == "subscription" else ""
        self.set_title("  ".join(part for part in (f"call {self._row.name}", self._state, came) if part))

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
        return None if self._row.type == "subscription" else "this call has one output"

    def copy_text(self) -> str:
        """The output as JSON; of a subscription the last hundred, a line each."""
        if self._row.type == "subscription":
            return "\n".join(dumps(one) for one in self._outputs)
        return json.dumps(self._outputs[0], ensure_ascii=False, indent=2) if self._outputs else ""
