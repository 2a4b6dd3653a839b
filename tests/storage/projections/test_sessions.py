"""Sessions, messages and parts from the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.services.projector import catch_up
from storage.engine import Database
from storage.tenants import open_tenant_database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_tenant_database(tmp_path / "tenant-local.db")
    yield database
    database.close()


def publish(db: Database, *events: dict[str, Any]) -> None:
    for event in events:
        db.stream("session-events").publish(event, key=event.get("sessionId"))
    catch_up(db)


STARTED = {
    "type": "session.started",
    "sessionId": "s1",
    "title": "Build",
    "source": "spoke",
    "slug": "build-s1",
    "timestamp": "2026-11-24T08:00:00.250Z",
}
MESSAGE = {
    "type": "session.message",
    "sessionId": "s1",
    "messageId": "m1",
    "role": "user",
    "parts": [{"partId": "p1", "type": "text", "data": {"text": "héllo"}}],
}
ENDED = {"type": "session.ended", "sessionId": "s1", "status": "failed", "timestamp": "2026-11-24T08:00:01Z"}


def one(db: Database) -> dict[str, Any]:
    (row,) = db.query("SELECT title, source, slug, status, started_at, ended_at FROM sessions WHERE id = 's1'")
    return row


@pytest.mark.parametrize("order", [[STARTED, MESSAGE, ENDED], [ENDED, MESSAGE, STARTED], [MESSAGE, STARTED, ENDED]])
def test_any_order_gives_the_same_session(db: Database, order: list[dict[str, Any]]) -> None:
    publish(db, *order, *order)
    assert one(db) == {
        "title": "Build",
        "source": "spoke",
        "slug": "build-s1",
        "status": "failed",
        "started_at": 1795507200250,
        "ended_at": 1795507201000,
    }
    assert db.query("SELECT id, role FROM messages") == [{"id": "m1", "role": "user"}]
    assert db.query("SELECT type, data FROM parts") == [{"type": "text", "data": '{"text":"héllo"}'}]


def test_a_taken_slug_does_not_stop_a_session(db: Database) -> None:
    publish(db, STARTED, STARTED | {"sessionId": "s2"})
    assert {row["slug"] for row in db.query("SELECT slug FROM sessions")} == {"build-s1", "s2"}


def test_a_child_before_its_parent_is_linked(db: Database) -> None:
    publish(db, STARTED | {"sessionId": "s2", "slug": "child", "parentId": "s1"}, STARTED)
    assert db.query("SELECT parent_id FROM sessions WHERE id = 's2'") == [{"parent_id": "s1"}]
    assert one(db)["title"] == "Build"


def test_an_unknown_time_stays_unknown(db: Database) -> None:
    publish(db, {key: value for key, value in STARTED.items() if key != "timestamp"})
    assert one(db)["started_at"] is None


@pytest.mark.parametrize("timestamp", ["yesterday", "", "9999999"])
def test_a_time_that_is_none_is_noted_and_passed_over(db: Database, timestamp: str) -> None:
    publish(db, STARTED | {"timestamp": timestamp})
    assert len(db.query("SELECT * FROM projection_rejects")) == 1
    assert db.query("SELECT * FROM sessions") == []
