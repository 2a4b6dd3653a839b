"""The screens of operations, secrets, the link and the hub: states as plain text, and what their keys do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from app.config import Settings
from app.paths import Paths
from app.services.operating import Operating
from app.services.outputs import Calling
from app.tui.app import SpokeApp
from app.tui.call import CallView
from app.tui.form import FormScreen
from app.tui.lines.line_list import LineList
from storage.engine import CorruptError, Database
from storage.identity.organizations import create_organization
from storage.keyring import open_keyring
from storage.secrets import set_secret
from storage.tenants import open_system_database, open_tenant_database
from sync.durable import caller
from sync.hub.keys import operator
from sync.spoke.status import note_refusal, pause, write_status
from tests.app.tui.conftest import NOW_MS, app_on, check_golden, frame, settle

SIZES = [(80, 24), (100, 30), (200, 50)]
PLACES = {"6": "sync", "7": "operations", "8": "secrets"}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "data", tmp_path / "spoke.toml")


def opened(db: Database, paths: Paths, *, attached: bool = False, **more: Any) -> SpokeApp:
    """A TUI that can execute operations."""
    settings = Settings(name="edge-1")
    paths.data_dir.mkdir(exist_ok=True)
    operating = Operating(db, settings, paths)
    calling = Calling(db, settings, paths, operating, lambda: attached)
    return app_on(db, operate=operating.execute, calling=calling, **more)


@asynccontextmanager
async def at(app: SpokeApp, key: str, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Pilot[None]]:
    """The TUI at a place."""
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press(key)
        await settle(pilot)
        yield pilot


async def until(pilot: Pilot[None], app: SpokeApp, words: str) -> str:
    """The screen, once the words are on it."""
    async with asyncio.timeout(30):
        while words not in frame(app):
            await settle(pilot)
    return frame(app)


def keep(db: Database, paths: Paths) -> None:
    paths.data_dir.mkdir(exist_ok=True)
    ring = open_keyring(paths.key_file)
    with db.transaction() as tx:
        set_secret(tx, ring, "github/token", "hunter2", description="for CI", expires_at="2026-01-31T00:00:00+00:00")
        set_secret(tx, ring, "宽字符", "hunter3", description="evil \u202e\x1b[31m")
        tx.execute(
            "UPDATE nodes SET updated_at = ?, attributes = json_set(attributes, '$.keyVersion', 3)",
            (NOW_MS // 1000 - 7_200,),
        )


def link_up(db: Database, **more: Any) -> None:
    """A node that has a hub, which could not read one event."""
    with db.transaction() as tx:
        tx.execute("UPDATE _honker_stream SET created_at = ?", (NOW_MS // 1_000 - 240,))  # the age of the outbox
        write_status(tx, at_ms=NOW_MS - 65_000, hub_url="wss://hub.example:7710", hub_id="h", **more)
        tx.execute(
            "INSERT INTO link_generations (topic, gen_id, number, parent, base, sealed_at, seen, reason, created_at)"
            " VALUES ('call-protocol', ?, 1, NULL, 0, NULL, 0, 'first', ?)",
            (b"\x0a" * 16, NOW_MS - 7_200_000),
        )
        note_refusal(tx, "call-protocol", 3, "NOT_JSON", "at byte 7", NOW_MS - 60_000)


@pytest.fixture
def hub_dir(tmp_path: Path) -> Path:
    """A hub to which a spoke has come."""
    folder = tmp_path / "hub"
    folder.mkdir()
    system = open_system_database(folder / "system.db")
    with system.transaction() as tx:
        create_organization(tx, "acme", operator(tx).id)
    system.close()
    db = open_tenant_database(folder / "tenant-acme.db")
    with db.transaction() as tx:
        tx.execute(
            "INSERT INTO link_spokes (node_id, account_id, name, agent, connected, sessions, connected_at, seen_at)"
            " VALUES (?1, 'a', ?2, ?3, 0, 4, ?4, ?4)",
            ("0e551011-0000-4000-8000-000000000001", "work\x1bshop", "spoke/0.1.0", NOW_MS - 65_000),
        )
    db.close()
    return folder


# -- states -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_empty(tenant: Database, paths: Paths, size: tuple[int, int]) -> None:
    app = app_on(tenant)
    async with app.run_test(size=size) as pilot:
        for key, name in PLACES.items():
            await pilot.press(key)
            await settle(pilot)
            check_golden(app, f"{name}-empty-{size[0]}x{size[1]}")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_filled(filled: Database, paths: Paths, size: tuple[int, int]) -> None:
    keep(filled, paths)
    link_up(filled, state="live")
    app = opened(filled, paths, daemon_running=lambda: True)
    async with app.run_test(size=size) as pilot:
        for key, name in PLACES.items():
            await pilot.press(key)
            await settle(pilot)
            check_golden(app, f"{name}-filled-{size[0]}x{size[1]}")


async def test_ascii(filled: Database, paths: Paths, hub_dir: Path) -> None:
    keep(filled, paths)
    link_up(filled, state="offline", retry_at_ms=NOW_MS + 12_000)
    from app.tui.appearance import Appearance

    app = opened(filled, paths, appearance=Appearance(ascii_only=True), hub_dir=hub_dir, daemon_running=lambda: True)
    async with app.run_test(size=(80, 24)) as pilot:
        for key, name in (PLACES | {"H": "hub"}).items():
            await pilot.press(key)
            await settle(pilot)
            check_golden(app, f"{name}-ascii-80x24")
            assert frame(app).isascii()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", ["offline", "conflict", "paused"])
async def test_what_is_wrong_with_the_link_is_told_with_the_next_step(
    filled: Database, paths: Paths, state: str, size: tuple[int, int]
) -> None:
    if state == "conflict":
        error = {"error_code": "IDENTITY_CONFLICT", "error": "two of it", "hint": "spoke reidentify"}
        link_up(filled, state="refused", retry_at_ms=NOW_MS + 60_000, **error)
    else:
        link_up(filled, state="offline" if state == "offline" else "paused", retry_at_ms=NOW_MS + 12_000)
    if state == "paused":
        with filled.transaction() as tx:
            pause(tx, NOW_MS - 60_000)
    app = opened(filled, paths, daemon_running=lambda: True)
    async with at(app, "6", size):
        check_golden(app, f"sync-{state}-{size[0]}x{size[1]}")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", ["hub", "tenants", "devices", "tokens", "gaps", "quarantine"])
async def test_the_hub(tenant: Database, hub_dir: Path, name: str, size: tuple[int, int]) -> None:
    keys = {"tenants": "T", "devices": "D", "tokens": "K", "gaps": "M", "quarantine": "X"}
    app = app_on(tenant, hub_dir=hub_dir)
    async with at(app, "H", size) as pilot:
        if name in keys:
            await pilot.press(keys[name])
            await settle(pilot)
        check_golden(app, f"{name}-filled-{size[0]}x{size[1]}")


async def test_a_hub_that_nobody_came_to_and_none_at_all(tenant: Database, tmp_path: Path) -> None:
    app = app_on(tenant, hub_dir=tmp_path)
    async with at(app, "H") as pilot:
        check_golden(app, "hub-empty-80x24")
        await pilot.press("escape")
    app = app_on(tenant)
    async with at(app, "H") as pilot:
        assert "Hub" not in frame(app).splitlines()[1]
        assert any("not the data directory of a hub" in one.message for one in app._notifications)


@pytest.mark.parametrize("key", PLACES)
async def test_a_database_that_cannot_be_read_is_a_panel(
    filled: Database, paths: Paths, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(filled, paths)
    async with at(app, "1") as pilot:

        async def broken(*_: object) -> None:
            raise CorruptError("tenant-local.db: database disk image is malformed")

        monkeypatch.setattr(filled, "read", broken)
        await pilot.press(key)
        await settle(pilot)
        check_golden(app, f"{PLACES[key]}-error-80x24")
        monkeypatch.undo()


# -- operations -------------------------------------------------------------------------------------------------------


async def test_an_operation_is_found_read_and_called(filled: Database, paths: Paths) -> None:
    app = opened(filled, paths)
    async with at(app, "7") as pilot:
        await pilot.press("slash", *"stream.publish", "enter")
        await settle(pilot)
        await pilot.press("enter")
        shown = await until(pilot, app, "topic*")
        check_golden(app, "operation-80x24")
        assert "needs    stream:write" in shown
        await pilot.press("J")
        await until(pilot, app, '"operationId": "stream.publish"')
        await pilot.press("J", "c")
        await until(pilot, app, "ctrl+s call")
        check_golden(app, "operation-form-80x24")
        await pilot.press(*"mine", "tab", *'{"n": 1}', "ctrl+s")
        await until(pilot, app, '"offset"')
        assert "done in" in frame(app)
    assert [event.payload for event in filled.stream("mine").read(0, 10)] == [{"n": 1}]
    last = filled.stream("call-protocol").read(0, 100)[-2:]
    assert [event.payload["type"] for event in last] == ["call.requested", "call.responded"], "it is recorded"


async def test_an_operation_that_fails_says_why_and_can_be_called_again(filled: Database, paths: Paths) -> None:
    app = opened(filled, paths)
    async with at(app, "7") as pilot:
        await pilot.press("slash", *"fs.stat", "enter", "c")
        await until(pilot, app, "ctrl+s call")
        await pilot.press(*"/no/such", "ctrl+s")
        shown = await until(pilot, app, "✗ ")
        assert "failed: " in shown
        await pilot.press("c")
        await until(pilot, app, "/no/such")
        assert isinstance(app.screen, FormScreen)


async def test_what_takes_something_away_is_asked_first(filled: Database, paths: Paths) -> None:
    keep(filled, paths)
    app = opened(filled, paths)
    async with at(app, "7") as pilot:
        await pilot.press("slash", *"secret.delete", "enter", "c")
        await until(pilot, app, "ctrl+s call")
        await pilot.press(*"github/token", "ctrl+s")
        await until(pilot, app, "call secret.delete?")
        await pilot.press("n")
        await until(pilot, app, "not called: you said no")
        await pilot.press("ctrl+s")
        await until(pilot, app, "call secret.delete?")
        await pilot.press("y")
        await until(pilot, app, "done in")
        await pilot.press("8")
        await until(pilot, app, "secrets 1 ")


async def follow(app: SpokeApp, pilot: Pilot[None]) -> None:
    await pilot.press("slash", *"stream.follow", "enter", "c")
    await until(pilot, app, "ctrl+s call")
    await pilot.press(*"news", "tab", "0", "ctrl+s")
    await until(pilot, app, "call stream.follow  running")


async def test_a_subscription_streams_until_it_is_stopped(filled: Database, paths: Paths) -> None:
    app = opened(filled, paths)
    async with at(app, "7") as pilot:
        await follow(app, pilot)
        for number in range(3):
            filled.stream("news").publish({"n": number, "evil": "\x1b[31m"})
        shown = await until(pilot, app, "3 outputs")
        assert '"n": 2' in shown
        assert "\x1b" not in shown
        assert app.screen.query_one(LineList).cursor == 2
        await pilot.press("k", "enter")
        assert '"n": 1' in await until(pilot, app, "stream.follow output 2")
        await pilot.press("escape", "x")
        await until(pilot, app, "stopped  3 outputs")
        await pilot.press("x")
        await pilot.pause()
        assert any("the call has ended" in one.message for one in app._notifications)
    assert filled.stream("call-protocol").read(0, 100)[-1].payload["type"] == "call.aborted"


async def test_leaving_stops_the_call(filled: Database, paths: Paths) -> None:
    app = opened(filled, paths)
    async with at(app, "7") as pilot:
        await follow(app, pilot)
        await pilot.press("escape")
        assert not isinstance(app.screen, CallView)
        async with asyncio.timeout(30):
            while filled.stream("call-protocol").read(0, 100)[-1].payload["type"] != "call.aborted":
                await settle(pilot)


async def test_with_a_daemon_the_call_goes_over_its_socket(filled: Database, paths: Paths) -> None:
    from app.operations import node_registry
    from app.services.durable_calls import now
    from app.services.local_api import LocalApi
    from app.services.local_connection import Serving
    from sync.calls.recorder import Recorder

    app = opened(filled, paths, attached=True)
    ids = iter(f"daemon-{number:04}" for number in range(100))
    serving = Serving(filled, node_registry(Settings(), paths), Recorder(filled, now, lambda: next(ids)))
    stop = asyncio.Event()
    api = asyncio.create_task(LocalApi(serving, paths.socket).run(stop))
    async with at(app, "7") as pilot:
        await follow(app, pilot)
        filled.stream("news").publish({"n": 7})
        await until(pilot, app, '"n": 7')
        await pilot.press("x")
        await until(pilot, app, "stopped  1 output")
        async with asyncio.timeout(30):
            while filled.stream("call-protocol").read(0, 100)[-1].payload["type"] != "call.aborted":
                await settle(pilot)
    assert filled.stream("call-protocol").read(0, 100)[-1].payload["requestId"] == "daemon-0000"
    stop.set()
    await api


async def call_the_hub(app: SpokeApp, pilot: Pilot[None], db: Database) -> str:
    """Ask for hub/stream.list on the screen; returns the id of the call."""
    await pilot.press("slash", *"hub/stream.list", "enter", "c")
    await until(pilot, app, "Waiting for the hub")
    async with asyncio.timeout(30):
        while not (rows := await db.read(lambda snapshot: snapshot.rows("SELECT call_id FROM link_calls"))):
            await settle(pilot)
    return str(rows[0][0])


async def test_a_call_to_the_hub_waits_for_its_answer(filled: Database, paths: Paths) -> None:
    link_up(filled, state="offline")
    app = opened(filled, paths)
    async with at(app, "7") as pilot:
        call_id = await call_the_hub(app, pilot, filled)
        answer = '{"callId": "x", "state": "DONE", "output": {"data": {"streams": ["from the hub"]}}}'
        with filled.transaction() as tx:
            tx.execute(
                "UPDATE link_calls SET state = 'DONE', ended_at = 1, result = ? WHERE call_id = ?", (answer, call_id)
            )
            tx.touch("calls", call_id)
        shown = await until(pilot, app, "from the hub")
        assert "call hub/stream.list  done in" in shown


async def test_a_call_to_the_hub_that_is_given_up_says_so(filled: Database, paths: Paths) -> None:
    link_up(filled, state="offline")
    app = opened(filled, paths)
    async with at(app, "7") as pilot:
        call_id = await call_the_hub(app, pilot, filled)
        with filled.transaction() as tx:
            caller.cancel(tx, call_id, NOW_MS)
        shown = await until(pilot, app, "failed: ABORTED")
        assert f"the call {call_id} was given up" in " ".join(shown.split())


async def test_read_only_calls_nothing(filled: Database, paths: Paths) -> None:
    app = opened(filled, paths, read_only=True)
    async with at(app, "7") as pilot:
        for keys, verb in (("c", "call"), ("8a", "add")):
            await pilot.press(*keys)
            await settle(pilot)
            told = [one.message for one in app._notifications]
            assert told == [f"{verb}: this terminal UI is read-only (--read-only)"]


# -- secrets ----------------------------------------------------------------------------------------------------------


async def test_a_secret_is_added_shown_on_demand_and_deleted(
    filled: Database, paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    app = opened(filled, paths)
    async with at(app, "8") as pilot:
        await pilot.press("a")
        await until(pilot, app, "ctrl+s keep")
        await pilot.press(*"a/b", "tab", *"hunter9", "ctrl+s")
        await until(pilot, app, "secrets 1 ")
        await pilot.press("enter")
        await until(pilot, app, "hidden; v shows it")
        await pilot.press("y")
        await pilot.pause()
        assert any("show it first: v" in one.message for one in app._notifications)
        await pilot.press("v")
        await until(pilot, app, "show the value of a/b")
        await pilot.press("y")
        await until(pilot, app, "hunter9")
        await pilot.press("y")
        assert app.clipboard == "hunter9"
        assert not list(runtime.iterdir()), "a secret is copied into no file"
        await pilot.press("8", "enter")
        await until(pilot, app, "hidden; v shows it")
        assert "hunter9" not in frame(app)
        await pilot.press("8", "D")
        await until(pilot, app, "type a/b and press enter")
        await pilot.press(*"a/x", "enter")
        await until(pilot, app, "that is not a/b")
        await pilot.press(*["backspace"] * 3, *"a/b", "enter")
        await until(pilot, app, "No secrets yet")
    log = "".join(event.payload_json for event in filled.stream("call-protocol").read(0, 100))
    assert "hunter9" not in log


async def test_the_key_is_rotated_after_a_question(filled: Database, paths: Paths) -> None:
    keep(filled, paths)
    app = opened(filled, paths)
    before = open_keyring(paths.key_file).current
    async with at(app, "8") as pilot:
        await pilot.press("R")
        await until(pilot, app, "make a new key?")
        await pilot.press("y")
        async with asyncio.timeout(30):
            while not any("is the current one" in one.message for one in app._notifications):
                await settle(pilot)
    assert open_keyring(paths.key_file).current > before


# -- sync -------------------------------------------------------------------------------------------------------------


async def test_the_link_is_paused_and_resumed(filled: Database, paths: Paths) -> None:
    link_up(filled, state="live")
    app = opened(filled, paths, daemon_running=lambda: True)
    async with at(app, "6") as pilot:
        await pilot.press("P")
        await until(pilot, app, "let the link rest until it is resumed?")
        await pilot.press("y")
        await until(pilot, app, "! paused")
        for key, told in (
            ("P", "pause link: it is paused already: R resumes it"),
            ("n", "send now: the link is paused: R resumes it"),
        ):
            await pilot.press(key)
            await pilot.pause()
            assert [one.message for one in app._notifications] == [told]
        await pilot.press("R")
        async with asyncio.timeout(30):
            while "! paused" in frame(app):
                await settle(pilot)


async def test_a_stream_shows_its_lives_and_what_was_refused(filled: Database, paths: Paths) -> None:
    link_up(filled, state="live")
    app = opened(filled, paths, daemon_running=lambda: True)
    async with at(app, "6") as pilot:
        await pilot.press("enter")
        shown = await until(pilot, app, "NOT_JSON: at byte 7")
        assert "1 0a0a0a0a first" in shown
        await pilot.press("escape", "v")
        await until(pilot, app, "hashes compared")


async def test_without_a_hub_the_keys_say_so(tenant: Database) -> None:
    app = app_on(tenant)
    async with at(app, "6") as pilot:
        await pilot.press("n")
        await pilot.pause()
        assert [one.message for one in app._notifications] == ["send now: this node has no hub: spoke join wss://HOST"]
