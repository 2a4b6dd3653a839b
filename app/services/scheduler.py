"""The scheduler of a file: one process at a time, by the lock `scheduler-leader`, turns due schedules into jobs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from app.services.waiting import stopped_within
from storage.engine import Database, LeadershipLost, LockHeld
from storage.engine.schedules import list_schedules
from storage.maintenance import Schedule

LOCK = "scheduler-leader"
LOCK_TTL_S = 30
HEARTBEAT_S = 10

log = logging.getLogger("spoke.scheduler")


async def lead(db: Database, schedules: Sequence[Schedule], stop: asyncio.Event) -> None:
    """Add the schedules that are missing, and fire what is due while this process is the leader; else wait for it."""
    known = {str(row["name"]) for row in await db.read(list_schedules)}
    scheduler = db.scheduler(LOCK)
    scheduler.lock_ttl, scheduler.heartbeat_interval = LOCK_TTL_S, HEARTBEAT_S
    for schedule in schedules:
        if schedule.name not in known:  # one that the user has changed stays as it is
            await asyncio.to_thread(
                scheduler.add,
                name=schedule.name,
                queue=schedule.queue,
                schedule=schedule.expression,
                payload=schedule.payload,
            )
    while not stop.is_set():
        try:
            await scheduler.run(stop)
        except (LockHeld, LeadershipLost) as error:
            log.info("%s; waiting to take over", error)
        await stopped_within(stop, LOCK_TTL_S)
