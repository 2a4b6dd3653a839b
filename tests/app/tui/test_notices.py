"""What is said to the person stands beside what it is about, not upon it; and a verb that fails ends nothing."""

from __future__ import annotations

from typing import ClassVar

import pytest
from textual import work
from textual.binding import Binding, BindingType

from app.tui import app as application
from app.tui.detail import Detail
from app.tui.prompts import Confirm
from storage.engine import Database, EngineError
from sync.spoke.status import write_status
from tests.app.tui.conftest import NOW_MS, app_on, frame, settle, until
from tests.app.tui.test_keyboard import SlowView
from tests.app.tui.test_keys import NumbersView, said, shown


class Gone(EngineError):
    """What a read finds of a file that was removed."""

    hint = "look where it went"


class FailingView(NumbersView):
    """Has a verb that finds the database gone."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "fail", "fail", id="test.failing.fail"),
        Binding("i", "ask", "ask", id="test.failing.ask"),
    ]

    @work
    async def action_fail(self) -> None:
        """As a read does, of a file that was removed."""
        raise Gone("the file is not there any more")

    @work
    async def action_ask(self) -> None:
        """Two lines that reach to the right end."""
        await self.app.push_screen_wait(Confirm("question " + "q" * 66, ["details " + "d" * 66]))


async def test_a_verb_that_fails_says_so_and_everything_goes_on(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        view = FailingView()
        await shown(pilot, view)
        await pilot.press("x")
        await settle(pilot)
        assert said(app) == ["the file is not there any more — look where it went"]
        await pilot.press("j")
        await settle(pilot)
        assert (view.table.cursor, app.failure) == (1, None)


async def test_what_was_said_goes_when_something_else_is_said_but_for_errors(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, FailingView())
        await pilot.press("f", "f", "x", "S")
        await settle(pilot)
        assert said(app) == [
            "the file is not there any more — look where it went",
            "sort the other way: sort first: s",
        ]


async def test_nothing_stands_upon_a_question_and_upon_a_filter(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await shown(pilot, FailingView())
        app.notify("said before " * 6)
        await pilot.press("i")
        await settle(pilot)
        await until(pilot, lambda: "said before" in frame(app))
        assert "question " + "q" * 66 in frame(app)
        assert "details " + "d" * 66 in frame(app)
        await pilot.press("escape", "slash", *"w" * 70)
        app.notify("said before " * 6)
        await settle(pilot)
        await until(pilot, lambda: "said before" in frame(app))
        assert "w" * 70 in frame(app).splitlines()[-2]


async def test_what_is_being_read_is_said_until_it_is_shown(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        view = SlowView()
        app.push_screen(view)
        await until(pilot, lambda: "reading…" in frame(app))
        view.let.set()
        await settle(pilot)
        assert "reading…" not in frame(app)
        view.let.clear()
        app.reload()
        await until(pilot, lambda: view.has_class("loading"))
        assert "reading…" not in frame(app), "who sees the rows is not told of every look"
        view.let.set()
        await settle(pilot)


async def test_enter_is_offered_where_it_opens_something_and_says_where_not(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, NumbersView())
        assert "enter open" not in frame(app)
        await pilot.press("enter")
        await settle(pilot)
        assert said(app) == ["open: there is no more to it than what is here"]
        app.push_screen(Detail("a text", "no members"))
        await settle(pilot)
        assert "enter open" not in frame(app)
        app.push_screen(Detail("a value", '{"a": {"b": 1}}'))
        await settle(pilot)
        assert "enter open" in frame(app)


async def test_help_says_that_there_is_no_hub_here(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(100, 60)) as pilot:
        await pilot.press("question_mark")
        await settle(pilot)
        assert "hub   (this is not the data directory of a hub)" in frame(app)


async def test_the_death_of_the_process_that_runs_the_services_is_told(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "DAEMON_POLL_S", 0.01)
    alive = True
    with filled.transaction() as tx:
        write_status(tx, state="live", at_ms=NOW_MS, hub_url="wss://hub.example", hub_id="h")
    app = app_on(filled, daemon_running=lambda: alive)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "STOPPED" not in frame(app)
        alive = False  # nobody commits anything
        await until(pilot, lambda: "STOPPED" in frame(app))
