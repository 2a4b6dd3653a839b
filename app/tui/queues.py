"""Queues, the jobs of one, and what dead jobs died of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rich.style import Style
from textual import work
from textual.binding import Binding, BindingType

from app.tui.detail import Detail
from app.tui.prompts import Confirm
from app.tui.style import FAILED, RUNNING, WARNING
from app.tui.table_view import TableView
from app.views.columns import Column
from app.views.queue_text import cause_columns, job_columns, job_facts, queue_columns
from app.views.queues import (
    ASCII_GLYPHS,
    GLYPHS,
    JOBS_SHOWN,
    STATES,
    Cause,
    JobRow,
    JobState,
    QueueRow,
    count_jobs,
    read_causes,
    read_job,
    read_jobs,
    read_queues,
)
from app.views.text import count, of, safe
from storage.engine import Snapshot
from storage.engine.errors import EngineError
from storage.engine.pauses import paused_queues
from sync.calls.errors import CallFailed

UNDO_S = 5
"""A retried job is due only then, so that a retry can be taken back before a worker has it."""


class DeskView(TableView[Any]):
    """What the screens here share: verbs that change jobs."""

    async def change(self, operation: str, values: Sequence[dict[str, Any]], told: str) -> list[dict[str, Any]]:
        """Execute an operation for each value and say how it went; the first error is said, the rest goes on.

        What found nothing to change any more (a job that was done meanwhile) is not counted. Returns the outcomes.
        """
        outcomes: list[dict[str, Any]] = []
        done, problem = 0, ""
        for value in values:
            try:
                outcomes.append(await self.spoke.operate(operation, value))
                done += outcomes[-1].get("done", True)
            except (CallFailed, EngineError) as error:
                problem = problem or str(error)
        self.table.mark(set())
        if problem:
            self.notify(f"{of(done, self.noun)} {told}; not the others: {safe(problem)}", severity="error")
        else:
            self.notify(f"{of(done, self.noun)} {told}")
        return outcomes

    async def pause_or_resume(self, field: str, rests: Callable[[Any], bool]) -> None:
        """Pause what is on of the marked rows; where all of them rest, resume them. `field`: how a row is named."""
        rows, resting = self.table.marked, [rests(row) for row in self.table.marked]
        verb, told = ("resume", "on") if all(resting) else ("pause", "paused")
        chosen = [row for row, rest in zip(rows, resting, strict=True) if rest is (verb == "resume")]
        await self.change(f"{self.noun}.{verb}", [{field: row.name} for row in chosen], told)

    @work
    async def show_job(self, job: int) -> None:
        """Everything about a job."""
        try:
            found, payload = await self.spoke.db.read(lambda snapshot: read_job(snapshot, job))
        except EngineError as error:
            self.notify(f"{error}; {error.hint}", severity="warning")  # done since the list was read
            return
        self.app.push_screen(Detail(f"job {job}", payload, job_facts(found, self.spoke.when)))


class QueuesView(DeskView):
    """Every queue that has jobs or rests."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("P", "pause_or_resume", "pause/resume", id="queues.pause"),
        Binding("R", "retry_all", "retry all dead", id="queues.retry_all"),
        Binding("X", "purge", "delete the dead", show=False, id="queues.purge"),
    ]
    WRITES: ClassVar[frozenset[str]] = frozenset({"pause_or_resume", "retry_all", "purge"})
    noun: ClassVar[str] = "queue"
    empty: ClassVar[Sequence[str]] = (
        "",
        "  No jobs. A queue is there while it has jobs: work that is done later, and again when it fails.",
        "",
        '  Add one:        spoke call queue.enqueue \'{"queue": "mail", "payload": {}}\'',
        '  Again and again: spoke schedule add nightly reports "0 3 * * *"',
    )

    def __init__(self) -> None:
        super().__init__()
        self.columns = queue_columns(lambda at: self.spoke.when(at))

    def read(self, snapshot: Snapshot) -> Sequence[QueueRow]:
        """The queues."""
        return read_queues(snapshot)

    def key(self, row: QueueRow) -> object:
        """Its name."""
        return row.name

    def open(self, row: QueueRow) -> None:
        """Its jobs."""
        self.spoke.open_noun("queue", row.name)

    def failed(self, row: QueueRow) -> bool:
        """Whether jobs of it died."""
        return row.dead > 0

    def style(self, row: QueueRow) -> Style:
        """Red where jobs died, yellow where it is paused."""
        return FAILED if row.dead else Style() if row.paused_ms is None else WARNING

    def why_not_pause_or_resume(self) -> str | None:
        """There must be one."""
        return self.spoke.why_not_operate() or (None if self.table.marked else "there is no queue here")

    @work
    async def action_pause_or_resume(self) -> None:
        """Pause the marked queues that are on, or resume them."""
        await self.pause_or_resume("queue", lambda row: row.paused_ms is not None)

    def why_not_retry_all(self) -> str | None:
        """Only dead jobs are retried."""
        if reason := self.spoke.why_not_operate():
            return reason
        return None if any(row.dead for row in self.table.marked) else "no job of this queue is dead"

    why_not_purge = why_not_retry_all

    @work
    async def action_retry_all(self) -> None:
        """Queue all dead jobs of the marked queues anew."""
        rows = [row for row in self.table.marked if row.dead]
        if await self.app.push_screen_wait(Confirm(*_of_queues("retry", rows))):
            await self.change("queue.retry_all", [{"queue": row.name} for row in rows], "retried")

    @work
    async def action_purge(self) -> None:
        """Delete the dead jobs of the marked queues."""
        rows = [row for row in self.table.marked if row.dead]
        name = rows[0].name if len(rows) == 1 else f"{len(rows)} queues"
        if await self.app.push_screen_wait(Confirm(*_of_queues("delete for good", rows), typed=name)):
            await self.change("queue.purge", [{"queue": row.name} for row in rows], "purged")


def _of_queues(verb: str, rows: Sequence[QueueRow]) -> tuple[str, list[str]]:
    return (
        f"{verb} {of(sum(row.dead for row in rows), 'dead job')}?",
        [f"  {row.name}: {count(row.dead)}" for row in rows[:8]] + (["  …"] if len(rows) > 8 else []),
    )


class QueueView(DeskView):
    """The jobs of one queue, the newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "state(1)", "state", id="queue.state"),
        Binding("left,h", "state(-1)", "previous state", show=False, id="queue.previous_state"),
        Binding("c", "causes", "by cause", id="queue.causes"),
        Binding("R", "retry", "retry", id="queue.retry"),
        Binding("u", "unretry", "take the retry back", show=False, id="queue.unretry"),
        Binding("X", "cancel", "cancel", id="queue.cancel"),
        Binding("o", "older", "older jobs", id="queue.older"),
        Binding("O", "newer", "newer jobs", show=False, id="queue.newer"),
    ]
    WRITES: ClassVar[frozenset[str]] = frozenset({"retry", "unretry", "cancel"})
    noun: ClassVar[str] = "job"
    empty: ClassVar[Sequence[str]] = ("", "  No jobs in this state. → shows the next one.")

    def __init__(self, queue: str) -> None:
        super().__init__()
        self._queue = queue
        self._state: JobState | None = None
        self._before: list[int] = []
        """The jobs that the pages on the way here begin behind; empty on the first, which has the newest."""
        self._oldest = 0
        self._more = False
        self._of = 0
        self._rests = False
        self._retried: list[dict[str, Any]] = []
        self._retried_ms = 0
        glyph: Column[JobRow] = Column(
            "glyph", "", lambda row: (ASCII_GLYPHS if self.spoke.ascii_only else GLYPHS)[row.state], 1
        )
        self.columns = (glyph, *job_columns(lambda at: self.spoke.when(at)))

    def heading(self) -> str:
        """The queue, and which jobs of it."""
        paused = " · paused" if self._rests else ""
        part = "older" if self._before else "newest" if self._more else ""
        which = f"{self._state or 'all'} jobs" if not part else f"{self._state}, {part}" if self._state else part
        return f"queue {safe(self._queue)}{paused} · {which}"

    def counts(self) -> str:
        """Where the list does not hold every job, that is said, and how many there are."""
        return super().counts() + (f" of {count(self._of)}" if self._more or self._before else "")

    def read(self, snapshot: Snapshot) -> Sequence[JobRow]:
        """A page of its jobs."""
        before = self._before[-1] if self._before else None
        rows = read_jobs(snapshot, self._queue, self._state, JOBS_SHOWN + 1, before)
        self._oldest, self._more = (rows[JOBS_SHOWN - 1].id, True) if len(rows) > JOBS_SHOWN else (0, False)
        self._of = count_jobs(snapshot, self._queue, self._state) if self._more or before is not None else 0
        self._rests = self._queue in paused_queues(snapshot)
        return rows[:JOBS_SHOWN]

    def key(self, row: JobRow) -> object:
        """Its id."""
        return row.id

    def failed(self, row: JobRow) -> bool:
        """Dead, or tried in vain."""
        return row.error is not None

    def style(self, row: JobRow) -> Style:
        """By state."""
        return {"dead": FAILED, "running": RUNNING}.get(row.state, Style())

    def open(self, row: JobRow) -> None:
        """Everything about it."""
        self.show_job(row.id)

    def action_state(self, step: int) -> None:
        """Jobs of another state."""
        states: list[JobState | None] = [None, *STATES]
        self._state = states[(states.index(self._state) + step) % len(states)]
        self._turn([])

    def action_older(self) -> None:
        """The page before this one in time."""
        self._turn([*self._before, self._oldest])

    def action_newer(self) -> None:
        """The page after this one in time."""
        self._turn(self._before[:-1])

    def _turn(self, before: list[int]) -> None:
        self._before = before
        self.pause.go_on()  # what is asked for is shown, also where the list was frozen
        self.table.move_to(0)
        self.spoke.reload()

    def why_not_older(self) -> str | None:
        """There must be some."""
        return None if self._more else "these are the oldest jobs"

    def why_not_newer(self) -> str | None:
        """There must be some."""
        return None if self._before else "these are the newest jobs"

    def action_causes(self) -> None:
        """Dead jobs grouped by what they died of."""
        self.app.push_screen(CausesView(self._queue))

    def why_not_retry(self) -> str | None:
        """Only dead jobs are retried."""
        if reason := self.spoke.why_not_operate():
            return reason
        return None if any(row.state == "dead" for row in self.table.marked) else "select a dead job first"

    def why_not_cancel(self) -> str | None:
        """Dead jobs are over."""
        if reason := self.spoke.why_not_operate():
            return reason
        return None if any(row.state != "dead" for row in self.table.marked) else "select a job that waits or runs"

    @work
    async def action_retry(self) -> None:
        """Queue the marked dead jobs anew."""
        rows = [row for row in self.table.marked if row.state == "dead"]
        if len(rows) > 1 and not await self.app.push_screen_wait(Confirm(self._bulk("retry", len(rows)))):
            return
        key = self.spoke.keymap.get("queue.unretry", "u")
        told = f"queued anew: due in {UNDO_S} s; until then {key} takes it back"
        self._retried = await self.change("queue.retry", [{"id": row.id, "delay_s": UNDO_S} for row in rows], told)
        self._retried_ms = self.spoke.now_ms()

    def why_not_unretry(self) -> str | None:
        """What was retried here, for some seconds."""
        if reason := self.spoke.why_not_operate():
            return reason
        late = self.spoke.now_ms() - self._retried_ms > UNDO_S * 1000
        return f"nothing was retried here in the last {UNDO_S} s" if late or not self._retried else None

    @work
    async def action_unretry(self) -> None:
        """Make what was just retried dead again, as it was."""
        retried, self._retried = self._retried, []
        try:
            outcome = await self.spoke.operate("queue.unretry", {"jobs": retried})
        except (CallFailed, EngineError) as error:
            self.notify(str(error), severity="error")
            return
        dead, left = len(outcome["dead"]), len(outcome["left"])
        told = [f"{of(dead, 'job')} dead again, as before"] if dead else []
        told += [f"{of(left, 'job')} left as it is: a worker has had it"] if left else []
        self.notify("; ".join(told), severity="warning" if left else "information")

    @work
    async def action_cancel(self) -> None:
        """Remove the marked jobs that wait or run."""
        rows = [row for row in self.table.marked if row.state != "dead"]
        details = ["a job that runs is not stopped; its result is not kept"]
        if await self.app.push_screen_wait(Confirm(self._bulk("remove", len(rows)), details)):
            await self.change("queue.cancel", [{"id": row.id} for row in rows], "removed")

    def _bulk(self, verb: str, number: int) -> str:
        shown = f", chosen with the filter {self.filter_text!r}" if self.filter_text else ""
        return f"{verb} {of(number, 'job')} of {self._queue}{shown}?"


class CausesView(DeskView):
    """What the dead jobs of a queue died of, the most frequent first."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("R", "retry", "retry all of this cause", id="causes.retry")]
    WRITES: ClassVar[frozenset[str]] = frozenset({"retry"})
    noun: ClassVar[str] = "cause"
    empty: ClassVar[Sequence[str]] = ("", "  No job of this queue is dead.")

    def __init__(self, queue: str) -> None:
        super().__init__()
        self._queue = queue
        self.columns = cause_columns(lambda at: self.spoke.when(at))

    def heading(self) -> str:
        """Of which queue."""
        return f"queue {safe(self._queue)} · causes of death"

    def read(self, snapshot: Snapshot) -> Sequence[Cause]:
        """The causes."""
        return read_causes(snapshot, self._queue)

    def key(self, row: Cause) -> object:
        """The error without what varies."""
        return row.error

    def open(self, row: Cause) -> None:
        """An example."""
        self.show_job(row.example)

    def why_not_retry(self) -> str | None:
        """There must be one."""
        return self.spoke.why_not_operate() or (None if self.table.marked else "no job of this queue is dead")

    @work
    async def action_retry(self) -> None:
        """Queue every dead job of the marked causes anew."""
        rows = self.table.marked
        details = [f"  {count(row.jobs)} x {row.error[:70]}" for row in rows[:8]]
        if await self.app.push_screen_wait(Confirm(f"retry {of(sum(row.jobs for row in rows), 'job')}?", details)):
            await self.change(
                "queue.retry_all", [{"queue": self._queue, "cause": row.error} for row in rows], "retried"
            )
