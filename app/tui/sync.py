"""The link: stream by stream what the hub has, what is wrong in words, and what can be done about it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from rich.style import Style
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from app.audit import audited
from app.tui.detail import Detail
from app.tui.lines.line_list import PLAIN
from app.tui.prompts import Confirm
from app.tui.table_view import TableView
from app.views.columns import Column
from app.views.generations import generation_lines
from app.views.link import link_details, link_line, outbox_lines
from app.views.room import room_text
from app.views.sync import SyncState, advice, read_sync, read_verified, verified_line
from app.views.text import count, safe, since
from storage.engine import EngineError, Snapshot, Transaction
from sync.spoke.status import StreamStatus, nudge, pause, resume, rewind

EMPTY = ("", "  No streams yet: the first call or session makes them. Nothing has to be sent.")
ATTENTION = Style(color="yellow")


class SyncView(TableView[StreamStatus]):
    """Every stream that is sent, with what the hub has of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "now", "send now", id="sync.now"),
        Binding("P", "pause_link", "pause link", id="sync.pause"),
        Binding("R", "resume_link", "resume link", show=False, id="sync.resume"),
        Binding("v", "verify", "verify", id="sync.verify"),
        Binding("B", "rewind", "compare this stream anew", show=False, id="sync.rewind"),
    ]
    WRITES = frozenset({"now", "pause_link", "resume_link", "rewind"})
    noun: ClassVar[str] = "stream"
    empty: ClassVar[Sequence[str]] = EMPTY

    def __init__(self) -> None:
        super().__init__()
        self._found: SyncState | None = None
        self.columns = (
            Column("stream", "STREAM", lambda row: row.topic, 16, grow=True),
            _number("local", "LOCAL", lambda row: row.last_offset),
            _number("acked", "HUB HAS", lambda row: row.acked_offset),
            _number("unsent", "UNSENT", lambda row: row.unsent),
            Column("when", "ACKED", self._acked, 12, lambda row: row.acked_at_ms),
            _number("generation", "GEN", lambda row: row.generation, 3),
            _number("gaps", "GAPS", lambda row: row.gaps, 4),
            _number("refused", "REFUSED", lambda row: row.refused, 7),
        )

    def _acked(self, row: StreamStatus) -> str:
        return "never" if row.acked_at_ms is None else self.spoke.when(row.acked_at_ms)

    def compose_body(self) -> ComposeResult:
        """The link in words above, the streams below."""
        yield Static("", id="facts", markup=False)
        yield self.make_table()

    def read(self, snapshot: Snapshot) -> Sequence[StreamStatus]:
        """The link in one snapshot; what is said above the table is shown by `load`."""
        self._found = read_sync(snapshot, self.spoke.db.max_bytes)
        return self._found.link.streams

    async def load(self) -> None:
        """Read everything in one snapshot."""
        await super().load()
        if self._found is not None:
            self.say("facts", "\n".join(self.spoke.plain(f" {line}") for line in self._facts(self._found)))

    def _facts(self, found: SyncState) -> list[str]:
        running, now_ms = self.spoke.services_running, self.spoke.now_ms()
        # The table has the streams; what is wrong is told below, with what it means and what to do.
        about = replace(found.link, streams=(), error=None, paused_at_ms=None)
        lines = [link_line(found.link, now_ms, running=running, ascii_only=self.spoke.ascii_only)]
        lines += [] if found.link.state == "unpaired" else link_details(about, now_ms, running=True)[1:]
        lines += outbox_lines(found.link, now_ms)
        lines += [] if found.room.max_bytes is None else [f"storage    {room_text(found.room)}"]
        for one in advice(found, running=running):
            lines += textwrap.wrap(f"! {one.what}: {one.means}", max(40, self.size.width - 4), subsequent_indent="  ")
            lines += [f"  -> {one.do}"] if one.do else []
        return lines

    def key(self, row: StreamStatus) -> object:
        """Its name."""
        return row.topic

    def counts(self) -> str:
        """Its name: what counts is in the table."""
        return "sync"

    def failed(self, row: StreamStatus) -> bool:
        """Streams with gaps, or with events in the hub's quarantine."""
        return bool(row.gaps or row.refused)

    def style(self, row: StreamStatus) -> Style:
        """Those in a colour of their own."""
        return ATTENTION if self.failed(row) else PLAIN

    def open(self, row: StreamStatus) -> None:
        """Its lives, and its events that the hub could not read."""
        if self._found is None:
            return
        now_ms = self.spoke.now_ms()
        lives = [one for one in self._found.generations if one.topic == row.topic]
        refused = [one for one in self._found.refusals if one.topic == row.topic]
        lines = ["generations: the lives of this log; nothing of them is overwritten", ""]
        lines += generation_lines(lives)[1:] or ["  none yet: they begin with the first session with a hub"]
        lines += ["", "events in the hub's quarantine: it could not read them", ""]
        for one in refused:
            payload = "(deleted here)" if one.payload is None else one.payload[:2_000]
            when = since(one.noted_at_ms, now_ms)
            lines += [f"  {count(one.offset)}  {one.code}: {one.detail}  {when}", f"    {safe(payload)}"]
        self.app.push_screen(Detail(f"stream {row.topic}", "\n".join(lines if refused else [*lines, "  none"])))

    # -- verbs ---------------------------------------------------------------------------------------------------------

    async def _write(self, change: Callable[[Transaction], object], done: str) -> None:
        try:
            await self.spoke.db.run(change)
        except EngineError as error:
            self.notify(f"{error}" + (f" — {error.hint}" if error.hint else ""), severity="error")
        else:
            self.notify(done)
        self.spoke.reload()

    async def action_now(self) -> None:
        """Try at once instead of waiting for the next attempt."""
        await self._write(nudge, "the link was told to send now")

    def why_not_now(self) -> str | None:
        """There must be a hub, and somebody who runs the link."""
        reason = self._no_hub()
        if reason is None and not self.spoke.services_running:
            reason = "no process runs the link: spoke run"
        if reason is None and self._found is not None and self._found.link.paused_at_ms is not None:
            reason = "the link is paused: R resumes it"
        return reason

    @work
    async def action_pause_link(self) -> None:
        """Let the link rest, also over restarts."""
        about = ["What is on its way is acknowledged first; events wait here, nothing is lost."]
        if await self.app.push_screen_wait(Confirm("let the link rest until it is resumed?", about)):
            at_ms = self.spoke.now_ms()
            await self._write(audited("sync.pause", lambda tx: pause(tx, at_ms)), "the link rests; R resumes it")

    def why_not_pause_link(self) -> str | None:
        """It must not rest already."""
        paused = self._found is not None and self._found.link.paused_at_ms is not None
        return self._no_hub() or ("it is paused already: R resumes it" if paused else None)

    async def action_resume_link(self) -> None:
        """End the pause."""
        await self._write(audited("sync.resume", resume), "the link goes on")

    def why_not_resume_link(self) -> str | None:
        """It must rest."""
        paused = self._found is not None and self._found.link.paused_at_ms is not None
        return None if paused else "the link is not paused"

    @work
    async def action_rewind(self) -> None:
        """Forget how far the hub has the stream, and compare anew."""
        row = self.table.selected
        about = ["Safe: what the hub has is not sent again. Until it has spoken, everything is shown as unsent."]
        if row is None:
            return
        topic = row.topic
        if await self.app.push_screen_wait(Confirm(f"compare {topic} with the hub anew?", about)):
            change = audited("sync.rewind", lambda tx: rewind(tx, topic), stream=topic)
            await self._write(change, f"{topic}: compared anew when the link is up")

    def why_not_rewind(self) -> str | None:
        """There must be a hub and a stream."""
        return self._no_hub() or (None if self.table.selected else "there is no stream here")

    @work(exclusive=True, group="verify")
    async def action_verify(self) -> None:
        """Recompute the hashes of every log, and compare them with what the hub acknowledged."""
        self.notify("every event is read: this takes a while for a large log")
        try:
            found = await self.spoke.db.read(read_verified)
        except EngineError as error:
            self.notify(f"{error}" + (f" — {error.hint}" if error.hint else ""), severity="error")
            return
        lines = [verified_line(one).replace("; ", "\n  ") for one in found]
        lines += ["", "same: the hub has acknowledged exactly the events that are here, every byte, in this order."]
        if not all(one.good for one in found):
            lines += [
                "",
                "A log is not what was noted of it: rows were changed behind our back. Keep a copy of the file and",
            ]
            lines += ["check the disk; the next session begins a generation where they part."]
        if self.is_current:
            self.app.push_screen(Detail("verify", "\n".join(lines)))

    def why_not_verify(self) -> str | None:
        """Something must have been acknowledged."""
        known = self._found is not None and self._found.generations
        return None if known else "nothing to compare with: no hub has acknowledged anything yet"

    def _no_hub(self) -> str | None:
        unpaired = self._found is None or self._found.link.state == "unpaired"
        return "this node has no hub: spoke join wss://HOST" if unpaired else None


def _number(name: str, title: str, of: Callable[[StreamStatus], int], width: int = 9) -> Column[StreamStatus]:
    return Column(name, title, lambda row: count(of(row)), width, of, right=True)
