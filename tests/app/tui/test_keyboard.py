"""Keys that are typed ahead wait for the verb before them: until it asks, has shown, or has had its time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from textual import work
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.keys import _character_to_key
from textual.widgets import Input

from app.tui import keyboard, queues
from app.tui.detail import Detail
from app.tui.prompts import Ask, Confirm
from app.views.queues import read_job
from storage.engine import Database, Snapshot
from tests.app.tui.conftest import app_on, frame, settle, until
from tests.app.tui.test_keys import NumbersView, said, shown


class SlowView(NumbersView):
    """Is read when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()

    async def load(self) -> None:
        """Wait first."""
        await self.let.wait()
        await super().load()


class Reading:
    """A read of the database that lasts until it is let go."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go = threading.Event()

    def __call__(self, _: Snapshot) -> str:
        self.began.set()
        assert self.go.wait(60)
        return "three"


class AskingView(NumbersView):
    """Reads before it asks."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "remove", "remove", id="test.asking.remove"),
        Binding("i", "inspect", "inspect", id="test.asking.inspect"),
    ]
    removed = False

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self.reading = reading

    @work
    async def action_remove(self) -> None:
        """Ask about what was read."""
        found = await self.spoke.db.read(self.reading)
        if await self.app.push_screen_wait(Confirm(f"remove {found}?")):
            self.removed = True

    @work
    async def action_inspect(self) -> None:
        """Show what was read."""
        found = await self.spoke.db.read(self.reading)
        self.app.push_screen(Detail("found", found))


@pytest.fixture
def reading() -> Iterator[Reading]:
    made = Reading()
    yield made
    made.go.set()


async def begun(pilot: Any, reading: Reading, keys: str) -> None:
    """Type, and give every key the time to go where it must not."""
    for letter in keys:
        pilot.app.post_message(Key(_character_to_key(letter), letter))
    await until(pilot, reading.began.is_set)
    for _ in range(5):
        await pilot.pause()


async def test_an_answer_typed_before_the_question_is_there(
    filled: Database, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyboard, "LIMIT_S", 60)
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        view = AskingView(reading)
        await shown(pilot, view)
        await begun(pilot, reading, "xy")
        assert not app._notifications, "y copies, on the list"
        reading.go.set()
        await settle(pilot)
        assert view.removed
        assert app.screen is view


async def test_a_filter_typed_before_the_text_is_there(
    filled: Database, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyboard, "LIMIT_S", 60)
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        view = AskingView(reading)
        await shown(pilot, view)
        await begun(pilot, reading, "i/ee")
        reading.go.set()
        await settle(pilot)
        assert isinstance(app.screen, Detail)
        assert (app.screen.filter_text, view.filter_text) == ("ee", "")


async def test_what_takes_long_keeps_no_key_for_long(
    filled: Database, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyboard, "LIMIT_S", 0.05)
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        view = AskingView(reading)
        await shown(pilot, view)
        await begun(pilot, reading, "ijj")
        await until(pilot, lambda: view.table.cursor == 2)
        assert app.screen is view


async def test_a_job_that_is_opened_takes_the_keys_behind_enter(
    filled: Database, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyboard, "LIMIT_S", 60)
    filled.queue("mail").enqueue({"to": "ada", "about": "tea"})

    def late(snapshot: Snapshot, job: int) -> object:
        reading(snapshot)
        return read_job(snapshot, job)

    monkeypatch.setattr(queues, "read_job", late)
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_noun("queue", "mail")
        await settle(pilot)
        assert "queue mail" in frame(app)
        await pilot.press("enter")
        await begun(pilot, reading, "/tea")
        reading.go.set()
        await settle(pilot)
        assert isinstance(app.screen, Detail)
        assert app.screen.filter_text == "tea"


async def test_a_verb_typed_before_the_first_read_knows_what_is_there(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyboard, "LIMIT_S", 60)
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        view = SlowView()
        app.push_screen(view)
        for letter in "w/":
            app.post_message(Key(_character_to_key(letter), letter))
        for _ in range(5):
            await pilot.pause()
        view.let.set()
        await settle(pilot)
        assert not app._notifications, "w writes what is listed: it is not empty"
        assert isinstance(app.screen, Ask)
        assert app.screen.query_one(Input).value.endswith("/")


async def test_what_is_not_read_yet_is_not_called_empty(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyboard, "LIMIT_S", 0.05)
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        view = SlowView()
        app.push_screen(view)
        await pilot.press("w")
        await until(pilot, lambda: bool(app._notifications))
        assert said(app) == ["write to a file: what is here is still being read"]
        view.let.set()
        await settle(pilot)
