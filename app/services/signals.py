"""SIGTERM and ^C mean: stop in order; the second one: now. SIGHUP means: read the configuration again."""

from __future__ import annotations

import asyncio
import os
import signal

from app.services import draining


def stop_on_signals() -> asyncio.Event:
    """Return an event that is set by the first SIGTERM or SIGINT; a second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(130)  # the database survives this as it survives SIGKILL
        draining.begin()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    return stop


def asked_by_hangup() -> asyncio.Event:
    """Return an event that every SIGHUP sets: read the configuration again."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    return asked
