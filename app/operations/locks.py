"""`lock.*`: who holds what."""

from __future__ import annotations

from app.operations.declare import Group, NothingInput
from app.operations.queues import DoneOutput
from app.views.schedules import read_locks
from storage.operations.spec import Model, OperationContext
from sync.calls.registry import Registry


class LockOutput(Model):
    """A lock; times are unix milliseconds."""

    name: str
    owner: str
    expires_ms: int


class LocksOutput(Model):
    """All locks that are held."""

    locks: list[LockOutput]


class LockInput(Model):
    """Which lock."""

    name: str


def register(registry: Registry) -> None:
    """Add the operations of this module."""
    group = Group(registry, "lock")

    @group.query("list", "The locks that are held on this node.")
    def list_locks(_: NothingInput, context: OperationContext) -> LocksOutput:
        with context.database.snapshot() as snapshot:
            found = read_locks(snapshot)
        return LocksOutput(
            locks=[LockOutput(name=one.name, owner=one.owner, expires_ms=one.expires_ms) for one in found]
        )

    @group.mutation("release", "Take a lock from whoever holds it: for a holder that is dead.")
    def release(given: LockInput, context: OperationContext) -> DoneOutput:
        context.transaction.execute("DELETE FROM _honker_locks WHERE name = ?", (given.name,))
        return DoneOutput(done=context.transaction.changes > 0)
