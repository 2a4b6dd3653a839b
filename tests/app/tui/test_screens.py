"""Every screen in its states, as plain text; the keys; what happens when the database goes away."""

from __future__ import annotations

import pytest

from app.tui.app import SpokeApp
from app.tui.lines.line_list import LineList
from app.tui.session import SessionView
from app.tui.view import View
from storage.engine import Database
from sync.spoke.status import write_status
from tests.app.tui.conftest import NOW_MS, app_on, check_golden, frame, settle

SIZES = [(80, 24), (100, 30)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", ["empty", "filled"])
async def test_main_screens(tenant: Database, filled: Database, size: tuple[int, int], state: str) -> None:
    app = app_on(tenant if state == "empty" else filled)
    async with app.run_test(size=size) as pilot:
        for key, name in (("1", "overview"), ("2", "sessions")):
            await pilot.press(key)
            await settle(pilot)
            check_golden(app, f"{name}-{state}-{size[0]}x{size[1]}")


async def open_first_session(app: SpokeApp, pilot: object) -> None:
    from textual.pilot import Pilot

    assert isinstance(pilot, Pilot)
    await settle(pilot)
    await pilot.press("2")
    await settle(pilot)
    await pilot.press("j", "enter")
    await settle(pilot)
    assert isinstance(app.screen, SessionView)


@pytest.mark.parametrize("ascii_only", [False, True], ids=["unicode", "ascii"])
async def test_waterfall(filled: Database, ascii_only: bool) -> None:
    app = app_on(filled, ascii_only=ascii_only)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_first_session(app, pilot)
        check_golden(app, f"session-{'ascii' if ascii_only else 'filled'}-80x24")
        if ascii_only:
            assert frame(app).isascii()
        await pilot.press("e")
        assert app.screen.query_one(LineList).cursor == 2
        await pilot.press("enter")
        await settle(pilot)
        if not ascii_only:
            check_golden(app, "detail-failed-80x24")
        await pilot.press("escape", "g", "space")
        await settle(pilot)
        assert "(+3)" in frame(app)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("offline", "○ OFFLINE"),
        ("connecting", "◌ CONNECTING"),
        ("authenticating", "◍ AUTHENTICATING"),
        ("catching-up", "◐ CATCHING-UP"),
        ("live", "● LIVE"),
        ("draining", "◑ DRAINING"),
        ("paused", "‖ PAUSED"),
        ("refused", "✗ REFUSED(UNAUTHORIZED)"),
    ],
)
async def test_the_state_of_the_link_is_words_on_every_screen(filled: Database, state: str, words: str) -> None:
    with filled.transaction() as tx:
        write_status(
            tx,
            state=state,  # type: ignore[arg-type]
            at_ms=NOW_MS - 65_000,
            hub_url="wss://hub.example",
            hub_id="h",
            error_code="UNAUTHORIZED" if state == "refused" else None,
            error="the hub answered 401" if state == "refused" else None,
            hint="make a key" if state == "refused" else None,
        )
    app = app_on(filled, daemon_running=lambda: True)
    async with app.run_test(size=(80, 24)) as pilot:
        for key in "124":
            await pilot.press(key)
            await settle(pilot)
            assert words in frame(app).splitlines()[0]


async def test_the_filter_is_live_and_letters_in_it_are_no_keys(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2", "slash", *"quit")
        await settle(pilot)
        assert "No session matches the filter" in frame(app)
        await pilot.press("escape")
        await settle(pilot)
        assert "▸ sessions 2 " in frame(app)
        await pilot.press("slash", *"build", "enter")
        await settle(pilot)
        assert "▸ sessions 1 of 2  / build" in frame(app)


async def test_new_events_show_up_without_a_key(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        filled.stream("call-protocol").publish({"type": "call.aborted", "requestId": "c4"})
        await settle(pilot)
        assert "call.aborted" in frame(app)


async def test_pause_holds_the_list(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        await pilot.press("p")
        await settle(pilot)
        filled.stream("call-protocol").publish({"type": "call.aborted", "requestId": "c4"})
        await settle(pilot)
        assert "call.aborted" not in frame(app)
        await pilot.press("p")
        await settle(pilot)
        assert "call.aborted" in frame(app)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["j"], 1),
        (["down", "down"], 2),
        (["j", "k"], 0),
        (["G"], 199),
        (["end"], 199),
        (["G", "g"], 0),
        (["end", "home"], 0),
        (["k"], 0),
        (["ctrl+d"], 19),
        (["pagedown", "pageup"], 0),
        (["ctrl+d", "ctrl+u"], 0),
    ],
)
async def test_every_list_moves_by_every_grammar(tenant: Database, keys: list[str], expected: int) -> None:
    from app.services.projector import catch_up

    for number in range(200):
        tenant.stream("session-events").publish(
            {"type": "session.started", "sessionId": f"s{number}", "title": "t", "source": "x", "slug": f"s{number}"}
        )
    catch_up(tenant)
    app = app_on(tenant)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await settle(pilot)
        await pilot.press(*keys)
        lines = app.screen.query_one(LineList)
        assert lines.cursor == expected
        assert 0 <= lines.cursor - lines.scroll_offset.y < lines.size.height


async def test_too_small_says_what_is_needed(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.resize_terminal(40, 10)
        await pilot.pause()
        assert "need 60x15, have 40x10" in frame(app).replace("\n", " ")
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert "overview" in frame(app)


async def test_an_idle_screen_paints_nothing(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        painted: list[object] = []
        monkeypatch.setattr(app, "_display", lambda *arguments: painted.append(arguments))
        for _ in range(50):  # what belongs to the first picture may still be on its way
            painted.clear()
            await settle(pilot)
            if not painted:
                break
        for _ in range(5):
            app.reload()
            await settle(pilot)
        assert painted == []


async def test_help_lists_every_key_of_the_screen(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 40)) as pilot:
        await open_first_session(app, pilot)
        await pilot.press("question_mark")
        await settle(pilot)
        shown = frame(app)
    for words in ("fold", "next failed", "previous failed", "filter", "quit", "copy", "page down"):
        assert words in shown


async def test_a_database_that_cannot_be_read_is_a_panel_and_not_a_crash(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from storage.engine import CorruptError

    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)

        async def broken(*_: object) -> None:
            raise CorruptError("tenant-local.db: database disk image is malformed")

        monkeypatch.setattr(filled, "read", broken)
        app.reload()
        await settle(pilot)
        shown = " ".join(frame(app).split())
        assert "malformed" in shown
        assert "restore the latest backup" in shown
        monkeypatch.undo()
        app.reload()
        await settle(pilot)
        assert "fix the build" in frame(app)


async def test_keys_that_cannot_do_anything_say_why(tenant: Database) -> None:
    app = app_on(tenant)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for keys, said in (("y", "nothing to copy: the list is empty"), ("4S", "sort the other way: sort first: s")):
            await pilot.press(*keys)
            await pilot.pause()
            assert [notification.message for notification in app._notifications] == [said]


async def test_back_goes_back(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_first_session(app, pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert isinstance(app.screen, View)
        assert "sessions" in frame(app)
