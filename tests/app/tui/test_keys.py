"""What every screen has: palette, history, filters, marks, reasons, prompts, keymap; the table of bindings."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from textual import work
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.keys import _character_to_key
from textual.widgets import Input

from app.config import Settings
from app.paths import Paths
from app.services.operating import Operating
from app.services.outputs import Calling
from app.tui import clipboard
from app.tui.appearance import Appearance, binding_ids
from app.tui.lines.line_list import LineList
from app.tui.palette import Palette
from app.tui.places import PLACES
from app.tui.prompts import Choose, Confirm
from app.tui.sessions import SessionsView
from app.tui.table_view import TableView
from app.tui.verbs import bindings_of
from app.tui.view import View
from app.views.columns import Column
from storage.engine import Database, Snapshot
from tests.app.tui.conftest import app_on, frame, settle, until


class NumbersView(TableView[int]):
    """Ten numbers; odd ones have failed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("d", "drop", "drop", id="test.numbers.drop")]
    WRITES: ClassVar[frozenset[str]] = frozenset({"drop"})
    noun: ClassVar[str] = "number"
    columns = (
        Column[int]("n", "N", str, 4, lambda row: row, right=True),
        Column[int]("word", "WORD", lambda row: "even" if row % 2 == 0 else "odd", 6, grow=True),
    )
    reason: str | None = None
    dropped: Sequence[int] = ()

    def read(self, snapshot: Snapshot) -> Sequence[int]:
        """Ten of them."""
        return range(10)

    def key(self, row: int) -> object:
        """Itself."""
        return row

    def failed(self, row: int) -> bool:
        """The odd ones."""
        return row % 2 == 1

    def why_not_drop(self) -> str | None:
        """As the test says."""
        return self.reason

    @work
    async def action_drop(self) -> None:
        """Ask first."""
        rows = self.table.marked
        if await self.app.push_screen_wait(Confirm(f"drop {len(rows)}?")):
            self.dropped = rows


def said(app: Any) -> list[str]:
    return [notification.message for notification in app._notifications]


async def shown(pilot: Any, view: NumbersView) -> NumbersView:
    pilot.app.push_screen(view)
    await settle(pilot)
    return view


async def test_sorting_marks_errors_and_bulk(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        view = await shown(pilot, NumbersView())
        await pilot.press("s", *"N", "enter")
        await settle(pilot)
        await pilot.press("S")
        await settle(pilot)
        assert list(view.table.rows) == list(reversed(range(10)))
        assert "N▼" in frame(app)
        assert view.table.selected == 0  # the cursor stays on its row
        await pilot.press("g", "e")
        assert view.table.selected == 7  # 9 is under the cursor: the next one
        await pilot.press("E", "E")
        assert view.table.selected == 1  # around the end
        await pilot.press("g", "space", "j", "j", "V")
        assert view.table.marks == {9, 8, 7, 6}
        await settle(pilot)
        assert "numbers 10, 4 marked" in frame(app)
        await pilot.press("slash", *"even", "enter", "asterisk")
        await settle(pilot)
        assert view.table.marks == {0, 2, 4, 6, 8}  # what the filter hides is not marked any longer
        await pilot.press("d")
        await pilot.pause()
        assert "drop 5?" in frame(app)
        await pilot.press("y")
        await pilot.pause()
        assert list(view.dropped) == [8, 6, 4, 2, 0]


async def test_a_disabled_verb_says_why_in_the_key_the_palette_and_help(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 40)) as pilot:
        view = await shown(pilot, NumbersView())
        view.reason = "none of them can be dropped today"
        await pilot.press("d")
        await pilot.pause()
        assert said(app) == ["drop: none of them can be dropped today"]
        await pilot.press("colon", *"drop")
        await pilot.pause()
        assert "(none of them can be dropped today)" in frame(app)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, Palette)
        await pilot.press("escape", "question_mark")
        await settle(pilot)
        assert "(none of them can be dropped today)" in frame(app)


async def test_read_only_disables_what_writes(filled: Database) -> None:
    app = app_on(filled, read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, NumbersView())
        assert "READ-ONLY" in frame(app)
        await pilot.press("d")
        await pilot.pause()
        assert said(app) == ["drop: this terminal UI is read-only (--read-only)"]


async def test_pause_holds_rows_and_counts_what_came(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await settle(pilot)
        await pilot.press("p")
        filled.stream("session-events").publish(
            {"type": "session.started", "sessionId": "later", "title": "t", "source": "x", "slug": "l"}
        )
        from app.services.projector import catch_up

        catch_up(filled)
        await settle(pilot)
        assert "paused · 1 new" in frame(app)
        assert "later" not in frame(app)
        await pilot.press("p")
        await settle(pilot)
        assert "later" in frame(app)


async def test_history(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("2")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert "▸ 0ddba11 ·" in frame(app)
        await pilot.press("4", "left_square_bracket")
        await settle(pilot)
        assert "▸ 0ddba11 ·" in frame(app)
        await pilot.press("left_square_bracket")
        await settle(pilot)
        assert isinstance(app.screen, SessionsView)
        await pilot.press("right_square_bracket", "right_square_bracket", "right_square_bracket")
        await settle(pilot)
        assert "▸ stream" in frame(app)
        assert said(app)[-1] == "the history ends here"
        await pilot.press("minus")
        await settle(pilot)
        assert "▸ 0ddba11 ·" in frame(app)
        await pilot.press("minus")
        await settle(pilot)
        assert "▸ stream" in frame(app)


async def test_the_palette_goes_to_a_thing_by_part_of_its_id(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("ctrl+p", *"session 5e55")
        await until(pilot, lambda: "session 5e551011-" in frame(app))
        await pilot.press("tab")
        typed = app.screen.query_one("#typed", Input)
        assert typed.value == "session 5e551011-0000-4000-8000-000000000001"
        assert not typed.cursor_blink  # a screen where nothing happens sends nothing
        await pilot.press("enter")
        await settle(pilot)
        assert "▸ 5e551011 ·" in frame(app)
        await pilot.press("colon", *"overview", "enter")
        await settle(pilot)
        assert "▸ overview" in frame(app)
        await pilot.press("colon", *"theme nord", "enter")
        await pilot.pause()
        assert app.theme == "nord"


async def test_nouns_ids_and_operations_are_completed(filled: Database, tmp_path: Path) -> None:
    filled.queue("key-rotation").enqueue({})
    paths = Paths(tmp_path, tmp_path / "spoke.toml")
    calling = Calling(filled, Settings(), paths, Operating(filled, Settings(), paths), lambda: False)
    app = app_on(filled, calling=calling)

    def typed() -> str:
        return app.screen.query_one("#typed", Input).value

    def first() -> str:
        entry = app.screen.query_one(LineList).selected
        return "" if entry is None else str(entry.text)

    completed = {
        "stre": "streams",
        "stream sess": "stream session-events",
        "queue ke": "queue key-rotation",
        "session 0dd": "session 0ddba11",
        "operation graph.cr": "operation graph.create",
    }
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, Palette) and isinstance(app.focused, Input))
        await pilot.press(*"queue", "tab")
        assert typed() == "queue ", "the noun itself before what begins with it"
        for text, expected in completed.items():
            app.screen.query_one("#typed", Input).value = text
            await until(pilot, lambda wanted=expected: first() == wanted)  # type: ignore[misc]  # names are being read
            await pilot.press("tab")
            assert typed() == expected
        await pilot.press("enter")
        await until(pilot, lambda: "▸ operation graph.create" in frame(app))
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, Palette) and isinstance(app.focused, Input))
        await pilot.press("q", "tab")
        assert typed() == "q"
        await pilot.press("enter")
        await until(pilot, lambda: not app.is_running)


async def test_times_change_their_format_everywhere(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await settle(pilot)
        assert "1 min ago" in frame(app)
        for expected in ("11-24 08:00:00", "11-24 08:00:00", "1795507200000"):
            await pilot.press("t")
            await settle(pilot)
            assert expected in frame(app)


async def test_copies_go_to_the_terminal_and_to_a_file(
    filled: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await settle(pilot)
        await pilot.press("Y")
        assert json.loads(app.clipboard)["id"] == "0ddba11"
        assert json.loads((tmp_path / "spoke-clip").read_text())["title"] == "宽字符 ‮evil"
        assert (tmp_path / "spoke-clip").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("set_to", ["off", "external", "on", None])
async def test_tmux_that_passes_no_copies_on_is_told_of_once(
    filled: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_to: str | None
) -> None:
    """A tmux of ours, which answers when it is let; None: it does not know."""
    tmux = tmp_path / "tmux"
    answer = f"echo {set_to}" if set_to else "exit 1"
    tmux.write_text(
        f"#!/bin/sh\necho $@ >> {tmp_path}/asked\n"
        f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done\n{answer}\ntouch {tmp_path}/done\n"
    )
    tmux.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(clipboard, "TMUX_S", 60)
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await settle(pilot)
        assert not (tmp_path / "asked").exists()  # nobody has copied yet
        await pilot.press("y", "y")
        await settle(pilot)  # it goes on while tmux thinks
        assert said(app) == ["copied 7 characters"]
        (tmp_path / "go").touch()
        workers = [worker for worker in app.workers if worker.group == "clipboard"]
        await app.workers.wait_for_complete(workers)
        await settle(pilot)
        hints = [text for text in said(app) if "tmux" in text]
        await pilot.press("y")
        await settle(pilot)
        assert said(app) == ["copied 7 characters"]
        assert (tmp_path / "asked").read_text() == "show -gv set-clipboard\n"
        assert len(hints) == (set_to != "on")
        assert all("set -g set-clipboard on" in hint and (set_to or "may") in hint for hint in hints)


def test_a_tmux_that_never_answers_or_is_not_there_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert clipboard.ask_tmux() is None
    tmux = tmp_path / "tmux"
    tmux.write_text("#!/bin/sh\nexec /bin/sleep 600\n")
    tmux.chmod(0o700)
    with monkeypatch.context() as patch:
        patch.setattr(clipboard, "TMUX_S", 0.1)
        assert clipboard.ask_tmux() is None


async def test_a_list_is_written_to_a_file_that_is_not_there_yet(
    filled: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.csv").write_text("mine")
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await settle(pilot)
        await pilot.press("w")
        await pilot.pause()
        box = app.screen.query_one("#answer", Input)
        for name, problem in (("taken.csv", "there is such a file"), ("x.exe", "must end in")):
            box.value = name
            await pilot.press("enter")
            await pilot.pause()
            assert problem in frame(app)
        box.value = "out.json"
        await pilot.press("enter")
        await until(pilot, (tmp_path / "out.json").exists)
        await until(pilot, lambda: any("written: " in text for text in said(app)))
        assert json.loads((tmp_path / "out.json").read_text())[0]["id"] == "0ddba11"
        assert (tmp_path / "taken.csv").read_text() == "mine"


async def test_prompts(filled: Database) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        answers: list[object] = []
        app.push_screen(Confirm("purge?", ["3 jobs"], typed="mail"), answers.append)
        await pilot.press(*"mai", "enter")
        await pilot.pause()
        assert "that is not mail" in frame(app)
        await pilot.press("l", "enter")
        await pilot.pause()
        app.push_screen(Confirm("sure?"), answers.append)
        await pilot.press("enter")
        app.push_screen(Confirm("sure?"), answers.append)
        await pilot.press("escape")
        app.push_screen(Choose("which?", [("a", "apple"), ("b", "banana")]), answers.append)
        await pilot.press("down", "enter")
        app.push_screen(Choose("which?", [("a", "apple"), ("b", "banana")]), answers.append)
        await pilot.press(*"app", "enter")
        await pilot.pause()
        assert answers == [True, False, None, "b", "a"]


async def test_keys_of_the_user(filled: Database) -> None:
    app = app_on(filled, appearance=Appearance(keys={"table.sort": "o", "go.sessions": "S"}))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("S")
        await settle(pilot)
        assert isinstance(app.screen, SessionsView)
        assert "o sort" in frame(app)
        await pilot.press("o")
        await pilot.pause()
        assert "sort by" in frame(app)


def all_views(kind: type[View] = View) -> list[type[View]]:
    found = [kind] if kind.__module__.startswith("app.") else []
    return found + [view for below in kind.__subclasses__() for view in all_views(below)]


def test_every_binding_has_a_description_and_an_id_of_its_own() -> None:
    for place in PLACES:
        place.make()  # so that the module is imported
    by_id: dict[str, str] = {}
    for view in all_views():
        for binding in bindings_of(view):
            assert binding.description, (view, binding.key)
            assert binding.id is not None, (view, binding.key)
            assert by_id.setdefault(binding.id, binding.action) == binding.action, binding.id
    assert set(by_id) <= set(binding_ids())


def test_no_two_verbs_of_a_class_share_a_key() -> None:
    """A class may take a key of the class that it is made of, but none twice."""
    for view in all_views():
        keys = [key for binding in vars(view).get("BINDINGS", ()) for key in binding.key.split(",")]
        assert len(keys) == len(set(keys)), (view, sorted(keys))


async def typed(pilot: Any, text: str) -> None:
    """All of it at once, as a slow line or a paste brings it."""
    for letter in text:
        key = {"\r": "enter"}.get(letter) or _character_to_key(letter)
        pilot.app.post_message(Key(key, letter))
    await pilot.pause()  # all of it has come
    await settle(pilot)


async def test_a_burst_of_keys(filled: Database) -> None:
    """What opens a line takes the letters behind it; none of them is a command of the list."""
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        view = await shown(pilot, NumbersView())
        await typed(pilot, "/deqp\r")
        assert (view.filter_text, view.dropped) == ("deqp", ())
        assert "paused" not in frame(app)
        await pilot.press("escape")
        await settle(pilot)
        await typed(pilot, "sWORD\rSj")
        assert "WORD▼" in frame(app)
        await typed(pilot, "dy")
        assert len(view.dropped) == 1
        await typed(pilot, ":sessions\r")
        assert isinstance(app.screen, SessionsView)
