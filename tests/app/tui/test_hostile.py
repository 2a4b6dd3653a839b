"""Hostile payloads in every place that shows any: no frame has a character that a terminal obeys or hides."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot

from app.config import Settings
from app.paths import Paths
from app.services.operating import Operating
from app.services.outputs import Calling
from app.tui.app import SpokeApp
from app.tui.lines.line_list import LineList
from app.tui.places import NOUNS, PLACES
from app.tui.view import View
from storage.engine import Database
from storage.tenants import open_system_database, open_tenant_database
from tests import hostile
from tests.app.tui.conftest import app_on, frame, settle, until

SIZE = (80, 24)
ROWS = 4
"""So many rows of a list are opened."""
KEYS = ("d", "m", "n", "v", "o", "c", "L", "G", "e", "y", "Y", "p", "t", "z")
"""What else is pressed where a list is shown: panes, faces, causes, locks, marks; each may open something or say why
not."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory of a node that is a hub too, made once."""
    folder = tmp_path_factory.mktemp("hostile")
    for name in ("node.db", "hub/tenant-acme.db"):
        (folder / name).parent.mkdir(exist_ok=True)
        db = open_tenant_database(folder / name)
        hostile.fill(db, Paths(folder, folder / "x").key_file, big=False)
        db.close()
    system = open_system_database(folder / "hub/system.db")
    with system.transaction() as tx:
        tx.execute("UPDATE accounts SET display_name = ?", (hostile.EVIL,))
    system.close()
    hostile.write_log(folder / "tui.log")
    return folder


@pytest.fixture
def node(machine: Path, tmp_path: Path) -> Iterator[tuple[Database, Path]]:
    folder = tmp_path / "data"
    shutil.copytree(machine, folder)
    db = open_tenant_database(folder / "node.db")
    yield db, folder
    db.close()


def check(app: SpokeApp, where: str) -> None:
    """Everything on the screen, and what is said in toasts."""
    strips = app.screen._compositor.render_strips()
    assert len(strips) == SIZE[1]
    for strip in strips:
        line = "".join(segment.text for segment in strip)
        assert not hostile.hidden(line), f"{where}: {line!r}"
        assert not hostile.crowded(line), f"{where}: {line!r}"
        assert cell_len(line) == SIZE[0], f"{where}: {line!r}"
        assert not app.ascii_only or line.isascii(), f"{where}: {line!r}"
    for said in app._notifications:
        assert not hostile.hidden(said.message.replace("\n", "")), where


async def press(pilot: Pilot[None], app: SpokeApp, key: str, where: str) -> None:
    await pilot.press(key)
    await settle(pilot)
    check(app, f"{where} {key}")


async def back_to(pilot: Pilot[None], app: SpokeApp, view: object, where: str) -> None:
    """Close what was opened above the view."""
    for _ in range(6):
        if app.screen is view:
            return
        await press(pilot, app, "escape", where)
    raise AssertionError(f"{where}: cannot leave {app.screen}")


async def walk(pilot: Pilot[None], app: SpokeApp, where: str, depth: int = 0) -> None:
    """Look at a screen, at what its rows open, and at what its keys do."""
    check(app, where)
    view = app.screen
    if not isinstance(view, View):
        return
    for key in KEYS if depth < 2 else ():
        await press(pilot, app, key, where)
        await back_to(pilot, app, view, where)
    lists = [one for one in view.query(LineList) if one.display]
    if not lists or depth > 1:
        return
    lists[0].focus()
    await press(pilot, app, "g", where)
    for number in range(min(ROWS, len(lists[0].rows))):
        await press(pilot, app, "enter", f"{where} row {number}")
        if app.screen is not view:
            await walk(pilot, app, f"{where} row {number} {type(app.screen).__name__}", depth + 1)
            await back_to(pilot, app, view, where)
        await press(pilot, app, "j", where)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("ascii_only", [False, True], ids=["unicode", "ascii"])
@pytest.mark.parametrize("place", [one.name for one in PLACES])
async def test_every_place(node: tuple[Database, Path], place: str, ascii_only: bool) -> None:
    db, folder = node
    paths = Paths(folder, folder / "spoke.toml")
    operating = Operating(db, Settings(), paths)
    app = app_on(
        db,
        ascii_only=ascii_only,
        node_name=hostile.EVIL,
        hub_dir=folder / "hub",
        log_file=folder / "tui.log",
        operate=operating.execute,
        calling=Calling(db, Settings(), paths, operating, lambda: False),
    )
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        app.action_go(place)
        await settle(pilot)
        await walk(pilot, app, place)
        await press(pilot, app, "question_mark", place)


@pytest.mark.parametrize("ascii_only", [False, True], ids=["unicode", "ascii"])
async def test_every_noun_and_the_palette(node: tuple[Database, Path], ascii_only: bool) -> None:
    db, folder = node
    app = app_on(db, ascii_only=ascii_only, hub_dir=folder / "hub", log_file=folder / "tui.log")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        for one in NOUNS:
            with db.snapshot() as snapshot:
                names = [*one.names(snapshot, None)[:2], hostile.EVIL]
            for name in names:
                app.open_noun(one.name, name)
                await settle(pilot)
                await walk(pilot, app, f"{one.name} {name!r:.40}", 1)
                app.action_go("overview")
                await settle(pilot)
            await pilot.press("colon", *f"{one.name} ")
            await asyncio.sleep(0)
            await settle(pilot)
            check(app, f":{one.name}")
            await press(pilot, app, "tab", f":{one.name}")
            await press(pilot, app, "escape", f":{one.name}")


async def test_what_is_huge_and_deep(tenant: Database, tmp_path: Path) -> None:
    """A value of 10 MB, and one that is nested 100 000 deep: the screens that show events and calls."""
    hostile.fill(tenant, tmp_path / "keys")
    app = app_on(tenant)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        for noun, name in (("session", hostile.SESSION), ("stream", "call-protocol"), ("stream", hostile.EVIL)):
            app.open_noun(noun, name)
            await settle(pilot)
            view = app.screen
            for key in ("d", "G", "enter"):
                await press(pilot, app, key, name)
            await back_to(pilot, app, view, name)
        app.open_noun("queue", hostile.EVIL)
        await settle(pilot)
        await press(pilot, app, "G", "queue")
        await press(pilot, app, "enter", "queue")


@pytest.mark.parametrize("name", hostile.COMMANDS)
async def test_what_is_said_is_safe(tenant: Database, name: str) -> None:
    """Also markup: `[red]` in a payload is text."""
    app = app_on(tenant)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await settle(pilot)
        app.notify(f"[bold]{hostile.COMMANDS[name]}[/bad]")
        await until(pilot, lambda: "[bold]" in frame(app))
        check(app, name)
