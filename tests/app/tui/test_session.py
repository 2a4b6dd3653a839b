"""The session screen: every state as plain text, every key, a hundred thousand calls, hostile and huge payloads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from app.importers import claude_code
from app.importers.imported import store
from app.services.projector import catch_up
from app.tui.app import SpokeApp
from app.tui.detail import Detail
from app.tui.session import SessionView
from app.tui.session_lists import Pane
from storage.engine import Database
from tests.app.importers.logs import AT_MS, CLAUDE
from tests.app.tui.conftest import app_on, check_golden, frame, settle, until
from tests.app.views.recorded import CALLS, END, REST, SESSION, START, began, ended, publish

SIZES = [(80, 24), (100, 30), (200, 50)]
by_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")


@asynccontextmanager
async def showing(
    db: Database, size: tuple[int, int] = (80, 24), session: str = SESSION, **more: Any
) -> AsyncIterator[tuple[SpokeApp, Pilot[None], SessionView]]:
    app = app_on(db, **more)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        app.open_session(session)
        async with asyncio.timeout(60):
            while not (isinstance(app.screen, SessionView) and app.screen.shown):
                await settle(pilot)
        yield app, pilot, app.screen


async def press(pilot: Pilot[None], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


def said(app: SpokeApp) -> list[str]:
    """What was said in toasts."""
    return [notification.message for notification in app._notifications]


@pytest.fixture
def running(tenant: Database) -> Database:
    publish(tenant, START, *CALLS)
    catch_up(tenant)
    return tenant


@pytest.fixture
def over(running: Database) -> Database:
    publish(running, *REST, END)
    catch_up(running)
    return running


def name(kind: str, size: tuple[int, int]) -> str:
    return f"session-{kind}-{size[0]}x{size[1]}"


# -- states ------------------------------------------------------------------------------------------------------------


@by_size
async def test_filled(running: Database, size: tuple[int, int]) -> None:
    async with showing(running, size) as (app, _, _):
        check_golden(app, name("calls", size))


@by_size
async def test_critical_path_and_details(over: Database, size: tuple[int, int]) -> None:
    async with showing(over, size) as (app, pilot, _):
        await press(pilot, "c", "e", "d")
        check_golden(app, name("details", size))


@by_size
async def test_in_ascii(over: Database, size: tuple[int, int]) -> None:
    async with showing(over, size, ascii_only=True) as (app, pilot, _):
        await press(pilot, "c", "e", "d")
        check_golden(app, name("in-ascii", size))
        assert frame(app).isascii()


@by_size
async def test_empty(tenant: Database, size: tuple[int, int]) -> None:
    publish(tenant, START)
    catch_up(tenant)
    async with showing(tenant, size) as (app, pilot, _):
        check_golden(app, name("empty", size))
        await press(pilot, "m")
        assert "Nothing was said in this session" in frame(app)
        for key in ("space", "e", "E", "c", "plus", "0", "z", "left", "right", "y", "x", "d", "enter"):
            await press(pilot, key)


@by_size
async def test_messages(tenant: Database, size: tuple[int, int]) -> None:
    session = claude_code.read(CLAUDE, "x", AT_MS)[0]
    store(tenant, session, 0)
    catch_up(tenant)
    async with showing(tenant, size, session.session_id) as (app, pilot, view):
        await press(pilot, "m")
        check_golden(app, name("messages", size))
        await press(pilot, "e", "m")
        assert view.calls.call is not None
        assert (view.calls.call.operation_id, view.calls.call.status) == ("tool.Bash", "failed")
        await press(pilot, "m")
        assert view.said.selected is not None
        assert "Bash" in view.said.selected[1].text
        await press(pilot, "enter")
        assert isinstance(app.screen, Detail)
        assert "make test" in frame(app)
        await press(pilot, "escape", "slash", *"parser.py", "enter")
        assert "parser.py" in frame(app)
        assert "Look first" not in frame(app)


async def test_what_was_said_has_the_width_of_the_screen_at_once(tenant: Database) -> None:
    session = claude_code.read(CLAUDE, "x", AT_MS)[0]
    store(tenant, session, 0)
    catch_up(tenant)
    async with showing(tenant, (100, 30), session.session_id) as (app, pilot, view):
        await pilot.press("m")
        await app.keys_done()  # and no commit later
        assert max(len(line.text.strip()) for _, line in view.said.rows) > 40


HOSTILE = {"\x1b[2J‮": ["​", "\x00", "宽字符" * 30, "</script>"], "deep": json.loads("[" * 60 + "]" * 60)}


@by_size
async def test_hostile_payloads(tenant: Database, size: tuple[int, int]) -> None:
    call = began("h1", 0, "evil\x1b[31m‮.宽字符👩‍🔧", input=HOSTILE)
    publish(tenant, {**START, "title": "\x1b]0;owned\x07‮title"}, call, ended("h1", 1, "E\x1b[2J"))
    catch_up(tenant)
    async with showing(tenant, size) as (app, pilot, _):
        await press(pilot, "d")
        check_golden(app, name("hostile", size))
        shown = frame(app)
        assert not {"\x1b", "\x07", "‮", "​", "\x00"} & set(shown)


@by_size
async def test_a_payload_of_ten_megabytes(tenant: Database, size: tuple[int, int]) -> None:
    publish(tenant, START, began("big", 0, "fs.read", input={"path": "x", "text": "abcdefghi\n" * 1_000_000}))
    publish(tenant, ended("big", 1))
    catch_up(tenant)
    async with showing(tenant, size) as (app, pilot, view):
        await press(pilot, "d")
        check_golden(app, name("huge", size))
        facts = view.query_one(Pane).rows
        assert "11 000 022 characters" in "".join(fact.text for _, fact in facts)
        assert sum(len(fact.text) for _, fact in facts) < 20_000
        await press(pilot, "enter")
        assert isinstance(app.screen, Detail)
        await press(pilot, "escape")


# -- keys --------------------------------------------------------------------------------------------------------------


async def test_folds(over: Database) -> None:
    async with showing(over) as (app, pilot, view):
        await press(pilot, "j", "space")
        assert "fs.list (+1)" in frame(app)
        await press(pilot, "right", "right")
        assert view.calls.call is not None
        assert view.calls.call.operation_id == "fs.stat"
        await press(pilot, "left", "left", "left")
        assert "fs.list (+1)" in frame(app)
        assert view.calls.call.operation_id == "agent.run"
        await press(pilot, "z")
        assert "(+" not in frame(app)
        await press(pilot, "z")
        assert [row.call.operation_id for row in view.calls.rows] == ["agent.run"]
        await press(pilot, "e")
        assert view.calls.call.request_id == "c4", "a failed call is found where it is folded away"
        await press(pilot, "j", "space")
        assert "fold: this call made no calls" in said(app)


async def test_zoom_keeps_the_call_in_the_middle_and_minus_goes_back_at_the_end(over: Database) -> None:
    async with showing(over) as (app, pilot, view):
        await press(pilot, "e", "plus", "plus")
        window = view.calls.fall.window
        assert window.length == 10_000
        assert window.start == pytest.approx(view.calls.fall.tree.begin)
        await press(pilot, "j")
        assert view.calls.call is not None
        start, end = view.calls.fall.tree.span(4, 0)
        assert sum((view.calls.fall.window.start, view.calls.fall.window.end)) == pytest.approx(start + end)
        assert "zoomed" in frame(app)
        await press(pilot, "minus", "0")
        assert not view.calls.fall.zoomed
        await press(pilot, "minus")
        assert not isinstance(app.screen, SessionView)


async def test_the_filter_keeps_what_led_to_a_match_and_e_stays_in_it(over: Database) -> None:
    async with showing(over) as (app, pilot, view):
        await press(pilot, "slash", *"took:>10s", "enter")
        assert [row.call.request_id for row in view.calls.rows] == ["c1", "c5"]
        await press(pilot, "e")
        assert "no failed call here" in said(app)
        await press(pilot, "escape", "slash", *"state:failed !agent", "enter")
        assert [row.call.request_id for row in view.calls.rows] == ["c1", "c4"]
        await press(pilot, "escape", "slash", *"nowhere", "enter")
        assert "No call matches the filter" in frame(app)


async def test_following_stays_on_the_newest_call_until_it_ends(running: Database) -> None:
    async with showing(running) as (app, pilot, view):
        await press(pilot, "x")
        assert view.calls.call is not None
        assert view.calls.call.request_id == "c5"
        publish(running, began("c6", 7, "late", "c2"))
        catch_up(running)
        await settle(pilot)
        assert view.calls.call.request_id == "c6"
        assert "following" in frame(app)
        await press(pilot, "x", "g")
        publish(running, *REST, END)
        catch_up(running)
        await settle(pilot)
        assert view.calls.call.request_id == "c1"
        await press(pilot, "x")
        assert "follow the newest call: the session has ended" in said(app)


async def test_the_pane_leads_to_other_calls(over: Database) -> None:
    async with showing(over, (140, 40)) as (app, pilot, view):
        await press(pilot, "j", "j", "d", "tab")
        assert app.focused is view.query_one(Pane)
        rows = view.query_one(Pane).rows
        await press(pilot, *"j" * next(i for i, (_, fact) in enumerate(rows) if fact.jump), "enter")
        assert view.calls.call is not None
        assert view.calls.call.request_id == "c2"


NEW = [began("n0", 7, "early", "c2"), began("n1", 8, "late", "c1")]
"""One of them belongs above the call that runs."""


async def test_no_row_moves_while_a_call_is_read_in_the_pane(running: Database) -> None:
    async with showing(running, (140, 40)) as (app, pilot, view):
        await press(pilot, "G", "d")
        names = [row.call.request_id for row in view.calls.rows]
        assert "paused" not in frame(app)  # nothing is held back
        publish(running, *NEW, REST[0])
        catch_up(running)
        await settle(pilot)
        assert "paused · 2 new" in frame(app)
        assert [row.call.request_id for row in view.calls.rows] == names
        assert view.calls.call is not None
        assert (view.calls.call.request_id, view.calls.call.status) == ("c5", "completed")  # what is there goes on
        await press(pilot, "p")  # let them come beside the pane
        assert "paused" not in frame(app)
        assert len(view.calls.rows) == len(names) + 2
        assert view.calls.call.request_id == "c5"
        await press(pilot, "d", "d")
        publish(running, began("n2", 9, "later", "c1"))
        catch_up(running)
        await settle(pilot)
        assert "paused · 1 new" in frame(app)
        await press(pilot, "d")
        assert "paused" not in frame(app)
        assert len(view.calls.rows) == len(names) + 3


async def test_what_a_person_paused_stays_so_and_who_follows_goes_on(running: Database) -> None:
    async with showing(running) as (app, pilot, view):
        await press(pilot, "p")
        assert "paused" in frame(app)
        publish(running, NEW[0])
        catch_up(running)
        await press(pilot, "d", "d")  # to read and to close ends no pause of his
        assert "paused · 1 new" in frame(app)
        await press(pilot, "p", "x", "d")
        assert view.calls.call is not None
        assert view.calls.call.request_id == "n0"
        publish(running, NEW[1])
        catch_up(running)
        await settle(pilot)
        assert view.calls.call.request_id == "n0"  # it is read
        await press(pilot, "d")
        assert view.calls.call.request_id == "n1"  # it goes on following
        await press(pilot, "x", "d")
        publish(running, began("n2", 9, "later", "c1"))
        catch_up(running)
        await settle(pilot)
        assert "paused · 1 new" in frame(app)
        await press(pilot, "x")  # asked to, it follows beside the pane too
        assert "following" in frame(app)
        assert view.calls.call.request_id == "n2"


@pytest.mark.parametrize("size", [(80, 24), (140, 40)], ids=["below", "beside"])
async def test_the_pane_takes_the_whole_screen(over: Database, size: tuple[int, int]) -> None:
    async with showing(over, size) as (app, pilot, view):
        await press(pilot, "j", "j", "d", "tab", "z")
        await until(pilot, lambda: "fs.list  " not in frame(app))
        assert view.query_one(Pane).size.area >= (size[0] - 1) * (size[1] - 4)
        await press(pilot, "z")
        await until(pilot, lambda: "fs.list  " in frame(app))


async def test_links_beside_the_tree_are_in_the_pane(over: Database) -> None:
    with over.transaction() as tx:
        tx.execute(
            "INSERT INTO edges (id, graph_id, key, source_node_key, target_node_key, attributes)"
            """ VALUES ('l', ?, 'l', 'c5', 'c3', '{"edgeType":"depends_on"}')""",
            (SESSION,),
        )
    async with showing(over, (140, 40)) as (app, pilot, _):
        await press(pilot, "G", "d")
        assert "→ depends_on fs.stat" in frame(app)


async def test_copy(over: Database) -> None:
    async with showing(over) as (app, pilot, _):
        await press(pilot, "j")
        copied = []
        for key in ("y", "Y"):
            await press(pilot, key)
            copied.append(app.clipboard)
        assert copied[0] == "c2"
        assert json.loads(copied[1])["input"] == {"path": "/"}


@pytest.mark.parametrize("form", ["otlp", "chrome", "mermaid", "json", "html"])
async def test_export(over: Database, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with showing(over) as (app, pilot, _):
        await press(pilot, "w", *form)
        assert "write the session as" in frame(app)
        await press(pilot, "enter")
        assert "to the file" in frame(app)
        await press(pilot, "enter")
        async with asyncio.timeout(60):
            while not said(app):
                await pilot.pause()
    (file,) = await asyncio.to_thread(lambda: list(tmp_path.glob("session-5e551011*")))
    assert "http.get" in file.read_text()


async def test_no_critical_path_without_times(tenant: Database) -> None:
    untimed = [{k: v for k, v in event.items() if k != "timestamp"} for event in (*CALLS, *REST)]
    publish(tenant, START, *untimed)
    catch_up(tenant)
    async with showing(tenant) as (app, pilot, _):
        await press(pilot, "c")
        assert "critical path: times unknown: in log order" in said(app)


async def test_a_key_press_looks_at_no_call_that_is_not_seen(tenant: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a press costs is the rows that are painted, not the calls of the session."""
    parents = ["r" if number % 2 == 0 else f"n{number - 1}" for number in range(2_000)]
    events = [began(f"n{number}", 0.001 * number, "op", parent) for number, parent in enumerate(parents)]
    publish(tenant, START, began("r", 0, "run"), *events)
    catch_up(tenant)
    async with showing(tenant) as (_, pilot, view):
        made = 0
        of_rows = type(view.calls.rows)
        row_of: Callable[[Any, int], Any] = of_rows._row  # type: ignore[attr-defined]

        def counted(rows: Any, position: int) -> Any:
            nonlocal made
            made += 1
            return row_of(rows, position)

        monkeypatch.setattr(of_rows, "_row", counted)
        await press(pilot, "j", "space", "plus", "G", "left", "c", "e")
        assert made < 2_000
