"""Queues, schedules, locks, streams and logs: frames, verbs, reasons."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from app.config import Settings
from app.paths import Paths
from app.services.operating import Operating
from app.tui.app import SpokeApp
from app.tui.detail import Detail
from app.tui.palette import Palette
from app.tui.prompts import Confirm
from app.tui.queues import CausesView, QueueView
from app.tui.schedules import LocksView
from app.tui.streams import StreamView
from storage.engine import Database
from tests.app.tui.conftest import NOW_MS, app_on, check_golden, frame, settle, until
from tests.app.views.test_queues import fill as fill_queues

SIZES = [(80, 24), (100, 30), (200, 50)]
PLACES = {"4": "streams", "5": "queues", "9": "schedules", "0": "logs"}


@pytest.fixture
def desk(filled: Database, tmp_path: Path) -> Database:
    fill_queues(filled)
    filled.scheduler().add(name="nightly", queue="mail", schedule="0 3 * * *", payload={"to": "宽字符 \x1b[31m"})
    filled.scheduler().add(name="ping", queue="pings", schedule="@every 60s")
    filled.scheduler().pause("ping")
    filled.stream("call-protocol").save_offset("reader@spoke", 3)
    at = NOW_MS // 1000
    with filled.transaction() as tx:  # times do not move
        tx.execute(
            "UPDATE _honker_live SET created_at = ?1, run_at = iif(run_at > unixepoch(), ?2, ?1)", (at - 90, at + 10**9)
        )
        tx.execute("UPDATE _honker_live SET claim_expires_at = ? WHERE claim_expires_at IS NOT NULL", (at + 30,))
        tx.execute("UPDATE _honker_dead SET created_at = ?1, died_at = ?1", (at - 60,))
        tx.execute("UPDATE _honker_scheduler_tasks SET next_fire_at = ?", (at + 68_000,))
        tx.execute("UPDATE _honker_stream SET created_at = ?", (at - 61,))
        tx.execute("INSERT INTO _honker_locks VALUES ('backup', 'w1', ?)", (at + 10**9,))
    (tmp_path / "tui.log").write_text(
        "2026-11-24 08:00:00,250 INFO spoke.hub: begun\n"
        "2026-11-24 08:00:01,250 WARNING spoke.link: late \x1b[31m\n"
        "2026-11-24 08:00:02,250 ERROR spoke.supervisor: it broke\nTraceback:\n  boom\n"
    )
    return filled


def app_of(db: Database, tmp_path: Path, **more: Any) -> SpokeApp:
    operating = Operating(db, Settings(), Paths(tmp_path, tmp_path / "spoke.toml"))
    return app_on(db, operate=operating.execute, log_file=tmp_path / "tui.log", **more)


@pytest.fixture(autouse=True)
def zone() -> Iterator[None]:
    """Plain logs have local times: UTC, wherever this runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_frames(desk: Database, tmp_path: Path, size: tuple[int, int]) -> None:
    async with app_of(desk, tmp_path).run_test(size=size) as pilot:
        app = pilot.app
        assert isinstance(app, SpokeApp)
        for key, name in PLACES.items():
            await pilot.press(key)
            await settle(pilot)
            check_golden(app, f"{name}-filled-{size[0]}x{size[1]}")
        for name, argument in (("stream", "call-protocol"), ("queue", "mail")):
            app.open_noun(name, argument)
            await settle(pilot)
            check_golden(app, f"{name}-filled-{size[0]}x{size[1]}")
        await pilot.press("c")
        await settle(pilot)
        check_golden(app, f"causes-filled-{size[0]}x{size[1]}")
        await pilot.press("9", "L")
        await settle(pilot)
        check_golden(app, f"locks-filled-{size[0]}x{size[1]}")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_empty_frames_teach(tenant: Database, tmp_path: Path, size: tuple[int, int]) -> None:
    app = app_of(tenant, tmp_path)
    async with app.run_test(size=size) as pilot:
        for key, name in PLACES.items():
            await pilot.press(key)
            await settle(pilot)
            check_golden(app, f"{name}-empty-{size[0]}x{size[1]}")


async def test_ascii(desk: Database, tmp_path: Path) -> None:
    from app.tui.appearance import Appearance

    app = app_of(desk, tmp_path, appearance=Appearance(ascii_only=True))
    async with app.run_test(size=(80, 24)) as pilot:
        for key, name in PLACES.items():
            await pilot.press(key)
            await settle(pilot)
            assert frame(app).isascii()
            check_golden(app, f"{name}-ascii-80x24")
        app.open_noun("queue", "mail")
        await settle(pilot)
        assert frame(app).isascii()


async def pressed(pilot: Any, keys: list[str], good: Callable[[], bool]) -> None:
    await pilot.press(*keys)
    await until(pilot, good)


async def test_retry_cancel_and_causes(desk: Database, tmp_path: Path) -> None:
    app = app_of(desk, tmp_path)

    def count(sql: str) -> int:
        return int(desk.query(f"SELECT count(*) AS n FROM {sql}")[0]["n"])

    async with app.run_test(size=(80, 24)) as pilot:
        app.open_noun("queue", "mail")
        await settle(pilot)
        view = app.screen
        assert isinstance(view, QueueView)
        await pilot.press("R")  # the newest is delayed
        await settle(pilot)
        assert [notification.message for notification in app._notifications][-1] == "retry: select a dead job first"
        await pressed(pilot, ["X", "y"], lambda: count("_honker_live") == 2)
        await pressed(pilot, ["G", "R"], lambda: count("_honker_dead") == 2)  # one alone: without a question
        await settle(pilot)
        await pilot.press("slash", *"state:dead", "enter", "asterisk", "R")
        await pilot.pause()
        assert "retry 2 jobs of mail, chosen with the filter 'state:dead'?" in frame(app)
        await pilot.press("n", "escape", "escape", "c")
        await settle(pilot)
        assert isinstance(app.screen, CausesView)
        await pressed(pilot, ["R", "y"], lambda: count("_honker_dead") < 2)
        recorded = [
            row["payload"] for row in desk.query("SELECT payload FROM _honker_stream WHERE topic = 'call-protocol'")
        ]
        assert any("queue.retry_all" in payload for payload in recorded)  # what a person does is a call like any other


async def test_queues_are_paused_and_resumed(desk: Database, tenant: Database, tmp_path: Path) -> None:
    app = app_of(desk, tmp_path)

    def paused() -> list[str]:
        return [row["queue"] for row in desk.query("SELECT queue FROM engine_paused_queues ORDER BY queue")]

    desk.queue("rests").pause()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("5")
        await settle(pilot)
        assert re.search(r"mail .* on\b", frame(app))
        assert re.search(r"rests .* paused\b", frame(app))
        await pressed(pilot, ["asterisk", "P"], lambda: paused() == ["mail", "rests"])  # what is on; the other rests
        await pressed(pilot, ["1"], lambda: "2 queues paused: mail, rests: spoke queue list" in frame(app))
        app.open_noun("queue", "mail")
        await until(pilot, lambda: "queue mail · paused · all jobs 6" in frame(app))
        await pilot.press("5")
        await settle(pilot)
        await pressed(pilot, ["asterisk", "P"], lambda: paused() == [])  # all rest: all go on


async def test_pausing_a_queue_needs_one(tenant: Database, tmp_path: Path) -> None:
    app = app_of(tenant, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("5")
        await settle(pilot)
        await pilot.press("P")
        await pilot.pause()
        assert [one.message for one in app._notifications][-1].endswith("there is no queue here")


async def test_jobs_that_do_not_fit_a_page_are_told_and_can_be_reached(
    desk: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(desk, tmp_path)

    def shown() -> list[int]:
        return [row.id for row in app.screen.table.rows] if isinstance(app.screen, QueueView) else []

    with monkeypatch.context() as patch:
        patch.setattr("app.tui.queues.JOBS_SHOWN", 4)
        async with app.run_test(size=(80, 24)) as pilot:
            app.open_noun("queue", "mail")
            await settle(pilot)
            await until(pilot, lambda: shown() == [6, 5, 4, 3])
            await until(pilot, lambda: "queue mail · newest 4 of 6 " in frame(app))
            await pilot.press("O")
            await pilot.pause()
            assert [one.message for one in app._notifications][-1].endswith("these are the newest jobs")
            await pilot.press("slash", *"no such job", "enter")  # a filter sees its page alone, and pages go on
            await until(pilot, lambda: "newest 0 of 4 of 6 " in frame(app))
            await pilot.press("o", "escape")
            await until(pilot, lambda: shown() == [2, 1])
            await until(pilot, lambda: "queue mail · older 2 of 6 " in frame(app))
            await pilot.press("o")
            await pilot.pause()
            assert [one.message for one in app._notifications][-1].endswith("these are the oldest jobs")
            await pilot.press("O")
            await until(pilot, lambda: shown() == [6, 5, 4, 3])
            await pilot.press("o", "right")  # another state begins with its newest
            await until(pilot, lambda: "ready jobs 1" in frame(app))


async def test_pages_turn_where_the_list_is_paused(
    desk: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.tui.queues.JOBS_SHOWN", 2)
    app = app_of(desk, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_noun("queue", "mail")
        for page in ([6, 5], [4, 3], [2, 1]):
            await settle(pilot)
            view = app.screen
            assert isinstance(view, QueueView)
            assert [row.id for row in view.table.rows] == page
            await pilot.press("p")
            await settle(pilot)
            assert "paused" in frame(app)
            await pilot.press("o")


def said(app: SpokeApp) -> str:
    return ([""] + [notification.message for notification in app._notifications])[-1]


async def test_a_retry_is_taken_back_for_five_seconds(desk: Database, tmp_path: Path) -> None:
    now = NOW_MS
    app = app_of(desk, tmp_path, now_ms=lambda: now)
    before = desk.query("SELECT * FROM _honker_dead ORDER BY id")
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_noun("queue", "mail")
        await settle(pilot)
        await pilot.press("u")
        await until(pilot, lambda: said(app) == "take the retry back: nothing was retried here in the last 5 s")
        await pilot.press("slash", *"state:dead", "enter", "asterisk", "R")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: said(app) == "3 jobs queued anew: due in 5 s; until then u takes it back")
        assert not desk.query("SELECT * FROM _honker_dead")
        now += 5_000
        await pilot.press("u")
        await until(pilot, lambda: said(app) == "3 jobs dead again, as before")
        assert desk.query("SELECT * FROM _honker_dead ORDER BY id") == before
        assert len(desk.query("SELECT * FROM _honker_live")) == 3
        (call,) = desk.query("SELECT payload FROM _honker_stream WHERE payload ->> '$.operationId' = 'queue.unretry'")
        assert call["payload"].count("lastError") == 3, "one call, one transaction"

        await settle(pilot)
        await pilot.press("R")
        await until(pilot, lambda: len(desk.query("SELECT * FROM _honker_dead")) == 2)
        await until(pilot, lambda: said(app).startswith("1 job queued anew"))
        now += 5_001
        await pilot.press("u", "colon")
        await until(pilot, lambda: isinstance(app.screen, Palette) and isinstance(app.focused, Input))
        await pilot.press(*"take the retry")
        await until(pilot, lambda: "take the retry back  (nothing was retried here in the last 5 s)" in frame(app))
        assert len(desk.query("SELECT * FROM _honker_dead")) == 2


async def test_a_retry_that_a_worker_has_claimed_stays(desk: Database, tmp_path: Path) -> None:
    app = app_of(desk, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_noun("queue", "mail")
        await settle(pilot)
        await pilot.press("G", "R")
        await until(pilot, lambda: len(desk.query("SELECT * FROM _honker_dead")) == 2)
        await until(pilot, lambda: said(app).startswith("1 job queued anew"))
        with desk.transaction() as tx:
            tx.execute("UPDATE _honker_live SET run_at = 1 WHERE id = (SELECT max(id) FROM _honker_live)")
        assert desk.queue("mail").claim_one("w") is not None
        live = desk.query("SELECT * FROM _honker_live")
        await pilot.press("u")
        await until(pilot, lambda: said(app) == "1 job left as it is: a worker has had it")
        assert len(desk.query("SELECT * FROM _honker_dead")) == 2
        assert desk.query("SELECT * FROM _honker_live") == live


async def test_purge_wants_the_name(desk: Database, tmp_path: Path) -> None:
    app = app_of(desk, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("5")
        await settle(pilot)
        await pilot.press("X", "y", "enter")
        await pilot.pause()
        assert "that is not mail" in frame(app)
        await pilot.press("ctrl+u", *"mail")
        await pressed(pilot, ["enter"], lambda: not desk.query("SELECT 1 FROM _honker_dead"))


async def test_schedules_and_locks(desk: Database, tmp_path: Path) -> None:
    app = app_of(desk, tmp_path)

    def enabled() -> dict[str, bool]:
        return {row["name"]: bool(row["enabled"]) for row in desk.query("SELECT * FROM _honker_scheduler_tasks")}

    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("9")
        await settle(pilot)
        await pressed(pilot, ["P"], lambda: not enabled()["nightly"])
        await settle(pilot)
        await pressed(pilot, ["P"], lambda: enabled()["nightly"])
        await settle(pilot)
        await pressed(pilot, ["R"], lambda: len(desk.query("SELECT 1 FROM _honker_live WHERE queue = 'mail'")) == 4)
        await pressed(pilot, ["G", "X", "y"], lambda: "ping" not in enabled())
        await pilot.press("L")
        await settle(pilot)
        assert isinstance(app.screen, LocksView)
        await pilot.press("X", *"backup")
        await pressed(pilot, ["enter"], lambda: not desk.query("SELECT 1 FROM _honker_locks WHERE name = 'backup'"))


async def test_read_only_and_without_operations_nothing_changes(desk: Database, tmp_path: Path) -> None:
    app = app_on(desk, read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_noun("queue", "mail")
        await settle(pilot)
        await pilot.press("X")
        await pilot.pause()
        assert "read-only" in next(iter(app._notifications)).message


async def test_an_entry_of_the_log_is_read_whole_and_levels_narrow(desk: Database, tmp_path: Path) -> None:
    app = app_of(desk, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("0")
        await settle(pilot)
        await pilot.press("L", "L", "L")
        await settle(pilot)
        assert "log · ERROR and up · entries 1" in frame(app)
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(app.screen, Detail)
        assert "boom" in frame(app)


async def test_over_ssh_a_new_row_is_a_line_and_not_a_screen(desk: Database, tmp_path: Path) -> None:
    app = app_of(desk, tmp_path, sparing=True)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_noun("stream", "call-protocol")
        await settle(pilot)
        view = app.screen
        assert isinstance(view, StreamView)
        tops = []
        for number in range(60):
            desk.stream("call-protocol").publish({"type": "call.aborted", "requestId": f"n{number}"})
            await settle(pilot)
            tops.append(view.table.scroll_offset.y)
            assert re.search(rf" n{number}\b", frame(app))  # the newest is always seen
        moves = sum(before != after for before, after in pairwise(tops))
        assert 0 < moves <= 60 // 10


async def test_an_event_is_opened_and_new_ones_follow(desk: Database, tmp_path: Path) -> None:
    app = app_of(desk, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_noun("stream", "call-protocol")
        await settle(pilot)
        desk.stream("call-protocol").publish({"type": "call.aborted", "requestId": "c4"})
        await settle(pilot)
        assert "call.aborted" in frame(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Detail))
        await settle(pilot)
        assert '"requestId": "c4"' in frame(app)
