"""Forms in the terminal: typing, choosing, groups, errors at fields, nothing typed is lost by a slip."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from app.tui.app import SpokeApp
from app.tui.form import FormScreen, problems_of
from app.views.forms.form import Problem
from storage.engine import Database
from sync.calls.errors import ExecutionError, ValidationError
from tests.app.tui.conftest import app_on, check_golden, frame, settle

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "age"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "maxLength": 20, "description": "Who it is; shown in lists."},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "kind": {"enum": ["cat", "dog"], "default": "cat"},
        "alive": {"type": "boolean", "default": True},
        "tags": {"type": "array", "items": {"type": "string"}},
        "password": {"type": "string", "writeOnly": True},
        "home": {
            "type": "object",
            "required": ["street"],
            "properties": {"street": {"type": "string"}, "floor": {"type": "integer"}},
            "additionalProperties": False,
        },
        "extra": {"type": "object", "description": "Anything \x1b[31mbeside."},
    },
}


class Answers:
    """What came of a form."""

    def __init__(self) -> None:
        self.closed: list[Any] = []
        self.submitted: list[Any] = []
        self.problems: Sequence[Problem] = ()

    async def submit(self, value: Any) -> Sequence[Problem]:
        self.submitted.append(value)
        return self.problems


async def opened(
    app: SpokeApp, pilot: Pilot[None], answers: Answers, value: dict[str, Any] | None = None
) -> FormScreen:
    await settle(pilot)
    form = FormScreen("call pets.add", SCHEMA, value, submit=answers.submit, verb="call", note="Add a pet.")
    app.push_screen(form, answers.closed.append)
    await pilot.pause()
    return form


async def done(pilot: Pilot[None]) -> None:
    """Wait until what a key began has ended."""
    while any(one.name.startswith("action_") and not one.is_finished for one in pilot.app.workers):
        await pilot.pause()
    await pilot.pause()


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (200, 50)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_form_at_every_size(tenant: Database, size: tuple[int, int]) -> None:
    app, answers = app_on(tenant), Answers()
    async with app.run_test(size=size) as pilot:
        await opened(app, pilot, answers)
        await pilot.pause()
        check_golden(app, f"form-empty-{size[0]}x{size[1]}")
        await pilot.press("ctrl+s")
        await done(pilot)
        check_golden(app, f"form-error-{size[0]}x{size[1]}")
        assert answers.submitted == []


async def test_the_form_in_ascii(tenant: Database) -> None:
    app, answers = app_on(tenant, ascii_only=True), Answers()
    async with app.run_test(size=(80, 24)) as pilot:
        value = {"name": "Ömer", "age": 3, "home": {"street": "Main"}, "extra": {"a": [1]}, "password": "hunter2"}
        await opened(app, pilot, answers, value)
        await pilot.pause()
        check_golden(app, "form-ascii-80x24")
        assert frame(app).isascii()
        assert "hunter2" not in frame(app)


async def test_what_is_typed_and_chosen_is_submitted(tenant: Database) -> None:
    app, answers = app_on(tenant), Answers()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, answers)
        await pilot.press(*"Ada", "tab", *"36", "down", "right", "right", "enter", "space", "tab", *"a, b", "tab")
        await pilot.press(*"pw", "tab", "space", "tab", *"Main 1", "tab", *"2", "ctrl+s")
        await done(pilot)
    expected = {
        "name": "Ada",
        "age": 36,
        "kind": "dog",
        "alive": True,
        "tags": ["a", "b"],
        "password": "pw",
        "home": {"street": "Main 1", "floor": 2},
    }
    assert answers.submitted == [expected]
    assert answers.closed == [expected]


async def test_a_wrong_field_is_told_while_it_is_typed_and_keeps_the_keys(tenant: Database) -> None:
    app, answers = app_on(tenant), Answers()
    async with app.run_test(size=(80, 24)) as pilot:
        form = await opened(app, pilot, answers)
        await pilot.press(*"Ada", "tab")
        await pilot.pause()
        assert "whole number, 0 to 150" in frame(app)
        assert "text, at most 20 characters" not in frame(app)
        await pilot.press(*"1x")
        await pilot.pause()
        assert "✗ not a whole number" in frame(app)
        await pilot.press("ctrl+s")
        await done(pilot)
        assert answers.submitted == []
        await pilot.press("backspace", "ctrl+s")
        await done(pilot)
        assert answers.closed == [{"name": "Ada", "age": 1}]
        assert app.screen is not form


async def test_what_the_other_end_refuses_stands_at_its_field_and_nothing_is_lost(tenant: Database) -> None:
    app, answers = app_on(tenant), Answers()
    answers.problems = problems_of(ValidationError("no", details={"problems": ["age: too old", "gone"]}))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, answers, {"name": "Ada", "age": 99})
        await pilot.press("ctrl+s")
        await done(pilot)
        shown = frame(app)
        assert "✗ too old" in shown
        assert " gone" in shown
        answers.problems = problems_of(ExecutionError("disk full", hint="make room"))
        await pilot.press("ctrl+s")
        await done(pilot)
        assert "EXECUTION_ERROR: disk full — make room" in frame(app)
        assert answers.closed == []
        assert len(answers.submitted) == 2


async def test_esc_asks_before_it_throws_away_what_was_typed(tenant: Database) -> None:
    app, answers = app_on(tenant), Answers()
    async with app.run_test(size=(80, 24)) as pilot:
        form = await opened(app, pilot, answers)
        await pilot.press("x", "escape")
        await pilot.pause()
        assert "throw away what you typed in 1 field?" in frame(app)
        await pilot.press("n")
        await pilot.pause()
        assert app.screen is form
        await pilot.press("escape")
        await pilot.pause()
        await pilot.press("y")
        await done(pilot)
        assert answers.closed == [None]
        await opened(app, pilot, answers)
        await pilot.press("escape")
        await done(pilot)
        assert answers.closed == [None, None], "nothing was typed: nothing is asked"


async def test_letters_and_digits_in_a_form_are_no_keys(tenant: Database) -> None:
    app, answers = app_on(tenant), Answers()
    async with app.run_test(size=(80, 24)) as pilot:
        form = await opened(app, pilot, answers)
        await pilot.press("tab", "tab", "d", "1", "q", "colon", "question_mark")
        await pilot.pause()
        assert app.screen is form
        assert "‹ dog ›" in frame(app)


async def test_a_field_opens_in_the_editor(tenant: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def edit(_: object, program: str, text: str, name: str) -> str:
        seen.append(text)
        return '{"a":\n  [1]}\n' if name.endswith(".json") else "two\nlines\n"

    monkeypatch.setattr("app.tui.form.show_in", edit)
    app, answers = app_on(tenant), Answers()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, answers, {"name": "Ada", "age": 1, "extra": {"b": 1}})
        await pilot.press("ctrl+o", *["tab"] * 7, "ctrl+o", "ctrl+s")
        await done(pilot)
    assert seen == ["Ada", '{\n  "b": 1\n}\n']
    assert answers.closed == [{"name": "two\nlines", "age": 1, "extra": {"a": [1]}}]


async def test_a_long_form_scrolls_with_the_keys(tenant: Database) -> None:
    schema = {"properties": {f"field{number}": {"type": "string"} for number in range(60)}}
    app = app_on(tenant)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        app.push_screen(FormScreen("many", schema))
        await pilot.pause()
        await pilot.press(*["tab"] * 50, "x")
        async with asyncio.timeout(30):
            while not any("field50" in line and " x" in line for line in frame(app).splitlines()):
                await pilot.pause()
