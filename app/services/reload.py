"""A configuration that changes while the services run: they are stopped in order and begin anew with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from app.paths import Paths

if TYPE_CHECKING:
    from app.config import Settings

log = logging.getLogger("spoke.config")

SAFETY_POLL_S = 15.0


async def watch(paths: Paths, current: Settings, stop: asyncio.Event, changed: Callable[[Settings], None]) -> None:
    """Tell of a configuration that differs from the current one, until `stop`. One that is wrong is logged and left."""
    import watchfiles

    from app.config import ConfigError, load

    names = {paths.config_file, paths.hub_file}
    folders = {path.parent for path in names if path.parent.is_dir()}
    async for _ in watchfiles.awatch(
        *folders,
        stop_event=stop,
        recursive=False,
        yield_on_timeout=True,
        rust_timeout=int(SAFETY_POLL_S * 1000),
        step=200,
        debounce=400,
        watch_filter=None,
    ):
        try:
            settings = await asyncio.to_thread(load, paths)
        except ConfigError as error:
            log.error("the configuration is left as it was: %s", error)
            continue
        if settings.for_services != current.for_services:  # a new theme is no reason to break the link
            log.info("the configuration has changed: the services begin anew")
            changed(settings)
            return


async def run_reloading(
    paths: Paths,
    settings: Settings,
    stop: asyncio.Event,
    run: Callable[[Settings, asyncio.Event], Awaitable[None]],
) -> None:
    """Run with the configuration as it is, again and again, until `stop`."""
    while not stop.is_set():
        pause, found = asyncio.Event(), [settings]

        def changed(new: Settings, pause: asyncio.Event = pause, found: list[Settings] = found) -> None:
            found.append(new)
            pause.set()

        ending = asyncio.ensure_future(_either(stop, pause))
        watching = asyncio.ensure_future(watch(paths, settings, pause, changed))
        try:
            await run(settings, pause)
            await ending
        finally:
            pause.set()
            ending.cancel()
            await asyncio.gather(watching, ending, return_exceptions=True)
        settings = found[-1]


async def _either(stop: asyncio.Event, pause: asyncio.Event) -> None:
    """End the pause when all is to end."""
    stopped, paused = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(pause.wait())
    await asyncio.wait({stopped, paused}, return_when=asyncio.FIRST_COMPLETED)
    pause.set()
    stopped.cancel()
    paused.cancel()
