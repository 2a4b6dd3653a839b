"""The services of durable calls, on a node and for a tenant's file on the hub: answering, and hearing answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias

from app.services.draining import finished
from app.services.projector import catch_up
from app.services.waiting import woken_or_stopped
from storage.engine import Database, Snapshot
from storage.engine.wake import Topic, Waiter
from storage.projections.projection import Projection
from sync.durable import caller
from sync.durable.callee import Callee
from sync.durable.states import ENDED
from sync.durable.topics import CALLS, HUB, NODE, RESULTS

MAX_RUNNING = 16
"""Calls of one file that run at once: lanes that are slow do not hold up others, until there are so many of them."""
SAFETY_POLL_S = 15.0
ENDED_POLL_S = 1.0
NEWS: tuple[Topic, ...] = (("link", "status"), ("link", "peers"), ("calls", "placed"))
"""Touched by the link when a session begins: the hub's time may be known now, a peer may be new; and by a new call,
whose deadline may be the first one.
"""

Peers: TypeAlias = Callable[[Snapshot, Sequence[str] | None], Sequence[str]]
"""Who there is: of those named, or (None) at all."""
HubTime: TypeAlias = Callable[[], int | None]


def hub_alone(_: Snapshot, named: Sequence[str] | None) -> Sequence[str]:
    """The peers of a spoke."""
    return (HUB,) if named is None or HUB in named else ()


def spokes(snapshot: Snapshot, named: Sequence[str] | None) -> Sequence[str]:
    """The peers of a hub: every spoke that was ever here."""
    if named is None:
        return [str(row[0]) for row in snapshot.rows("SELECT node_id FROM link_spokes ORDER BY node_id")]
    return [peer for peer in named if snapshot.rows("SELECT 1 FROM link_spokes WHERE node_id = ?", (peer,))]


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def wall_ms() -> int:
    """The wall clock in unix milliseconds: on the hub, the hub's time."""
    return int(time.time() * 1000)


async def until_ended(db: Database, call_id: str) -> caller.DurableCall:
    """Return a call that this file asked for, when it has ended."""
    waiter = db.wake.add([("calls", call_id)])
    try:
        while True:
            waiter.clear()
            call = await db.read(lambda snapshot: caller.get(snapshot, call_id))
            if call.state in ENDED:
                return call
            await waiter.wait(ENDED_POLL_S)
    finally:
        db.wake.remove(waiter)


class _Ear:
    """Who has said something since the last look; what that costs does not grow with the number of peers."""

    def __init__(self, db: Database, names: Sequence[str], peers: Peers) -> None:
        self._db = db
        self._names = frozenset(names)
        self._peers = peers
        self._seen: int | None = None
        self.waiter: Waiter = db.wake.add([*NEWS, *(("received", name) for name in names)])

    async def news(self) -> list[str]:
        """The peers with events that came since the last call; at the first, all."""
        self.waiter.clear()  # before the read: a commit in between wakes us again
        return await self._db.read(self._look)

    def _look(self, snapshot: Snapshot) -> list[str]:
        ((head,),) = snapshot.rows("SELECT coalesce(max(offset), 0) FROM _honker_stream")
        seen, self._seen = self._seen, int(head)
        if seen is None:
            return list(self._peers(snapshot, None))
        topics = snapshot.rows(
            "SELECT DISTINCT topic FROM _honker_stream WHERE offset > ? AND offset <= ?", (seen, self._seen)
        )
        said = (str(topic).partition("@") for (topic,) in topics)
        return list(self._peers(snapshot, sorted({peer for name, at, peer in said if at and name in self._names})))

    def close(self) -> None:
        self._db.wake.remove(self.waiter)


async def answer(callee: Callee, db: Database, peers: Peers, stop: asyncio.Event) -> None:
    """Take in calls and execute them, until `stop`; what runs then is finished first.

    When the process ends before it does, it is as after a crash: run again if it is idempotent, else INDETERMINATE.
    """
    await asyncio.to_thread(callee.recover)
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(MAX_RUNNING, thread_name_prefix="callee")
    ear = _Ear(db, [CALLS], peers)
    stopped = asyncio.ensure_future(stop.wait())
    running: set[asyncio.Future[None]] = set()
    waiting: set[str] = set()
    try:
        while not stop.is_set():
            waiting.update(await ear.news())
            more = await asyncio.to_thread(callee.take_in, sorted(waiting))
            if not more:
                waiting.clear()
            callee.stop_overdue()
            for call in (await db.read(callee.ready))[: MAX_RUNNING - len(running)]:
                callee.claim(call)
                running.add(loop.run_in_executor(pool, callee.run, call))
            if not more:
                due_ms = callee.next_deadline_ms()
                seconds = SAFETY_POLL_S if due_ms is None else min(SAFETY_POLL_S, due_ms / 1000)
                await woken_or_stopped(ear.waiter, stopped, seconds, *running)
            ended = {future for future in running if future.done()}
            running -= ended
            for future in ended:
                future.result()
    finally:
        stopped.cancel()
        ear.close()
        pool.shutdown(wait=await finished(running))


async def hear(
    db: Database,
    peers: Peers,
    consumers: Callable[[str], Sequence[Projection]],
    hub_time: HubTime,
    stop: asyncio.Event,
) -> None:
    """Take in what peers answer (and tell), and give up calls whose deadline passes, until `stop`."""
    ear = _Ear(db, [RESULTS, NODE], peers)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        while not stop.is_set():
            there = await ear.news()
            await asyncio.to_thread(catch_up, db, [each for peer in there for each in consumers(peer)])
            seconds = SAFETY_POLL_S
            deadline, now = await db.read(caller.next_deadline), hub_time()
            if deadline is not None and now is not None:
                if deadline <= now:
                    await db.run(partial(caller.expire, hub_ms=now))
                    continue
                seconds = min(SAFETY_POLL_S, (deadline - now) / 1000)
            await woken_or_stopped(ear.waiter, stopped, seconds)
    finally:
        stopped.cancel()
        ear.close()
