"""What is said to the person for some seconds: how something went, why a verb does nothing, what a verb ran into."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from textual.actions import ActionParseResult
from textual.dom import DOMNode
from textual.notifications import SeverityLevel
from textual.worker import WorkerFailed, get_current_worker

from app.tui.keyboard import OrderedKeys
from app.tui.verbs import verbs_of
from app.tui.view import View
from app.views.text import safe
from storage.engine import EngineError

log = logging.getLogger("spoke.tui")

ESSENTIAL = frozenset({"keys", "watch", "service"})
"""Groups of workers without which there is nothing to go on with."""


class Notices(OrderedKeys):
    """An application that says what happened, and goes on where it can."""

    def __init__(self) -> None:
        super().__init__()
        self.ascii_only = False
        self.failure: BaseException | None = None
        """What ended the application, when it was an error."""

    def plain(self, text: str) -> str:
        """The text in ASCII where that is all the terminal shows."""
        if not self.ascii_only or text.isascii():
            return text
        for sign, letter in (("·", "-"), ("–", "-"), ("…", "~"), ("▸", ">"), ("↓", "v"), ("│", "|")):
            text = text.replace(sign, letter)
        return safe(text, ascii_only=True)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Say something for some seconds. What is said may have come from a payload: it is text, never markup."""
        for old in list(self._notifications):
            if old.severity != "error" and old.raised_at < self.typed_at:
                self._unnotify(old)  # of an earlier key: what is said now would stand below it, and both in the way
        said = "\n".join(self.plain(safe(line)) for line in message.split("\n"))
        super().notify(said, title=title, severity=severity, timeout=timeout, markup=False)

    def _handle_exception(self, error: Exception) -> None:
        """A verb that found the database gone, or what it was about: that is said, and everything else goes on."""
        cause = error.error if isinstance(error, WorkerFailed) else None
        if isinstance(cause, EngineError) and get_current_worker().group not in ESSENTIAL:
            self.notify(f"{cause}" + (f" — {cause.hint}" if cause.hint else ""), severity="error")
        else:
            super()._handle_exception(error)

    def _fatal_error(self) -> None:
        """An error that nobody caught: into the log with its traceback, one line for the person (`failure`)."""
        self.failure = self._exception
        log.error("the terminal UI ends", exc_info=self._exception)
        self._close_messages_no_wait()

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Run an action; one that is not possible now says why instead (reference/ux.md row 10)."""
        target, name, _ = self._parse_action(action, default_namespace or self, namespaces)
        reason = target.why_not(name) if isinstance(target, View) else None
        if reason is not None and isinstance(target, View):
            verb = next((one.binding for one in verbs_of(target) if one.binding.action == action), None)
            self.notify(f"{verb.description if verb else name.replace('_', ' ')}: {reason}", severity="warning")
            return True
        return await super().run_action(action, default_namespace, namespaces)
