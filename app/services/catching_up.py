"""Waiting until the hub has on its disk what was published up to now; with a link of its own where nobody runs one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from app.paths import Paths
from app.services.node import keep_link
from storage.engine import Database, Snapshot
from storage.engine.stream import last_offset
from sync.durable.hub_time import HubTime
from sync.link.errors import from_code
from sync.spoke.status import LinkStatus, acked_position, read_status, write_status
from sync.spoke.streams import sent

if TYPE_CHECKING:
    from app.config import Settings


class StillBehindError(Exception):
    """The time is up; `link` is how it stood then."""

    def __init__(self, link: LinkStatus, left: Iterable[str]) -> None:
        super().__init__(f"the hub does not have all of {', '.join(left)} yet" if left else "the hub is not there")
        self.link = link


def goal(snapshot: Snapshot, extra: Iterable[str]) -> dict[str, int]:
    """The last offset of every log that this node sends; `extra` are the streams that the configuration names."""
    return {topic: last_offset(snapshot, topic) for _, topic in sent(extra).values()}


def behind(snapshot: Snapshot, goal: Mapping[str, int], hub_id: str | None) -> list[str]:
    """The logs of which the hub is not known to have everything up to the goal on its disk."""
    return [topic for topic, offset in goal.items() if acked_position(snapshot, topic, hub_id)[0] < offset]


def _look(snapshot: Snapshot, goal: Mapping[str, int]) -> tuple[LinkStatus, list[str]]:
    link = read_status(snapshot)
    return link, behind(snapshot, goal, link.hub_id)


async def until_acked(db: Database, goal: Mapping[str, int], before: LinkStatus, limit_s: float) -> None:
    """Wait until the hub has acknowledged the goal, and is there: its position was compared with our log.

    Args:
        db: the node's file; some process runs its link.
        goal: offsets by topic.
        before: how the link stood when it was asked to hurry.
        limit_s: how long to wait, in seconds.

    Raises:
        StillBehindError: it takes longer.
        LinkError: the hub refused the node meanwhile.
    """
    until = time.monotonic() + limit_s
    waiter = db.wake.add(None)
    try:
        while True:
            waiter.clear()
            link, left = await db.read(lambda snapshot: _look(snapshot, goal))
            if not left and link.state in ("catching-up", "live"):
                return
            if link.state == "refused" and link.since_ms != before.since_ms:
                raise from_code(link.error_code or "", link.error or "")
            remaining = until - time.monotonic()
            if remaining <= 0 or not await waiter.wait(remaining):
                raise StillBehindError(link, left)
    finally:
        db.wake.remove(waiter)


async def catch_up_alone(
    db: Database, settings: Settings, paths: Paths, goal: Mapping[str, int], limit_s: float
) -> None:
    """Run the link in this process until the hub has acknowledged the goal. Raises as `until_acked`, and:

    Raises:
        DeviceKeyError: this node's key cannot be read.
    """
    url, at_ms = settings.hub.addresses[0], round(time.time() * 1000)
    # The last word of a process that was killed is not how the link stands now.
    await db.run(lambda tx: write_status(tx, state="offline", at_ms=at_ms, hub_url=url, hub_id=None))
    before = await db.read(read_status)
    stop = asyncio.Event()
    link = asyncio.create_task(keep_link(db, settings, paths, HubTime(), stop))
    waiting = asyncio.create_task(until_acked(db, goal, before, limit_s))
    try:
        await asyncio.wait({link, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if link.done():
            link.result()
        await waiting
    finally:
        stop.set()
        waiting.cancel()
        await asyncio.wait({link, waiting})
