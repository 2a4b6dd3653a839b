"""A configuration that changes while the services run: they are stopped in order and begin anew with it.

What they do not go by changes without that: the log at once, the looks of a terminal UI by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from app import logs
from app.paths import Paths
from app.services.waiting import stopped_within

if TYPE_CHECKING:
    from app.config import Loaded, Settings

log = logging.getLogger("spoke.config")

SAFETY_POLL_S = 15.0
AT_START = ("ui.mouse", "ui.max_fps")
"""What a terminal UI reads once, when it begins."""


class Reloading:
    """The configuration as it is and becomes.

    Args:
        paths: whose file, and whose `hub.json`.
        settings: how it was read last.
        flags: `TABLE.KEY=VALUE` of the command line, which no file takes back.
        asked: set by whoever wants it read now (SIGHUP); None: nobody does.
        on_log: told how to log when that has changed; None: the log is somebody else's.
        on_change: told of every change, for what needs no new beginning.
        needed: what the services go by.
    """

    def __init__(
        self,
        paths: Paths,
        settings: Settings,
        *,
        flags: Sequence[str] = (),
        asked: asyncio.Event | None = None,
        on_log: Callable[[logs.Logging], None] | None = None,
        on_change: Callable[[Settings], None] = lambda _: None,
        needed: Callable[[Settings], object] = lambda settings: settings.for_services,
    ) -> None:
        self._paths = paths
        self._flags = flags
        self._asked = asked or asyncio.Event()
        self._on_log = on_log
        self._on_change = on_change
        self._needed = needed
        self.settings = settings

    async def changed(self, stop: asyncio.Event) -> bool:
        """Wait until the services must begin anew; False when `stop` came first."""
        over = asyncio.Event()
        noticed = asyncio.ensure_future(self._notice(over))
        stopped = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                asking = asyncio.ensure_future(self._asked.wait())
                await asyncio.wait({asking, stopped}, return_when=asyncio.FIRST_COMPLETED)
                asking.cancel()
                if self._asked.is_set() and not stop.is_set():
                    self._asked.clear()
                    if await self._reread():
                        return True
            return False
        finally:
            over.set()  # cancelling would wait for the end of watchfiles' thread
            stopped.cancel()
            await asyncio.gather(noticed, stopped, return_exceptions=True)

    async def _notice(self, over: asyncio.Event) -> None:
        """Ask for another look whenever a file may have changed, and now and then."""
        import watchfiles

        names = {self._paths.config_file, self._paths.hub_file}
        folders = {path.parent for path in names if path.parent.is_dir()}
        try:
            async for _ in watchfiles.awatch(
                *folders,
                stop_event=over,
                recursive=False,
                yield_on_timeout=True,
                rust_timeout=int(SAFETY_POLL_S * 1000),
                step=200,
                debounce=400,
                watch_filter=None,
            ):
                self._asked.set()
        except (OSError, RuntimeError) as error:  # no inotify left, a folder that is gone
            log.warning("changes of the configuration are noticed only every %d s: %s", SAFETY_POLL_S, error)
            while not await stopped_within(over, SAFETY_POLL_S):
                self._asked.set()

    async def _reread(self) -> bool:
        """Read it again, say what is different, and whether the services go by that."""
        from app.config import ConfigError, read

        try:
            loaded = await asyncio.to_thread(read, self._paths, self._flags)
        except ConfigError as error:
            for problem in error.problems:
                log.error("the configuration is left as it was: %s", problem)
            return False
        before, after = self.settings, loaded.settings
        if after == before:
            return False
        self.settings = after
        self._on_change(after)
        told = differences(before, loaded)
        anew = self._needed(after) != self._needed(before)  # a new theme is no reason to break the link
        then = ": the services begin anew" if anew else ""
        log.info("the configuration has changed: %s%s", ", ".join(told) or "no value", then)
        if after.log != before.log and self._on_log is not None:
            try:
                self._on_log(logs.Logging.of(after))
            except OSError as error:
                log.error("the log stays as it was: %s: %s", after.log.file, error.strerror)
        return anew


def differences(before: Settings, loaded: Loaded) -> list[str]:
    """The keys that have other values now, with what set them; never the values, some of which are secret."""
    from app.config.layers import DEFAULT
    from app.config.reference import values

    old, new = dict(values((), before)), dict(values((), loaded.settings))
    told = []
    for key in [*new, *(key for key in old if key not in new)]:
        if old.get(key) != new.get(key) or (key in old) != (key in new):
            name, origin = ".".join(key), loaded.origin(key)
            later = ", from the next start of the terminal UI" if name in AT_START else ""
            told.append(f"{name} ({'removed' if origin == DEFAULT else origin}{later})")
    return told


async def run_reloading(
    reloading: Reloading, stop: asyncio.Event, run: Callable[[Settings, asyncio.Event], Awaitable[None]]
) -> None:
    """Run with the configuration as it is, again and again, until `stop`."""
    while not stop.is_set():
        pause = asyncio.Event()
        watching = asyncio.ensure_future(_pause_when(reloading, stop, pause))
        try:
            await run(reloading.settings, pause)
            await watching  # services that have all ended are no end of the whole
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _pause_when(reloading: Reloading, stop: asyncio.Event, pause: asyncio.Event) -> None:
    """End the pause when the configuration is another one, and when all is to end."""
    try:
        await reloading.changed(stop)
    finally:
        pause.set()
