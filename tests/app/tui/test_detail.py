"""A payload to read: JSON that folds, bytes, pagers and editors."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from app.tui.app import SpokeApp
from app.tui.appearance import Appearance
from app.tui.detail import FOLD_LINES, Detail, Piece
from app.tui.lines.line_list import LineList
from storage.engine import Database
from tests import hostile
from tests.app.tui.conftest import app_on, frame, settle, until

VALUE = {"who": {"name": "Ada", "at": [1, 2]}, "text": "two\nlines", "none": []}


@asynccontextmanager
async def reading(
    db: Database, given: str | bytes, facts: tuple[str, ...] = (), **more: Any
) -> AsyncIterator[tuple[SpokeApp, Pilot[None], Detail]]:
    app = app_on(db, **more)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        view = Detail("payload", given, facts)
        app.push_screen(view)
        await settle(pilot)
        yield app, pilot, view


def shown(view: Detail) -> list[str]:
    found: LineList[Piece] = view.query_one(LineList)
    return [row.text for row in found.rows]


def said(app: SpokeApp) -> list[str]:
    return [notification.message for notification in app._notifications]


def at(view: Detail) -> str:
    row = view.query_one(LineList).selected
    assert isinstance(row, Piece)
    return row.text.strip()


async def test_objects_and_arrays_fold(tenant: Database) -> None:
    async with reading(tenant, json.dumps(VALUE)) as (app, pilot, view):
        assert "payload  72 B" in frame(app)
        assert shown(view)[:3] == ["{", '  "who": {', '    "name": "Ada",']
        await pilot.press("j", "space")
        folded = ["{", '  "who": {…},  2 keys', '  "text": "two\\n', '    lines",', '  "none": []', "}"]
        assert shown(view) == folded
        await pilot.press("space")
        assert '    "name": "Ada",' in shown(view)
        await pilot.press("j", "j", "right", "right")
        assert at(view) == "1,", "unfold goes into what is unfolded"
        await pilot.press("left")
        assert at(view) == '"at": ['
        await pilot.press("left", "left")
        assert at(view) == '"who": {'
        assert '    "at": […]  2 items' in shown(view)
        await pilot.press("Z")
        assert '    "at": [' in shown(view)
        await pilot.press("G", "left")
        assert (shown(view), at(view)) == (["{…}  3 keys"], "{…}  3 keys"), "from its end to its beginning"
        await pilot.press("enter", "Z")
        assert shown(view) == folded
        await pilot.press("G", "k", "space")
        await pilot.pause()
        assert "fold: this has no members" in said(app)


async def test_a_filter_looks_into_what_is_folded(tenant: Database) -> None:
    async with reading(tenant, json.dumps(VALUE)) as (app, pilot, view):
        await pilot.press("j", "space", "slash", *"ada", "enter")
        await settle(pilot)
        assert shown(view) == ['    "name": "Ada",']
        await pilot.press("left")
        await pilot.pause()
        assert said(app) == ["fold, or go to what holds it: the filter looks everywhere; esc clears it"]
        await pilot.press("escape")
        await settle(pilot)
        assert '  "who": {…},  2 keys' in shown(view)


async def test_ten_megabytes_of_members_begin_folded(tenant: Database) -> None:
    value = {"meta": {"n": 1}, "rows": [{"id": number, "tags": ["a", "b"]} for number in range(300_000)]}
    async with reading(tenant, json.dumps(value)) as (app, pilot, view):
        assert "payload  10.7 MB" in frame(app)
        assert shown(view) == ["{", '  "meta": {…},  1 key', '  "rows": […]  300 000 items', "}"]
        await pilot.press("G", "k", "l")
        assert len(shown(view)) == FOLD_LINES
        await until(pilot, lambda: "20 000 lines (all: o)" in frame(app))
        await pilot.press("l", "l")
        assert shown(view)[3:5] == ["    {", '      "id": 0,'], "one of them, not all"
        await pilot.press("Z")
        assert len(shown(view)) == FOLD_LINES


async def test_bytes_are_a_hexdump(tenant: Database) -> None:
    facts = ("job       7 in mail: dead", "payload")
    async with reading(tenant, b"\x00spoke\x1b[2J" + bytes(range(240, 256)), facts) as (app, pilot, view):
        assert "payload  26 B, binary" in frame(app)
        assert shown(view) == [
            *facts,
            "00000000  00 73 70 6f 6b 65 1b 5b  32 4a f0 f1 f2 f3 f4 f5  |.spoke.[2J......|",
            "00000010  f6 f7 f8 f9 fa fb fc fd  fe ff                    |..........|",
        ]
        await pilot.press("space")
        await pilot.pause()
        assert said(app) == ["fold: only JSON folds"]


async def test_bytes_that_are_text_are_read_as_such(tenant: Database) -> None:
    async with reading(tenant, b'{"a": 1}') as (_, _, view):
        assert shown(view) == ["{", '  "a": 1', "}"]


@pytest.mark.parametrize("queue", [True, False], ids=["job", "event"])
async def test_bytes_of_other_programs_come_from_the_file(tenant: Database, queue: bool) -> None:
    with tenant.transaction() as tx:
        tx.execute("INSERT INTO _honker_dead (id, queue, payload) VALUES (1, 'q', x'00ff')")
        tx.execute("INSERT INTO _honker_stream (topic, key, payload) VALUES ('s', 'k', x'00ff')")
    app = app_on(tenant)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_noun("queue" if queue else "stream", "q" if queue else "s")
        await settle(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Detail))
        await settle(pilot)
        assert "00000000  00 ff " in frame(app)


async def test_z_maximises(tenant: Database) -> None:
    async with reading(tenant, "\n".join(f"line {number}" for number in range(50))) as (app, pilot, view):
        assert "line 0" not in frame(app).split("\n")[0]
        await pilot.press("z")
        await until(pilot, lambda: [line.strip()[:7] for line in frame(app).split("\n")][::23] == ["line 0", "line 23"])
        await pilot.press("escape")
        await until(pilot, lambda: "payload" in frame(app).split("\n")[0])
        assert app.screen is view
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not view)


RECORD = """#!{python}
import json, os, stat, sys
*options, path = sys.argv[1:]
document = {{
    "options": options,
    "name": os.path.basename(path),
    "text": open(path, encoding="utf-8").read(),
    "path": path,
    "mode": stat.S_IMODE(os.stat(path).st_mode),
    "folder": stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode),
    "libraries": os.environ.get("LD_LIBRARY_PATH"),
    "suspended": os.path.exists({suspended!r}),
}}
with open({log!r}, "a") as file:
    file.write(json.dumps(document) + "\\n")
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Writes down what it got, where there is a pager or an editor."""
    path = tmp_path / "reader"
    names = {"log": str(tmp_path / "log"), "suspended": str(tmp_path / "suspended")}
    path.write_text(RECORD.format(python=sys.executable, **names))
    path.chmod(0o755)
    return path


async def opened(
    tenant: Database, program: Path, monkeypatch: pytest.MonkeyPatch, given: str | bytes, keys: list[str], **more: Any
) -> list[dict[str, Any]]:
    """What the program got when keys were pressed over a payload."""
    log, mark = program.with_name("log"), program.with_name("suspended")
    got: list[dict[str, Any]] = []

    @contextmanager
    def suspend(_: SpokeApp) -> Iterator[None]:
        """There is no terminal to give away; but that it is given away while the program runs counts."""
        mark.touch()
        yield
        mark.unlink()

    with monkeypatch.context() as patch:
        patch.setattr(SpokeApp, "suspend", suspend)
        patch.setenv("PAGER", f"{program} --pager")
        patch.setenv("EDITOR", f"{program} --editor")
        patch.delenv("VISUAL", raising=False)
        patch.setenv("LD_LIBRARY_PATH", "/of/the/executable")
        patch.setenv("LD_LIBRARY_PATH_ORIG", "/of/the/person")
        patch.setattr(sys, "frozen", True, raising=False)
        async with reading(tenant, given, **more) as (_, pilot, view):
            for key in keys:
                log.unlink(missing_ok=True)
                await pilot.press(key)
                await until(pilot, lambda: log.exists() and not mark.exists())
                got.append(json.loads(log.read_text()))
            assert view.is_current
    return got


async def test_pager_and_editor_get_a_private_copy(
    tenant: Database, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paged, edited = await opened(tenant, program, monkeypatch, json.dumps(VALUE), ["o", "O"])
    assert (paged["options"], edited["options"]) == (["--pager"], ["--editor"])
    for got in (paged, edited):
        assert got["text"] == json.dumps(VALUE, indent=2) + "\n"
        assert (got["name"], got["mode"], got["folder"]) == ("payload.json", 0o400, 0o700)
        assert got["libraries"] == "/of/the/person", "not ours: they would break other programs"
        assert got["suspended"]
        assert not Path(got["path"]).parent.exists()


async def test_json_may_have_a_pager_of_its_own(
    tenant: Database, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = {hostile.EVIL: [hostile.EVIL]}
    looks = Appearance(pager_json=f"{program} --json 'two words'")
    (got,) = await opened(tenant, program, monkeypatch, json.dumps(evil), ["o"], appearance=looks)
    assert got["options"] == ["--json", "two words"]
    assert json.loads(got["text"]) == evil
    assert not hostile.hidden(got["text"].replace("\n", ""))


async def test_what_is_no_json_goes_to_the_pager(
    tenant: Database, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Appearance(pager_json="nobody-calls-this")
    (got,) = await opened(tenant, program, monkeypatch, b"\xff\x00", ["o"], appearance=looks)
    assert (got["options"], got["name"]) == (["--pager"], "payload.txt")
    assert got["text"] == "00000000  ff 00                                             |..|\n"


async def test_a_pager_that_is_not_there_is_told(tenant: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def suspend(_: SpokeApp) -> Iterator[None]:
        yield

    with monkeypatch.context() as patch:
        patch.setattr(SpokeApp, "suspend", suspend)
        patch.setenv("PAGER", "/no/such/pager")
        async with reading(tenant, "text") as (app, pilot, _):
            await pilot.press("o")
            await until(pilot, lambda: bool(said(app)))
            assert said(app)[0].startswith("/no/such/pager: ")
