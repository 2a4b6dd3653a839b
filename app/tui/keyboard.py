"""Keys that come in a burst, as over a slow line or from a paste, mean what they mean one after the other."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from textual import events
from textual.app import App
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.worker import Worker, get_current_worker

LIMIT_S = 1.0
"""A key waits no longer for what the one before it does: a screen that hangs must not keep `q` from the program."""
BACKGROUND = frozenset({"keys", "watch", "service", "appearance", "clipboard", "call", "names", "verify"})
"""Groups of workers that no key waits for: what they do goes on while a person does something else."""


class OrderedKeys(App[None]):
    """An application that gives a key to the screen when what the key before it did is done.

    Textual forwards a key to the widget that has the focus when the key is read. Of `/error`, read at once, all six
    would go to the list: the slash opens the filter, the others are commands (`test_keys.py::test_a_burst_of_keys`).
    A verb that reads the database before it asks, or shows, is done when it asks or has shown: of `xy`, the y answers.
    """

    def __init__(self) -> None:
        super().__init__()
        self._asking: set[Worker[Any]] = set()
        """Verbs that wait for a person's answer."""
        self._slow: WeakSet[Worker[Any] | Screen[Any]] = WeakSet()
        """Verbs and screens that a key has waited for long enough."""
        self._asked = asyncio.Event()
        self.typed_at = 0.0
        """When the last key began to do what it does, in seconds of `time.time`."""
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

    async def push_screen_wait(self, screen: Screen[Any] | str, *, mode: str | None = None) -> Any:
        """Ask, as Textual does it; the key behind the one that led here is for the answer."""
        verb = get_current_worker()
        await self._flush_next_callbacks()
        answer = self.push_screen(screen, wait_for_dismiss=True, mode=mode)
        self._asking.add(verb)
        self._slow.discard(verb)
        self._asked.set()
        try:
            return await asyncio.shield(answer)
        finally:
            self._asking.discard(verb)

    async def _first_read(self, screen: Screen[Any]) -> None:
        """Return when the screen has what its verbs act upon; or has had its time."""
        read: asyncio.Event | None = getattr(screen, "first_read", None)
        if read is None or read.is_set() or screen in self._slow:
            return
        try:
            async with asyncio.timeout(LIMIT_S):
                await read.wait()
        except TimeoutError:
            self._slow.add(screen)

    async def _verbs_done(self) -> None:
        """Return when every verb that was begun has ended, or asks; or has had its time."""
        limit = asyncio.get_running_loop().time() + LIMIT_S
        while begun := {one: one._task for one in self.workers if self._keeps_keys(one) and one._task is not None}:
            left = limit - asyncio.get_running_loop().time()
            if left <= 0:
                self._slow.update(begun)
                return
            self._asked.clear()
            asked = asyncio.ensure_future(self._asked.wait())
            await asyncio.wait({*begun.values(), asked}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()

    def _keeps_keys(self, one: Worker[Any]) -> bool:
        return not (one.is_finished or one.group in BACKGROUND or one in self._asking or one in self._slow)

    async def _type(self) -> None:
        try:
            while self._keys:
                # A screen that was opened just now is made first, and sets its focus.
                await _passed(self.screen)
                await self._first_read(self.screen)
                # A key that nobody takes goes up, until the bindings of the application are asked.
                way = [*(self.focused or self.screen).ancestors_with_self]
                self.typed_at = time.time()
                await super().on_event(self._keys.popleft())
                await _passed(*way, self)  # to the application twice: a focus that an action asked for is set
                await self._verbs_done()
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
