"""Schedules, and the locks that are held."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from rich.style import Style
from textual import work
from textual.binding import Binding, BindingType

from app.tui.detail import Detail
from app.tui.prompts import Confirm
from app.tui.queues import DeskView
from app.tui.style import FAILED, WARNING
from app.views.schedule_text import lock_columns, schedule_columns
from app.views.schedules import LockRow, ScheduleRow, read_locks, read_schedules
from storage.engine import Snapshot


class SchedulesView(DeskView):
    """What is queued again and again, and when next."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("P", "pause_or_resume", "pause/resume", id="schedules.pause"),
        Binding("R", "run_now", "run now", id="schedules.run_now"),
        Binding("X", "remove", "remove", show=False, id="schedules.remove"),
        Binding("L", "locks", "locks", id="schedules.locks"),
    ]
    WRITES: ClassVar[frozenset[str]] = frozenset({"pause_or_resume", "run_now", "remove"})
    noun: ClassVar[str] = "schedule"
    empty: ClassVar[Sequence[str]] = (
        "",
        "  No schedules. A schedule queues a job again and again.",
        "",
        '  Add one:   spoke schedule add nightly reports "0 3 * * *"',
        '             spoke schedule add ping pings "@every 5m"',
    )

    def __init__(self) -> None:
        super().__init__()
        self.columns = schedule_columns(lambda at: self.spoke.when(at))

    def read(self, snapshot: Snapshot) -> Sequence[ScheduleRow]:
        """The schedules."""
        return read_schedules(snapshot)

    def key(self, row: ScheduleRow) -> object:
        """Its name."""
        return row.name

    def failed(self, row: ScheduleRow) -> bool:
        """Whether jobs of its queue died."""
        return row.dead > 0

    def style(self, row: ScheduleRow) -> Style:
        """Red where jobs died, yellow where it is paused."""
        return FAILED if row.dead else WARNING if not row.enabled else Style()

    def open(self, row: ScheduleRow) -> None:
        """Everything about it."""
        lines = [
            f"schedule  {row.name}: {'on' if row.enabled else 'paused'}",
            f"when      {row.expression}",
            f"next      {', '.join(map(self.spoke.when, row.next_ms)) or 'not while it is paused'}",
            f"queue     {row.queue}: {row.waiting} wait or run, {row.dead} dead",
            "payload",
            row.payload,
        ]
        self.app.push_screen(Detail(f"schedule {row.name}", "\n".join(lines)))

    def _why_not(self) -> str | None:
        return self.spoke.why_not_operate() or (None if self.table.marked else "there is no schedule here")

    why_not_pause_or_resume = why_not_run_now = why_not_remove = _why_not

    @work
    async def action_pause_or_resume(self) -> None:
        """Pause the marked schedules that are on, or resume them."""
        await self.pause_or_resume("name", lambda row: not row.enabled)

    @work
    async def action_run_now(self) -> None:
        """Queue its job now."""
        await self.change("schedule.run_now", [{"name": row.name} for row in self.table.marked], "queued a job")

    @work
    async def action_remove(self) -> None:
        """Remove it; jobs that it has queued stay."""
        rows = self.table.marked
        names = ", ".join(row.name for row in rows)
        if await self.app.push_screen_wait(Confirm(f"remove {names}?", ["jobs that are queued stay"])):
            await self.change("schedule.remove", [{"name": row.name} for row in rows], "removed")

    def action_locks(self) -> None:
        """Who holds what."""
        self.app.push_screen(LocksView())


class LocksView(DeskView):
    """The locks that are held."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("X", "release", "release", id="locks.release")]
    WRITES: ClassVar[frozenset[str]] = frozenset({"release"})
    noun: ClassVar[str] = "lock"
    empty: ClassVar[Sequence[str]] = ("", "  Nobody holds a lock. Programs take them with db.lock(name).")

    def __init__(self) -> None:
        super().__init__()
        self.columns = lock_columns(lambda at: self.spoke.when(at))

    def read(self, snapshot: Snapshot) -> Sequence[LockRow]:
        """The locks."""
        return read_locks(snapshot)

    def key(self, row: LockRow) -> object:
        """Its name."""
        return row.name

    def open(self, row: LockRow) -> None:
        """Everything about it."""
        text = {"name": row.name, "owner": row.owner, "expiresMs": row.expires_ms}
        self.app.push_screen(Detail(f"lock {row.name}", json.dumps(text, ensure_ascii=False, indent=2)))

    def why_not_release(self) -> str | None:
        """There must be one."""
        return self.spoke.why_not_operate() or (None if self.table.marked else "nobody holds a lock")

    @work
    async def action_release(self) -> None:
        """Take it from its holder."""
        rows: list[Any] = self.table.marked
        details = ["a holder that lives goes on without it: two may then do the same"]
        name = rows[0].name if len(rows) == 1 else f"{len(rows)} locks"
        if await self.app.push_screen_wait(Confirm(f"release {name}?", details, typed=name)):
            await self.change("lock.release", [{"name": row.name} for row in rows], "released")
