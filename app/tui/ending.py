"""When somebody else ends the terminal UI: SIGTERM, SIGHUP, and a terminal that is gone.

A terminal emulator that dies, or a multiplexer that drops the other side, need not send SIGHUP; all that comes is the
end of the input, which Textual reads again and again.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable

GRACE_S = 5.0
"""So long the services may take to stop in order."""


def end_with_the_terminal(end: Callable[[], None]) -> None:
    """Call `end` on the running event loop when the process is asked to end or its terminal is gone.

    After a terminal is gone the process ends in any case: what does not stop within `GRACE_S` is cut off, which the
    database survives like SIGKILL.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)
    terminal = sys.__stdin__.fileno() if sys.__stdin__ is not None else 0
    arguments = (terminal, lambda: loop.call_soon_threadsafe(end))
    threading.Thread(target=_watch, args=arguments, name="terminal", daemon=True).start()


def _watch(terminal: int, gone: Callable[[], object]) -> None:
    watched = select.poll()
    watched.register(terminal, 0)  # nothing but a hang-up, which needs not be asked for
    watched.poll()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):  # what is still written must not fail: there is nobody to tell it to
        os.dup2(nowhere, number)
    try:
        gone()
    except RuntimeError:
        return  # the loop has ended already
    time.sleep(GRACE_S)
    os._exit(0)
