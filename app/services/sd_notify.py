"""What systemd is told of a service (sd_notify(3)), by hand: ready, alive, stopping. Elsewhere it does nothing."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from storage.engine import Database, EngineError


@dataclass(frozen=True, slots=True)
class Manager:
    """Who wants to be told: the address of its socket, and after how many seconds of silence it ends us."""

    address: str
    watchdog_s: float | None

    def tell(self, *states: str) -> None:
        """Send it one message.

        Raises:
            OSError: it does not listen.
        """
        # Linux: "@" stands for the zero byte of an abstract address.
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.sendto("\n".join(states).encode(), address)


def manager(environment: MutableMapping[str, str], pid: int) -> Manager | None:
    """Return who started us as a service, None if nobody did.

    Its variables are taken out of the environment: what we start must not speak for us.
    """
    address = environment.pop("NOTIFY_SOCKET", None)
    usec, whose = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", str(pid))
    if not address:
        return None
    return Manager(address, int(usec) / 1e6 if usec.isdecimal() and whose == str(pid) else None)


@asynccontextmanager
async def notifying(
    alive: Callable[[], Awaitable[None]], stop: asyncio.Event, to: Manager | None
) -> AsyncIterator[None]:
    """While the body runs: READY once `alive` has returned, WATCHDOG as long as it does, STOPPING when `stop` is set.

    The event loop sends it, so a loop that hangs is silent; so is one whose `alive` does not return.
    """
    if to is None:
        yield
        return
    telling = [asyncio.create_task(_beat(alive, to)), asyncio.create_task(_stopping(stop, to))]
    try:
        yield
    finally:
        for task in telling:
            task.cancel()
        ended = await asyncio.gather(*telling, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, Exception):
            raise outcome


async def _beat(alive: Callable[[], Awaitable[None]], to: Manager) -> None:
    await alive()
    to.tell("READY=1")
    while to.watchdog_s is not None:
        await asyncio.sleep(to.watchdog_s / 3)
        await alive()
        to.tell("WATCHDOG=1")


async def _stopping(stop: asyncio.Event, to: Manager) -> None:
    await stop.wait()
    to.tell("STOPPING=1")


def writer_of(db: Database) -> Callable[[], Awaitable[None]]:
    """For `notifying`: returns when the database's writer answers, be it that the disk is full."""

    async def alive() -> None:
        try:
            await db.run(lambda tx: None)
        except EngineError:
            return  # it refuses, so it lives; whoever wanted to write hears the reason

    return alive


def own_manager() -> Manager | None:
    """That of this process."""
    return manager(os.environ, os.getpid())
