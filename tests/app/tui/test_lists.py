"""Lists: what is painted when a row changes or comes, the mouse, the sorted column, and who reads is not disturbed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from textual.events import MouseScrollDown, MouseScrollUp
from textual.pilot import Pilot

from app.tui.app import SpokeApp
from app.tui.detail import Detail
from app.tui.sessions import SessionsView
from app.tui.streams import StreamView
from app.tui.table_view import TableView
from app.views.columns import Column
from storage.engine import Database, Snapshot
from tests.app.tui.conftest import app_on, frame, settle, until

WIDTH = 80
TOP = 3
"""Lines above a table's first row: title, tabs, header."""


class WordsView(TableView[str]):
    """Words of a test; it changes them."""

    noun = "word"
    columns = (
        Column[str]("n", "N", lambda row: row.split()[0], 4, lambda row: int(row.split()[0]), right=True),
        Column[str]("word", "WORD", lambda row: row.split()[1], 6, grow=True),
    )

    def __init__(self, words: Sequence[str], *, follows: bool = False) -> None:
        super().__init__()
        self.words = list(words)
        self.follows = follows  # type: ignore[misc]

    def read(self, snapshot: Snapshot) -> Sequence[str]:
        """The words."""
        return list(self.words)

    def key(self, row: str) -> object:
        """The number before the word."""
        return row.split()[0]


def words(number: int) -> list[str]:
    return [f"{i} word{i}" for i in range(number)]


async def opened(pilot: Pilot[Any], view: WordsView) -> WordsView:
    pilot.app.push_screen(view)
    await settle(pilot)
    return view


async def roll(pilot: Pilot[Any], event: type[MouseScrollDown | MouseScrollUp], notches: int) -> None:
    for _ in range(notches):
        await pilot._post_mouse_events([event], "#table", offset=(10, 5), times=1)
    await pilot.pause()


# -- painting ----------------------------------------------------------------------------------------------------------


class Painted:
    """Which lines of the screen are sent to the terminal."""

    def __init__(self, app: SpokeApp, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: set[int] = set()
        monkeypatch.setattr(app, "_display", self._display)

    def _display(self, screen: object, update: Any) -> None:
        if hasattr(update, "spans"):
            self.lines |= {y for y, begin, _ in update.spans if begin < WIDTH - 1}  # the scroll bar is beside the lines
        elif update is not None:
            self.lines |= set(range(update.region.y, update.region.bottom))

    async def by(self, pilot: Pilot[Any]) -> set[int]:
        """Which lines of rows are painted from the last call on until the screen is quiet."""
        seen: set[int] = set()
        for _ in range(50):
            await settle(pilot)
            if not self.lines:
                return {line for line in seen if line >= TOP}
            seen |= self.lines
            self.lines.clear()
        raise AssertionError(f"always something: {seen}")


@pytest.mark.parametrize(("number", "at"), [(10, 3), (200, 3), (200, 150)], ids=["fits", "long", "scrolled"])
async def test_a_row_that_changes_or_comes_is_one_line(
    filled: Database, monkeypatch: pytest.MonkeyPatch, number: int, at: int
) -> None:
    app = app_on(filled)
    async with app.run_test(size=(WIDTH, 24)) as pilot:
        view = await opened(pilot, WordsView(words(number)))
        view.table.move_to(at)
        painted = Painted(app, monkeypatch)
        await painted.by(pilot)
        top = TOP - view.table.scroll_offset.y
        view.words[at - 1] = f"{at - 1} other"
        assert await painted.by(pilot) == {top + at - 1}
        seen = number < 20
        view.words.append(f"{number} last")
        assert await painted.by(pilot) == ({top + number} if seen else set())
        view.words.pop()
        assert await painted.by(pilot) == ({top + number} if seen else set())
        await pilot.press("k")
        assert await painted.by(pilot) == {top + at - 1, top + at}


async def test_a_followed_list_that_has_room_paints_the_new_row_and_the_one_that_was_newest(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_on(filled)
    async with app.run_test(size=(WIDTH, 24)) as pilot:
        view = await opened(pilot, WordsView(words(10), follows=True))
        painted = Painted(app, monkeypatch)
        await painted.by(pilot)
        view.words.append("10 last")
        assert await painted.by(pilot) == {TOP + 9, TOP + 10}  # the cursor goes with it


# -- the mouse ---------------------------------------------------------------------------------------------------------


async def test_clicks_choose_rows_open_them_and_change_tabs(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(WIDTH, 24)) as pilot:
        await settle(pilot)
        await pilot.click("#tabs", offset=(frame(app).splitlines()[1].index("2 Sess"), 0))
        await settle(pilot)
        assert isinstance(app.screen, SessionsView)
        table = app.screen.table
        await pilot.click("#table", offset=(10, 2))  # the header is 0
        assert table.cursor == 1
        assert app.screen_stack[-1].query("#table")  # chosen, not opened
        await pilot.click("#table", offset=(10, 0))
        await pilot.click("#table", offset=(10, 9))
        assert table.cursor == 1  # the header and the void are no rows
        await pilot.click("#table", offset=(10, 2))
        await settle(pilot)
        assert "▸ 5e551011" in frame(app)
        await pilot.click("#tabs", offset=(79, 0))  # no tab is there
        await pilot.click("#tabs", offset=(frame(app).splitlines()[1].index("4 Stre"), 0))
        await settle(pilot)
        assert "[4 Streams]" in frame(app)


async def test_the_wheel_rolls_the_lines_ends_following_and_keeps_the_cursor_in_sight(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(WIDTH, 24)) as pilot:
        view = await opened(pilot, WordsView(words(100), follows=True))
        table = view.table
        assert (table.cursor, table.scroll_offset.y) == (99, 80)  # 20 rows are seen
        await roll(pilot, MouseScrollUp, 2)
        assert (table.follow, table.scroll_offset.y) == (False, 74)
        assert table.cursor == 93  # the last one that is seen
        await settle(pilot)
        assert "↓ 6 newer" in frame(app)
        await roll(pilot, MouseScrollDown, 50)
        assert table.scroll_offset.y == table.max_scroll_y == 80
        await roll(pilot, MouseScrollUp, 50)
        assert table.scroll_offset.y == 0


# -- the sorted column -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("no_color", [False, True], ids=["colours", "NO_COLOR"])
@pytest.mark.parametrize(("column", "title"), [("n", " N▼"), ("word", "WORD▼")])
async def test_the_title_of_the_sorted_column_is_reverse_video(
    filled: Database, monkeypatch: pytest.MonkeyPatch, no_color: bool, column: str, title: str
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    app = app_on(filled)
    async with app.run_test(size=(WIDTH, 24)) as pilot:
        view = await opened(pilot, WordsView(words(10)))
        assert reversed_in_header(app) == []
        view.sort, view.descending = column, True
        view._sorted()
        await settle(pilot)
        assert reversed_in_header(app) == [title.strip()]
        assert title in frame(app).splitlines()[TOP - 1]


def reversed_in_header(app: SpokeApp) -> list[str]:
    strip = app.screen._compositor.render_strips()[TOP - 1]
    return [segment.text for segment in strip if segment.style is not None and segment.style.reverse]


# -- who reads is not disturbed ----------------------------------------------------------------------------------------


async def test_a_paused_table_can_be_filtered_and_sorted_and_counts_what_the_filter_passes(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(WIDTH, 24)) as pilot:
        view = await opened(pilot, WordsView(["0 odd", "1 even", "2 odd"]))
        await pilot.press("p")
        view.words += ["3 even", "4 odd"]
        await settle(pilot)
        assert "words 3  paused · 2 new" in frame(app)
        await pilot.press("slash", *"odd", "enter")
        await settle(pilot)
        assert list(view.table.rows) == ["0 odd", "2 odd"]
        assert "words 2 of 3  paused · 1 new" in frame(app)
        view.sort, view.descending = "n", True
        view._sorted()
        await settle(pilot)
        assert list(view.table.rows) == ["2 odd", "0 odd"]
        await pilot.press("p")
        await settle(pilot)
        assert list(view.table.rows) == ["4 odd", "2 odd", "0 odd"]


async def test_a_paused_list_of_other_jobs_is_read_anew_and_held_from_then_on(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(WIDTH, 24)) as pilot:
        view = await opened(pilot, WordsView(words(3)))
        await pilot.press("p")
        view.words = words(4)
        await settle(pilot)
        assert len(view.table.rows) == 3
        view.heading = lambda: "other words"  # type: ignore[method-assign]
        await settle(pilot)
        assert len(view.table.rows) == 4
        view.words = words(5)
        await settle(pilot)
        assert "other words 4  paused · 1 new" in frame(app)


@pytest.mark.parametrize("paused", [False, True], ids=["follows", "paused"])
async def test_a_list_rests_while_an_event_of_it_is_read(filled: Database, paused: bool) -> None:
    app = app_on(filled)
    async with app.run_test(size=(WIDTH, 24)) as pilot:
        app.open_noun("stream", "call-protocol")
        await settle(pilot)
        view = app.screen
        assert isinstance(view, StreamView)
        if paused:
            await pilot.press("p")
            await settle(pilot)
        before = view.table.selected
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Detail))
        await settle(pilot)
        assert "paused" not in frame(app)  # nothing is missed
        for name in ("n1", "n2"):
            filled.stream("call-protocol").publish({"type": "call.aborted", "requestId": name})
        await settle(pilot)
        assert frame(app).endswith("list paused · 2 new")
        assert view.table.selected == before
        await pilot.press("escape")
        await settle(pilot)
        if paused:  # what a person paused stays so
            assert "paused · 2 new" in frame(app)
            assert view.table.selected == before
        else:
            assert "following" in frame(app)
            assert view.table.selected is not None
            assert view.table.selected.event.payload["requestId"] == "n2"
