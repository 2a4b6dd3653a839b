"""The scheduler: one process at a time turns due schedules into jobs."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from storage.engine import locks, schedules
from storage.engine.cron import CronSchedule
from storage.engine.errors import EngineError
from storage.engine.locks import LockHeld
from storage.engine.payload import dumps
from storage.engine.transaction import Transaction

if TYPE_CHECKING:
    import asyncio

    from storage.engine.database import Database

_UNSET: Any = object()


class LeadershipLost(EngineError, RuntimeError):
    """Another process has become the scheduler; this one stops."""

    hint = "start it again; it waits for the lock"


class Scheduler:
    """Schedules of a database, and the loop that fires them.

    `lock_ttl` and `heartbeat_interval` (seconds) say how long a crashed leader holds the others up.
    """

    LOCK_TTL = 60
    HEARTBEAT = 30
    LOCK_NAME = "honker-scheduler"

    def __init__(self, db: Database, lock_name: str | None = None) -> None:
        self._db = db
        self.lock_name = lock_name or self.LOCK_NAME
        self.lock_ttl: float = self.LOCK_TTL
        self.heartbeat_interval: float = self.HEARTBEAT

    def add(
        self,
        *,
        name: str,
        queue: str,
        schedule: CronSchedule | str,
        payload: Any = None,
        priority: int = 0,
        expires: int | None = None,
        max_attempts: int | None = 3,
    ) -> None:
        """Add or replace a schedule; an unchanged expression keeps its next time."""
        text = dumps(payload)
        with self._db.transaction() as tx:
            schedules.register(
                tx,
                name,
                queue,
                str(schedule),
                text,
                priority=priority,
                expires_s=expires,
                max_attempts=max_attempts,
                now=self._db.clock(),
            )

    def remove(self, name: str) -> bool:
        """Remove a schedule."""
        with self._db.transaction() as tx:
            return schedules.unregister(tx, name)

    def pause(self, name: str) -> bool:
        """Stop firing; False when it was paused or is not there."""
        with self._db.transaction() as tx:
            return schedules.set_enabled(tx, name, enabled=False, now=self._db.clock())

    def resume(self, name: str) -> bool:
        """Fire again, from now on; False when it was not paused or is not there."""
        with self._db.transaction() as tx:
            return schedules.set_enabled(tx, name, enabled=True, now=self._db.clock())

    def list(self) -> list[dict[str, Any]]:
        """Every schedule. Reads only."""
        with self._db.snapshot() as snapshot:
            return schedules.list_schedules(snapshot)

    def update(
        self,
        name: str,
        *,
        schedule: CronSchedule | str = _UNSET,
        payload: Any = _UNSET,
        priority: int = _UNSET,
        expires: int | None = _UNSET,
        max_attempts: int | None = _UNSET,
    ) -> bool:
        """Change the given fields only; False when none is given or there is no such schedule."""
        given = {
            "schedule": schedule,
            "payload": payload,
            "priority": priority,
            "expires": expires,
            "max_attempts": max_attempts,
        }
        fields = {key: value for key, value in given.items() if value is not _UNSET}
        with self._db.transaction() as tx:
            return schedules.update(tx, name, fields, now=self._db.clock())

    async def run(self, stop_event: asyncio.Event | None = None) -> None:
        """Fire schedules while this process holds the lock; returns when `stop_event` is set or none is enabled.

        Sleeps until the next fire, the next heartbeat, or a change of the schedules; commits that have nothing to do
        with schedules do not wake it (defect 4 of Honker).

        Raises:
            RuntimeError: there is no schedule.
            LockHeld: another process is the scheduler.
            LeadershipLost: the lock ran out and another process took it.
        """
        import asyncio

        owner = uuid.uuid4().hex
        waiter = self._db.wake.add([("schedule", "")])
        stop = stop_event or asyncio.Event()
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await self._db.run(lambda tx: self._lead(tx, owner))
            renewed = self._db.clock()
            while not stop.is_set():
                waiter.clear()  # before the look: a change in between wakes us again
                if self._db.clock() - renewed >= self.heartbeat_interval:
                    await self._db.run(lambda tx: self._stay(tx, owner))
                    renewed = self._db.clock()
                at = await self._db.read(schedules.soonest)
                if not at:
                    return
                now = self._db.clock()
                if at <= now:
                    await self._db.run(lambda tx: self._tick(tx, owner))
                    continue
                pause = min(at - now, renewed + self.heartbeat_interval - now)
                woken = asyncio.ensure_future(waiter.wait(max(0.0, pause)))
                await asyncio.wait({woken, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if woken.done():
                    woken.result()
                else:
                    woken.cancel()
        finally:
            stopping.cancel()
            self._db.wake.remove(waiter)
            if not self._db.closed:
                await self._db.run(lambda tx: locks.release(tx, self.lock_name, owner))

    def _lead(self, tx: Transaction, owner: str) -> None:
        if not tx.rows("SELECT 1 FROM _honker_scheduler_tasks LIMIT 1"):
            raise RuntimeError("no schedules: add() some first")
        if not locks.acquire(tx, self.lock_name, owner, self.lock_ttl, now=self._db.clock()):
            raise LockHeld(f"another process is the scheduler (lock {self.lock_name!r})")

    def _stay(self, tx: Transaction, owner: str) -> None:
        if not locks.renew(tx, self.lock_name, owner, self.lock_ttl, now=self._db.clock()):
            raise LeadershipLost(f"the lock {self.lock_name!r} was taken by another process")

    def _tick(self, tx: Transaction, owner: str) -> None:
        # In the transaction of the fires: a process that lost the lock while it slept fires nothing.
        self._stay(tx, owner)
        schedules.tick(tx, now=self._db.clock())
