"""Graphs in the terminal: the list, the three faces, walking, and changing nodes and edges through operations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from app.tui.app import SpokeApp
from app.tui.form import FormScreen
from app.tui.graph import GraphView
from app.tui.prompts import Ask, Choose, Confirm
from storage.engine import Database
from storage.graphs.writing import create_graph, put_edge, put_node
from storage.operations.spec import OperationContext
from storage.tenants import open_tenant_database
from sync.calls.access import owner
from sync.calls.registry import Registry
from tests.app.tui.conftest import NOW_MS, app_on, check_golden, frame, settle

SIZES = [(80, 24), (100, 30), (200, 50)]
TASKS = (
    ("plan", "completed", "Plan the release"),
    ("build", "completed", "Build"),
    ("test", "failed", "Run the tests"),
    ("docs", "in-progress", "Write 文档"),
    ("ship", "blocked", "Ship \x1b[31mit"),
    ("retro", None, "‮Retrospective"),
)
EDGES = ("plan build", "plan docs", "build test", "test ship", "docs ship", "ship retro", "retro plan")


@pytest.fixture
def graphs(tmp_path: Path) -> Iterator[Database]:
    db = open_tenant_database(tmp_path / "graphs.db")
    with db.transaction() as tx:
        create_graph(tx, "acl", "rights", graph_id="ac1")
        create_graph(tx, "call-graph", "calls", graph_id="ca11")
        put_node(tx, "ca11", "call", "c1", {"requestId": "c1", "operationId": "fs.list", "status": "completed"})
        graph = create_graph(tx, "task-dependencies", "release 1.2", graph_id="5e1ea5e0")
        for key, status, name in TASKS:
            put_node(tx, graph, "task", key, {"name": name, **({"status": status} if status else {})})
        for number, pair in enumerate(EDGES):
            source, target = pair.split()
            put_edge(tx, graph, "depends_on", source, target, key=f"e{number}")
        big = create_graph(tx, "task-dependencies", "big", graph_id="b16")
        for number in range(40):
            put_node(tx, big, "task", f"t{number:02}", {"name": f"task {number}"})
        for number in range(1, 40):
            put_edge(tx, big, "depends_on", f"t{(number - 1) // 3:02}", f"t{number:02}")
        for table in ("graphs", "nodes", "edges"):
            tx.execute(f"UPDATE {table} SET updated_at = ?", (NOW_MS // 1000 - 60,))
        tx.execute("UPDATE graphs SET updated_at = ? WHERE id = '5e1ea5e0'", (NOW_MS // 1000,))
    yield db
    db.close()


def operating(db: Database) -> Callable[[str, Any], Any]:
    from app.operations import graphs as module
    from app.operations import tables

    registry = Registry()
    module.register(registry)
    tables.register(registry)

    def operate(operation: str, value: Any) -> Any:
        registry.check(operation, value)
        with db.transaction() as tx:
            context = OperationContext(request_id="r", identity=owner(0), db=db, tx=tx)
            return registry.execute(operation, value, context).model_dump(by_alias=True)

    return operate


async def press(pilot: Pilot[None], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Wait for what a worker does; the limit is only reached when it never does."""
    async with asyncio.timeout(30):
        while not condition():
            await settle(pilot)


async def said(pilot: Pilot[None], words: str) -> None:
    """Wait for a message to the person."""
    await until(pilot, lambda: any(words in note.message for note in pilot.app._notifications))


async def opened(app: SpokeApp, pilot: Pilot[None], graph: str = "5e1ea5e0") -> GraphView:
    await settle(pilot)
    app.open_noun("graph", graph)
    await settle(pilot)
    assert isinstance(app.screen, GraphView)
    return app.screen


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_frames(tenant: Database, graphs: Database, size: tuple[int, int]) -> None:
    name = f"{size[0]}x{size[1]}"
    app = app_on(tenant)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        check_golden(app, f"graphs-empty-{name}")
    app = app_on(graphs)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        check_golden(app, f"graphs-filled-{name}")
        await press(pilot, "enter")
        check_golden(app, f"graph-outline-{name}")
        await press(pilot, "e", "n")
        check_golden(app, f"graph-neighbourhood-{name}")
        await press(pilot, "v")
        check_golden(app, f"graph-picture-{name}")


async def test_frames_in_ascii(graphs: Database) -> None:
    app = app_on(graphs, ascii_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        check_golden(app, "graph-outline-ascii-80x24")
        assert frame(app).isascii()
        await press(pilot, "n")
        check_golden(app, "graph-neighbourhood-ascii-80x24")
        assert frame(app).isascii()
        await press(pilot, "v")
        check_golden(app, "graph-picture-ascii-80x24")
        assert frame(app).isascii()


async def test_an_empty_graph_teaches_and_a_gone_one_says_so(graphs: Database) -> None:
    app = app_on(graphs)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, "ac1")
        check_golden(app, "graph-empty-80x24")
        await press(pilot, "v")
        await said(pilot, "no nodes yet")
        with graphs.transaction() as tx:
            tx.execute("DELETE FROM graphs WHERE id = 'ac1'")
        await settle(pilot)
        assert "This cannot be shown." in frame(app)
        assert "no graph 'ac1'" in frame(app)


async def test_folding_and_what_stands_above(graphs: Database) -> None:
    app = app_on(graphs)
    async with app.run_test(size=(80, 24)) as pilot:
        view = await opened(app, pilot)
        rows = len(view.outline.rows)
        await press(pilot, "h")
        assert [row.mark for row in view.outline.rows] == ["closed"]
        await press(pilot, "l", "l")
        assert (len(view.outline.rows), view.key) == (rows, "build")
        await press(pilot, "l", "l", "l")
        assert view.key == "ship"  # through the test, which was closed
        await press(pilot, "l", "l", "l")
        assert "⟲ \\u202eRetro" in frame(app) or "Plan the release  cycle" in frame(app)
        await press(pilot, "h", "h", "h", "h")
        assert view.key == "test"
        await press(pilot, "r")
        assert view.outline.rows[0].node.key == "test"
        assert "from test" in frame(app)
        await press(pilot, "r", "slash", *"tests", "enter")
        assert [row.node.key for row in view.outline.rows] == ["test"]


async def test_walking_along_edges(graphs: Database) -> None:
    app = app_on(graphs)
    async with app.run_test(size=(80, 24)) as pilot:
        view = await opened(app, pilot)
        await press(pilot, "n", "l")
        assert view.key == "build"
        assert "Plan the release ▸ Build" in frame(app)
        await press(pilot, "l", "enter")
        assert view.key == "ship"
        await press(pilot, "backspace")
        assert view.key == "test"
        await press(pilot, "h", "h")
        assert view.key == "build"
        assert "Plan the release ▸ Build\n" in frame(app)  # walked back: the way is shorter again
        await press(pilot, "o")
        assert view.key == "build"


async def test_finding_and_failed_nodes(graphs: Database) -> None:
    app = app_on(graphs)
    async with app.run_test(size=(80, 24)) as pilot:
        view = await opened(app, pilot)
        await press(pilot, "f")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await press(pilot, *"retro", "enter")
        await until(pilot, lambda: view.key == "retro")
        await press(pilot, "e")
        await until(pilot, lambda: view.key == "test")
        await press(pilot, "f")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await press(pilot, "e", "enter")
        await until(pilot, lambda: isinstance(app.screen, Choose))  # several hold an e
        await press(pilot, *"Plan", "enter")
        await until(pilot, lambda: view.key == "plan")
        await press(pilot, "f")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await press(pilot, *"nope", "enter")
        await said(pilot, "no node is called nope")
        await press(pilot, "i")
        await until(pilot, lambda: '"Plan the release"' in frame(app))


async def test_from_box_to_box(graphs: Database) -> None:
    app = app_on(graphs)
    async with app.run_test(size=(80, 24)) as pilot:
        view = await opened(app, pilot)
        await press(pilot, "v", "j")
        first = view.key
        assert "┏" in frame(app)
        await press(pilot, "l" if first == "build" else "h")
        assert {first, view.key} == {"build", "docs"}
        await press(pilot, "k", "enter")
        await until(pilot, lambda: '"Plan the release"' in frame(app))


async def test_a_large_graph_has_no_picture(graphs: Database) -> None:
    app = app_on(graphs)
    async with app.run_test(size=(80, 24)) as pilot:
        view = await opened(app, pilot, "b16")
        await press(pilot, "v")
        await said(pilot, "too large")
        assert view.outline.display


async def saved(pilot: Pilot[None], view: GraphView) -> None:
    """Send the form, and wait until it is gone."""
    await pilot.press("ctrl+s")
    await until(pilot, lambda: pilot.app.screen is view)
    await settle(pilot)


async def asked(pilot: Pilot[None], kind: type[object], *keys: str) -> None:
    """Press keys, and wait for a question of that kind."""
    await press(pilot, *keys)
    await until(pilot, lambda: isinstance(pilot.app.screen, kind))
    await settle(pilot)


async def test_adding_changing_and_deleting_nodes(graphs: Database) -> None:
    app = app_on(graphs, operate=operating(graphs))
    async with app.run_test(size=(80, 24)) as pilot:
        view = await opened(app, pilot)
        await asked(pilot, FormScreen, "a", *"party", "enter")
        await press(pilot, "ctrl+s")
        await until(pilot, lambda: "required" in frame(app))  # at its field; nothing was written
        await press(pilot, *"Cake")
        await saved(pilot, view)
        await until(pilot, lambda: view.key == "party")
        await asked(pilot, FormScreen, "u")
        await press(pilot, "end", "s")
        await saved(pilot, view)
        await until(pilot, lambda: "Cakes" in frame(app))
        await press(pilot, "a", *"party", "enter")
        await said(pilot, "already")
        await asked(pilot, FormScreen, "A", *"ship", "enter")
        await saved(pilot, view)
        await asked(pilot, Confirm, "d")
        assert "with it goes 1 edge" in frame(app)
        check_golden(app, "graph-delete-80x24")
        await press(pilot, "n")
        assert graphs.query("SELECT 1 FROM nodes WHERE key = 'party'")
        await asked(pilot, Confirm, "d")
        await press(pilot, "y")
        await said(pilot, "deleted: node party and 1 edge")
        await until(pilot, lambda: "Cakes" not in frame(app).replace("deleted", ""))
        assert not graphs.query("SELECT 1 FROM nodes WHERE key = 'party'")
        assert len(graphs.query("SELECT 1 FROM edges WHERE graph_id = '5e1ea5e0'")) == len(EDGES)


async def test_changing_and_deleting_edges(graphs: Database) -> None:
    app = app_on(graphs, operate=operating(graphs))
    async with app.run_test(size=(80, 24)) as pilot:
        view = await opened(app, pilot)
        await press(pilot, "U")
        await said(pilot, "there is no edge here")
        await asked(pilot, FormScreen, "n", "U")
        await press(pilot, "home", *"7", "ctrl+s")
        assert isinstance(app.screen, FormScreen)
        await press(pilot, "ctrl+u", *"0.5")
        await saved(pilot, view)
        (row,) = graphs.query("SELECT attributes ->> '$.qualityRetention' AS kept FROM edges WHERE key = 'e0'")
        assert row["kept"] == 0.5
        await asked(pilot, Confirm, "D")
        await press(pilot, "y")
        await until(pilot, lambda: not graphs.query("SELECT 1 FROM edges WHERE key = 'e0'"))
        await asked(pilot, FormScreen, "A", *"ship", "enter")
        await saved(pilot, view)
        await until(pilot, lambda: [link.node.key for link in view.columns.sides[1].rows] == ["docs", "ship"])
        await asked(pilot, FormScreen, "A", *"ship", "enter")
        await press(pilot, "ctrl+s")
        await until(pilot, lambda: "parallel" in frame(app))


async def test_beginning_a_graph_and_what_cannot_be_changed(graphs: Database, tmp_path: Path) -> None:
    app = app_on(graphs, operate=operating(graphs))
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        await asked(pilot, Choose, "c")
        await asked(pilot, Ask, *"task", "enter")
        await asked(pilot, GraphView, *"mine", "enter")
        await until(pilot, lambda: "This graph has no nodes yet." in frame(app))
        await press(pilot, "escape", "T")
        await until(pilot, lambda: "edge depends_on" in frame(app))
        await opened(app, pilot, "ca11")
        await press(pilot, "d")
        await said(pilot, "calls are made by the log")
        await asked(pilot, Ask, "w")
        await press(pilot, "ctrl+u", *str(tmp_path / "x.dot"), "enter")
        await until(pilot, (tmp_path / "x.dot").exists)
        await until(pilot, lambda: (tmp_path / "x.dot").read_text().endswith("}\n"))
    app = app_on(graphs, operate=operating(graphs), read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await press(pilot, "a")
        await said(pilot, "read-only")
