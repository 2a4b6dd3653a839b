"""How a new release shows that it works."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.install.program import Look


@dataclass(frozen=True, slots=True)
class Gate:
    """It has `limit_s` to get well, and then has to stay so for `steady_s`, in seconds of `clock`.

    Every look of those has to see the same processes well; a crash between two of them begins the time anew, while
    `limit_s` lasts. `look_s` is between two looks, `tell_s` the longest between two words about how it stands.
    """

    limit_s: float = 60.0
    steady_s: float = 5.0
    look_s: float = 1.0
    tell_s: float = 10.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def unwell(look: Callable[[], Look], failed: Callable[[], bool], gate: Gate, tell: Callable[[str], None]) -> str | None:
    """Why a release does not work, None if it does. `failed` is whether nobody starts it again: no use waiting."""
    until = gate.clock() + gate.limit_s
    well: Look | None = None
    since, told, said = 0.0, 0.0, ""
    while True:
        seen, at = look(), gate.clock()
        if seen.reason is not None:
            if at >= until or failed():
                return seen.reason
            well, text, left = None, f"not yet: {seen.reason}", until - at
        else:
            if seen != well:
                if well is not None and at >= until:
                    return "its processes do not stay up"
                well, since = seen, at
            text, left = "it works, and has to for some time", since + gate.steady_s - at
            if left <= 0:
                return None
        if text != said or at - told >= gate.tell_s:
            tell(f"{text} ({left:.0f} s left)")
            said, told = text, at
        gate.sleep(gate.look_s)
