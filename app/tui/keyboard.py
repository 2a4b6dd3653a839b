"""Keys that come in a burst, as over a slow line or from a paste, mean what they mean one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

from textual import events
from textual.app import App
from textual.message_pump import MessagePump

LIMIT_S = 1.0
"""A key waits no longer for what the one before it does: a screen that hangs must not keep `q` from the program."""


class OrderedKeys(App[None]):
    """An application that gives a key to the screen when what the key before it did is done.

    Textual forwards a key to the widget that has the focus when the key is read. Of `/error`, read at once, all six
    would go to the list: the slash opens the filter, the others are commands (`test_keys.py::test_a_burst_of_keys`).
    """

    def __init__(self) -> None:
        super().__init__()
        self._keys: deque[events.Key | events.Paste] = deque()
        self._idle = asyncio.Event()
        self._idle.set()

    async def keys_done(self) -> None:
        """Return when every key that was typed has done what it does."""
        await self._idle.wait()

    async def on_event(self, event: events.Event) -> None:
        """Queue keys, pass on everything else."""
        if not isinstance(event, (events.Key, events.Paste)) or event.is_forwarded:
            await super().on_event(event)
            return
        self._keys.append(event)
        if self._idle.is_set():
            self._idle.clear()
            self.run_worker(self._type(), group="keys", exit_on_error=True)

    async def _type(self) -> None:
        try:
            while self._keys:
                # A screen that was opened just now is made first, and sets its focus.
                await _passed(self.screen)
                # A key that nobody takes goes up, until the bindings of the application are asked.
                way = [*(self.focused or self.screen).ancestors_with_self]
                await super().on_event(self._keys.popleft())
                await _passed(*way, self)  # to the application twice: a focus that an action asked for is set
        finally:
            self._idle.set()


async def _passed(*pumps: MessagePump) -> None:
    """Return when what waits for each of them, in turn, has been handled; what is closed handles nothing."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LIMIT_S):
            for pump in pumps:
                passed = asyncio.Event()
                if pump.call_later(passed.set):
                    await passed.wait()
