"""A node with something in it, a fixed clock, and screens as plain text."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot

from app.services.projector import catch_up
from app.tui.app import SpokeApp
from app.tui.appearance import Appearance
from storage.engine import Database
from storage.tenants import open_tenant_database

GOLDEN = Path(__file__).parent / "golden"
NOW_MS = 1_795_507_260_000  # 2026-11-24T08:01:00Z


def frame(app: App[Any]) -> str:
    """What is on the screen, as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


def check_golden(app: SpokeApp, name: str) -> None:
    """Compare the screen with tests/app/tui/golden/NAME.txt; SPOKE_UPDATE_GOLDEN=1 writes it (never in CI)."""
    file = GOLDEN / f"{name}.txt"
    shown = frame(app) + "\n"
    if os.environ.get("SPOKE_UPDATE_GOLDEN") and not os.environ.get("CI"):
        file.write_text(shown)
    assert shown == file.read_text()


async def settle(pilot: Pilot[None]) -> None:
    """Wait until what was asked for is read and painted."""
    app = pilot.app
    assert isinstance(app, SpokeApp)
    shown = asyncio.ensure_future(app.idle())
    while not shown.done():
        await asyncio.wait({shown}, timeout=1)
        if app.failure is not None:
            shown.cancel()
            raise AssertionError(f"the application ended: {app.failure!r}")
    await pilot.pause()


async def until(pilot: Pilot[Any], condition: Callable[[], bool]) -> None:
    """Wait until something is so; a minute is more than any of it may take."""
    limit = asyncio.get_running_loop().time() + 60
    while not condition():
        assert asyncio.get_running_loop().time() < limit, f"never so; the screen:\n{frame(pilot.app)}"
        await pilot.pause(0.01)


def event(kind: str, request_id: str, second: float, **more: object) -> dict[str, object]:
    return {
        "type": kind,
        "requestId": request_id,
        "timestamp": f"2026-11-24T08:00:{second:06.3f}Z",
        **more,
    }


def fill(db: Database) -> None:
    session = {"sessionId": "5e551011-0000-4000-8000-000000000001"}
    metadata = {"metadata": session}
    db.stream("session-events").publish(
        {
            "type": "session.started",
            **session,
            "title": "fix the build",
            "source": "spoke",
            "slug": "fix",
            "timestamp": "2026-11-24T08:00:00Z",
        }
    )
    calls: list[dict[str, object]] = [
        event("call.requested", "c1", 0, operationId="agent.run", **metadata),
        event(
            "call.requested", "c2", 0.1, operationId="fs.list", parentRequestId="c1", input={"path": "/"}, **metadata
        ),
        event("call.responded", "c2", 2.5, output={"data": {"entries": []}, "meta": {"source": "local"}}),
        event("call.requested", "c3", 2.5, operationId="shell.run", parentRequestId="c1", **metadata),
        event("call.error", "c3", 6, code="EXIT_CODE", message="exit code 2\x1b[31m"),
        event("call.requested", "c4", 30, operationId="llm.chat", parentRequestId="c1", **metadata),
    ]
    for payload in calls:
        db.stream("call-protocol").publish(payload, key=str(payload["requestId"]))
    db.stream("session-events").publish(
        {"type": "session.started", "sessionId": "0ddba11", "title": "宽字符 ‮evil", "source": "x", "slug": "w"}
    )
    db.stream("session-events").publish({"type": "session.ended", "sessionId": "0ddba11", "status": "failed"})
    with db.transaction() as tx:
        tx.execute("UPDATE _honker_stream SET created_at = ?", (NOW_MS // 1000,))
    catch_up(db)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Database]:
    database = open_tenant_database(tmp_path / "filled.db")
    fill(database)
    yield database
    database.close()


def app_on(db: Database, *, ascii_only: bool = False, **more: Any) -> SpokeApp:
    """A TUI with a clock that stands still and no pauses; `more` is for `SpokeApp`."""
    settings: dict[str, Any] = {
        "node_name": "edge-1",
        "appearance": Appearance(ascii_only=ascii_only),
        "now_ms": lambda: NOW_MS,
        "zone": UTC,
        "repaint_s": 0,
        "debounce_s": 0,
    }
    return SpokeApp(db, **(settings | more))
