"""A service that crashes is started again, is seen, and harms no other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.services.local_client import NoDaemonError, ask
from app.services.supervisor import states, supervise


async def test_a_crash_is_seen_and_the_others_go_on() -> None:
    stop, steps = asyncio.Event(), asyncio.Queue[str]()
    crashes = 0

    async def broken(_: asyncio.Event) -> None:
        nonlocal crashes
        crashes += 1
        await steps.put("broken")
        raise LookupError("no luck")

    async def sound(stopping: asyncio.Event) -> None:
        await stopping.wait()

    async def short(_: asyncio.Event) -> None:
        return

    running = asyncio.create_task(
        supervise({"t.broken": broken, "t.sound": sound, "t.short": short}, stop, lambda: 0.0)
    )
    async with asyncio.timeout(30):
        for _ in range(3):
            await steps.get()
        assert [states[name].state for name in ("t.sound", "t.short")] == ["running", "ended"]
        assert states["t.broken"].failures >= 2
        assert states["t.broken"].error == "LookupError: no luck"
        stop.set()
        await running
    assert [states[name].state for name in ("t.sound", "t.broken")] == ["ended", "ended"]
    assert crashes >= 3


def test_nobody_on_the_socket(tmp_path: Path) -> None:
    with pytest.raises(NoDaemonError):
        ask(tmp_path / "s", "system.services")
