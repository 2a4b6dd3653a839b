"""Waiting in a service: for work, but never past the end."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from storage.engine.wake import Waiter

if TYPE_CHECKING:
    import asyncio


async def woken_or_stopped(waiter: Waiter, stopped: asyncio.Future[Any], seconds: float, *others: Any) -> None:
    """Return when the waiter is woken, when `stopped` or another future is done, or after so long.

    Raises:
        EngineError: the database was closed, or its file was replaced.
    """
    import asyncio

    woken = asyncio.ensure_future(waiter.wait(seconds))
    await asyncio.wait({woken, stopped, *others}, return_when=asyncio.FIRST_COMPLETED)
    if woken.done():
        woken.result()
    else:
        woken.cancel()


async def stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    """Wait so long at most; whether `stop` was set."""
    import asyncio

    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True


async def until_stopped(stop: asyncio.Event, *works: Coroutine[Any, Any, None]) -> None:
    """Run works that have no end of their own until `stop`; the first that fails ends all, and is raised."""
    import asyncio

    tasks = [asyncio.ensure_future(work) for work in works]
    stopped = asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopped}:
            task.result()
    finally:
        for task in (stopped, *tasks):
            task.cancel()
        await asyncio.gather(stopped, *tasks, return_exceptions=True)
