"""Runs services side by side; one that crashes is started again, later and later, and the others go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from app.services.waiting import stopped_within

Service: TypeAlias = Callable[[asyncio.Event], Awaitable[None]]

log = logging.getLogger("spoke.supervisor")

FIRST_DELAY_S = 0.5
MAX_DELAY_S = 60.0


async def supervise(services: Mapping[str, Service], stop: asyncio.Event, random: Callable[[], float]) -> None:
    """Run the services until `stop` is set and all of them have ended.

    A service that raises is logged with its traceback and restarted after a full-jitter backoff (0.5 s doubling up to
    60 s, times `random()`); a service that returns is done.
    """
    async with asyncio.TaskGroup() as group:
        for name, service in services.items():
            group.create_task(_keep(name, service, stop, random), name=name)


async def _keep(name: str, service: Service, stop: asyncio.Event, random: Callable[[], float]) -> None:
    failures = 0
    while not stop.is_set():
        try:
            await service(stop)
        except Exception:
            delay_s = random() * min(MAX_DELAY_S, FIRST_DELAY_S * 2**failures)
            failures += 1
            log.exception("service %s failed %d times; starting it again in %.1f s", name, failures, delay_s)
            await stopped_within(stop, delay_s)
        else:
            return
