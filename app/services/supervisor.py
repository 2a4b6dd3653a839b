"""Runs services side by side; one that crashes is started again, later and later, and the others go on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from app import __version__
from app.services.readiness import not_ready
from app.services.waiting import stopped_within

Service: TypeAlias = Callable[[asyncio.Event], Awaitable[None]]

log = logging.getLogger("spoke.supervisor")

FIRST_DELAY_S = 0.5
MAX_DELAY_S = 60.0
HEALTHY_S = 300.0
"""Who ran so long begins with the first delay again."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """How a service of this process stands. `since` is unix seconds."""

    name: str
    state: Literal["running", "waiting", "ended"]
    since: float
    failures: int = 0
    """Crashes that followed one another."""
    error: str | None = None
    """Why it crashed last."""


states: dict[str, ServiceState] = {}
"""The services of this process, by name (`spoke status` shows them)."""
restarts: Counter[str] = Counter()
"""How often each service crashed in this process."""


def problems() -> list[str]:
    """Why this process is not ready; empty when it is."""
    crashed = [f"{one.name}: {one.error}" for one in states.values() if one.state == "waiting"]
    return [*crashed, *(f"{name}: {why}" for name, why in not_ready.items())]


def health() -> dict[str, Any]:
    """How the services of this process stand, as `system.services` says it."""
    return {
        "services": [asdict(states[name]) for name in sorted(states)],
        "notReady": problems(),
        "version": __version__,
    }


async def supervise(services: Mapping[str, Service], stop: asyncio.Event, random: Callable[[], float]) -> None:
    """Run the services until `stop` is set and all of them have ended.

    A service that raises is logged with its traceback and restarted after a full-jitter backoff (0.5 s doubling up to
    60 s, times `random()`); a service that returns is done. Nothing that a service does ends the others.
    """
    async with asyncio.TaskGroup() as group:
        for name, service in services.items():
            group.create_task(_keep(name, service, stop, random), name=name)


async def _keep(name: str, service: Service, stop: asyncio.Event, random: Callable[[], float]) -> None:
    failures, error = 0, None
    while not stop.is_set():
        began = time.time()
        states[name] = ServiceState(name, "running", began, failures, error)
        try:
            await service(stop)
        except Exception as crash:
            restarts[name] += 1
            failures = 1 if time.time() - began >= HEALTHY_S else failures + 1
            delay_s = random() * min(MAX_DELAY_S, FIRST_DELAY_S * 2 ** (failures - 1))
            log.exception(
                "service %s failed %d times; starting it again in %.1f s",
                name,
                failures,
                delay_s,
                extra={"ids": {"service": name}},
            )
            error = f"{type(crash).__name__}: {crash}"
            states[name] = ServiceState(name, "waiting", time.time(), failures, error)
            await stopped_within(stop, delay_s)
        else:
            break
    states[name] = ServiceState(name, "ended", time.time(), failures, error)
