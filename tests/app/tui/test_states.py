"""Every place in the states that its own tests do not show: unreadable, read-only, loading, offline; and too small."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.config import Settings
from app.paths import Paths
from app.services.operating import Operating
from app.tui.app import SpokeApp
from app.tui.places import PLACES
from app.tui.view import View
from app.views.room import Room
from storage.engine import CorruptError, Database, Snapshot
from storage.tenants import open_system_database, open_tenant_database
from sync.spoke.status import write_status
from tests.app.tui.conftest import NOW_MS, app_on, check_golden, frame, settle, until

SIZES = [(80, 24), (100, 30), (200, 50)]
NAMES = [one.name for one in PLACES]
by_place = pytest.mark.parametrize("place", NAMES)
by_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")


@pytest.fixture
def hub_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "hub"
    folder.mkdir()
    open_system_database(folder / "system.db").close()
    open_tenant_database(folder / "tenant-acme.db").close()
    return folder


def app_with(db: Database, hub_dir: Path, **more: Any) -> SpokeApp:
    paths = Paths(hub_dir.parent, hub_dir.parent / "spoke.toml")
    return app_on(db, hub_dir=hub_dir, operate=Operating(db, Settings(), paths).execute, **more)


def golden(state: str, place: str, size: tuple[int, int]) -> str:
    return f"{place}-{state}-{size[0]}x{size[1]}"


@by_size
@by_place
async def test_unreadable(
    filled: Database, hub_dir: Path, monkeypatch: pytest.MonkeyPatch, place: str, size: tuple[int, int]
) -> None:
    """What, why, what to do, and where to look; the keys still lead elsewhere, and what can be read again is shown."""
    app = app_with(filled, hub_dir, log_file=Path("/var/log/spoke/tui.log"))
    async with app.run_test(size=size) as pilot:
        await settle(pilot)

        async def broken(*_: object) -> None:
            raise CorruptError("tenant-local.db: database disk image is malformed")

        monkeypatch.setattr(filled, "read", broken)
        monkeypatch.setattr("app.tui.logs.read_log", broken, raising=False)
        app.action_go(place)
        await settle(pilot)
        check_golden(app, golden("unreadable", place, size))
        monkeypatch.undo()
        app.reload()
        await settle(pilot)
        assert "This cannot be shown" not in frame(app)


@by_size
@by_place
async def test_read_only(filled: Database, hub_dir: Path, place: str, size: tuple[int, int]) -> None:
    app = app_with(filled, hub_dir, read_only=True)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        app.action_go(place)
        await settle(pilot)
        assert "READ-ONLY" in frame(app).splitlines()[0]
        view = app.screen
        assert isinstance(view, View)
        for action in view.WRITES:
            assert view.why_not(action) == "this terminal UI is read-only (--read-only)"


async def test_read_only_shows_what_others_commit(filled: Database, hub_dir: Path) -> None:
    """With a handle that has no write access, on every place, and on the hub's files."""
    reader = open_tenant_database(filled.path, read_only=True)
    try:
        app = app_with(reader, hub_dir, read_only=True)
        async with app.run_test(size=(100, 30)) as pilot:
            for place in NAMES:
                app.action_go(place)
                await settle(pilot)
                assert "This cannot be shown" not in frame(app), place
            app.action_go("streams")
            await settle(pilot)
            filled.stream("brand-new").publish({"x": 1})
            await until(pilot, lambda: "brand-new" in frame(app))
    finally:
        reader.close()


@by_size
@by_place
async def test_loading(
    filled: Database, hub_dir: Path, monkeypatch: pytest.MonkeyPatch, place: str, size: tuple[int, int]
) -> None:
    """While a slow read goes on, the frame stands, the keys work, and nothing says that there is nothing."""
    app = app_with(filled, hub_dir)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        goes_on = asyncio.Event()
        read = filled.read

        async def slow(work: object) -> object:
            await goes_on.wait()
            return await read(work)  # type: ignore[arg-type]

        monkeypatch.setattr(filled, "read", slow)
        app.action_go(place)
        view = app.screen
        while not isinstance(view, View) or view.place != place or not view.is_mounted:
            await pilot.pause()
            view = app.screen
        shown = frame(app)
        assert " yet." not in shown
        goes_on.set()
        await settle(pilot)
        assert f"[{next(one for one in PLACES if one.name == place).key} " in frame(app)
        assert not view.has_class("loading")


@by_size
@by_place
async def test_offline(filled: Database, hub_dir: Path, place: str, size: tuple[int, int]) -> None:
    """The link is down: the first line says so in words, and everything else is there."""
    with filled.transaction() as tx:
        tx.execute("UPDATE _honker_stream SET created_at = ?", (NOW_MS // 1_000 - 240,))  # the age of the outbox
        write_status(
            tx,
            state="offline",
            at_ms=NOW_MS - 180_000,
            hub_url="wss://hub.example:7710",
            hub_id="h",
            error_code="UNREACHABLE",
            error="connection refused",
            hint="start the hub",
            retry_at_ms=NOW_MS + 12_000,
        )
    app = app_with(filled, hub_dir, daemon_running=lambda: True)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        app.action_go(place)
        await settle(pilot)
        assert "○ OFFLINE" in frame(app).splitlines()[0]
        if place == "overview":
            check_golden(app, golden("offline", place, size))


@pytest.mark.parametrize("place", ["overview", "sync"])
@pytest.mark.parametrize(("state", "used"), [("nearly-full", 17_000_000), ("full", 20_500_000)])
async def test_a_file_near_its_limit(
    filled: Database, hub_dir: Path, monkeypatch: pytest.MonkeyPatch, place: str, state: str, used: int
) -> None:
    """How full it is, with the policy; from 80 % on what that means, and what to do."""

    def room(_: Snapshot, max_bytes: int | None) -> Room:
        assert max_bytes == filled.max_bytes, "the limit that the engine holds"
        return Room(used, max_bytes)

    monkeypatch.setattr("app.views.overview.read_room", room)
    monkeypatch.setattr("app.views.sync.read_room", room)
    filled.max_bytes = 20_000_000
    app = app_with(filled, hub_dir, daemon_running=lambda: True)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        app.action_go(place)
        await settle(pilot)
        check_golden(app, golden(state, place, (80, 24)))
    filled.max_bytes = None


@pytest.mark.parametrize("size", [(59, 24), (80, 14), (40, 10), (20, 5)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_too_small(filled: Database, size: tuple[int, int]) -> None:
    app = app_on(filled)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await settle(pilot)
        check_golden(app, f"small-{size[0]}x{size[1]}")
        await pilot.resize_terminal(60, 15)
        await settle(pilot)
        assert "overview" in frame(app)


@pytest.mark.parametrize("state", ["empty", "filled"])
async def test_wide(tenant: Database, filled: Database, state: str) -> None:
    """Overview and sessions at 200x50: test_screens.py has them smaller."""
    app = app_on(tenant if state == "empty" else filled)
    async with app.run_test(size=(200, 50)) as pilot:
        for key, name in (("1", "overview"), ("2", "sessions")):
            await pilot.press(key)
            await settle(pilot)
            check_golden(app, f"{name}-{state}-200x50")


def test_a_place_has_its_frames() -> None:
    """Empty and filled at every size: a new place adds them."""
    from tests.app.tui.conftest import GOLDEN

    for one in PLACES:
        for state in ("empty", "filled", "unreadable"):
            sizes = SIZES if (one.name, state) != ("hub", "empty") else SIZES[:1]
            for width, height in sizes:
                assert (GOLDEN / f"{one.name}-{state}-{width}x{height}.txt").is_file(), (one.name, state)
