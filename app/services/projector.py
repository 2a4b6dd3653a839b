"""The projector: keeps the rows of a tenant file in step with its log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from app.services.readiness import not_ready
from app.services.waiting import woken_or_stopped
from storage.engine import Database
from storage.engine.stream import last_offset, saved_offset
from storage.projections.call_graph import CALL_GRAPH
from storage.projections.projection import BATCH, Projection, step
from storage.projections.sessions import SESSIONS

if TYPE_CHECKING:
    import asyncio

PROJECTIONS: tuple[Projection, ...] = (SESSIONS, CALL_GRAPH)

SAFETY_POLL_S = 15.0


def behind(db: Database, projections: Sequence[Projection] = PROJECTIONS) -> list[Projection]:
    """The projections that have not seen every event; takes no write lock."""
    with db.snapshot() as snapshot:
        return [p for p in projections if last_offset(snapshot, p.topic) > saved_offset(snapshot, p.consumer, p.topic)]


def catch_up(
    db: Database,
    projections: Sequence[Projection] = PROJECTIONS,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Project everything that is in the log now and return how many events that were.

    Safe beside a running daemon: cursor and rows move in one transaction, so each event is applied once by whoever
    comes first. `progress` is told the events done so far. A database that was opened read-only stays as it is.
    """
    done = 0
    if db.read_only:
        return done
    for projection in behind(db, projections):
        while True:
            with db.transaction() as tx:
                count = step(tx, projection)
            done += count
            if progress is not None:
                progress(done)
            if count < BATCH:
                break
    return done


async def run(db: Database, stop: asyncio.Event, projections: tuple[Projection, ...] = PROJECTIONS) -> None:
    """Project new events as they are committed, until `stop`.

    A crash at any point leaves rows and cursor in step; the next run goes on there.
    """
    import asyncio

    waiter = db.wake.add([("stream", projection.topic) for projection in projections])
    not_ready["projector"] = "rows are brought up to the log"
    stopped = asyncio.ensure_future(stop.wait())
    try:
        while not stop.is_set():
            waiter.clear()  # before the read: a commit in between wakes us again
            counts = [await db.run(partial(step, projection=projection)) for projection in projections]
            if max(counts) < BATCH:
                not_ready.pop("projector", None)
                await woken_or_stopped(waiter, stopped, SAFETY_POLL_S)
    finally:
        not_ready.pop("projector", None)
        stopped.cancel()
        db.wake.remove(waiter)
