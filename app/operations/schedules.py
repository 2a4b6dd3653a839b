"""`schedule.*`: jobs that are queued again and again."""

from __future__ import annotations

from typing import Any

from app.operations.declare import Group, Json, NothingInput, check_name
from storage.engine import schedules
from storage.engine.payload import dumps
from storage.graphs.errors import NotFoundError
from storage.operations.spec import Model, OperationContext
from sync.calls.registry import Registry


class NoSuchScheduleError(NotFoundError):
    """There is no schedule of that name."""

    hint = "`spoke schedule list` shows those that there are"


class ScheduleOutput(Model):
    """A schedule; `nextFireAt` is unix seconds."""

    name: str
    queue: str
    expression: str
    payload: Any
    next_fire_at: int
    enabled: bool


class SchedulesOutput(Model):
    """All schedules."""

    schedules: list[ScheduleOutput]


class ScheduleInput(Model):
    """A job that is queued again and again: cron, or `@every 5m`."""

    name: str
    queue: str
    expression: str
    payload: Json = None


class NameInput(Model):
    """Which one."""

    name: str


class JobOutput(Model):
    """The job that was queued."""

    id: int


class DoneOutput(Model):
    """Whether something changed."""

    done: bool


def register(registry: Registry) -> None:
    """Add the operations of this module."""
    group = Group(registry, "schedule")

    @group.query("list", "The schedules of this node.")
    def list_schedules(_: NothingInput, context: OperationContext) -> SchedulesOutput:
        with context.database.snapshot() as snapshot:
            found = schedules.list_schedules(snapshot)
        return SchedulesOutput(
            schedules=[
                ScheduleOutput(
                    name=row["name"],
                    queue=row["queue"],
                    expression=row["cron_expr"],
                    payload=row["payload"],
                    next_fire_at=row["next_fire_at"],
                    enabled=row["enabled"],
                )
                for row in found
            ]
        )

    @group.mutation("add", "Add a schedule, or replace the one of that name.")
    def add(given: ScheduleInput, context: OperationContext) -> NameInput:
        schedules.register(
            context.transaction,
            check_name(given.name),
            check_name(given.queue),
            given.expression,
            dumps(given.payload),
            priority=0,
            expires_s=None,
            max_attempts=3,
            now=context.database.clock(),
        )
        return NameInput(name=given.name)

    @group.mutation("remove", "Remove a schedule; jobs that it has queued stay.")
    def remove(given: NameInput, context: OperationContext) -> DoneOutput:
        return DoneOutput(done=schedules.unregister(context.transaction, given.name))

    @group.mutation("pause", "Stop a schedule until it is resumed.")
    def pause(given: NameInput, context: OperationContext) -> DoneOutput:
        return DoneOutput(done=_enable(context, given.name, enabled=False))

    @group.mutation("resume", "Let a schedule go on; what was missed is not made up for.")
    def resume(given: NameInput, context: OperationContext) -> DoneOutput:
        return DoneOutput(done=_enable(context, given.name, enabled=True))

    @group.mutation("run_now", "Queue the job of a schedule now; its next time stays.")
    def run_now(given: NameInput, context: OperationContext) -> JobOutput:
        tx = context.transaction
        rows = tx.rows(
            "SELECT queue, payload, priority, max_attempts, expires_s FROM _honker_scheduler_tasks WHERE name = ?",
            (given.name,),
        )
        if not rows:
            raise NoSuchScheduleError(f"no schedule {given.name!r}")
        ((job,),) = tx.rows(
            "SELECT honker_enqueue(?1, ?2, NULL, NULL, ?3, ?4, ?5)",
            rows[0],
        )
        return JobOutput(id=job)


def _enable(context: OperationContext, name: str, *, enabled: bool) -> bool:
    return schedules.set_enabled(context.transaction, name, enabled=enabled, now=context.database.clock())
