"""Full text: what is found where, in which order, and that the line shows it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.services.projector import catch_up
from app.views import find as module
from app.views.find import KINDS, Found, find, found_line
from app.views.text import safe
from storage.engine import Database
from tests.json_values import json_values


def call(db: Database, request_id: str, **fields: Any) -> None:
    stream = db.stream("call-protocol")
    asked = {"type": "call.requested", "requestId": request_id, "operationId": "op.x", "input": {}} | fields
    stream.publish(asked, key=request_id)


def answered(db: Database, request_id: str, data: Any) -> None:
    event = {"type": "call.responded", "requestId": request_id, "output": {"data": data}}
    db.stream("call-protocol").publish(event, key=request_id)


def said(db: Database, text: str) -> None:
    stream = db.stream("session-events")
    stream.publish({"type": "session.started", "sessionId": "s", "title": "t", "source": "x", "slug": "s"}, key="s")
    part = {"partId": "p1", "type": "text", "data": {"text": text}}
    stream.publish(
        {"type": "session.message", "sessionId": "s", "messageId": "m1", "role": "user", "parts": [part]}, key="s"
    )


def search(db: Database, text: str, *kinds: str, limit: int = 20) -> list[Found]:
    catch_up(db)
    with db.snapshot() as snapshot:
        return list(find(snapshot, text, kinds or KINDS, limit))


def hit(found: Found) -> str:
    return found.snippet[found.start : found.end]


def test_each_part_of_a_call_is_named(tenant: Database) -> None:
    call(tenant, "r1", operationId="needle.op")
    call(tenant, "r2", input={"path": "/needle"})
    call(tenant, "r3")
    answered(tenant, "r3", {"text": "a needle here"})
    call(tenant, "r4")
    tenant.stream("call-protocol").publish(
        {"type": "call.error", "requestId": "r4", "code": "NEEDLE", "message": "no"}, key="r4"
    )
    found = search(tenant, "needle", "calls")
    assert [(one.id, one.where) for one in found] == [
        ("r4", "error"),
        ("r3", "output"),
        ("r2", "input"),
        ("r1", "operation"),
    ]
    assert {hit(one).lower() for one in found} == {"needle"}


def test_messages_and_events(tenant: Database) -> None:
    said(tenant, 'say "needle" twice:\nneedle')
    tenant.stream("mine").publish(["a needle"])
    found = search(tenant, '"needle" twice:\nneedle')
    assert [(one.kind, one.id, one.within, one.where) for one in found] == [
        ("messages", "m1", "s", "data"),
        ("events", "2", "session-events", "payload"),
    ]
    assert [one.within for one in search(tenant, "a needle", "events")] == ["mine"]
    assert search(tenant, "no needle in this haystack") == []


def test_wild_cards_are_text_and_case_is_for_ascii(tenant: Database) -> None:
    tenant.stream("mine").publish(["100%_done\\ÄRGER"])
    tenant.stream("mine").publish(["100 x done"])
    tenant.stream("mine").publish(json.loads('["\\u00c4RGER"]'))
    assert [one.id for one in search(tenant, "100%_DONE\\")] == ["1"]
    assert [one.id for one in search(tenant, "%")] == ["1"]
    assert [one.id for one in search(tenant, "Ärger")] == ["3", "1"]
    assert search(tenant, "ärger") == []


def test_what_a_foreign_program_stored(tenant: Database) -> None:
    with tenant.transaction() as tx:
        tx.execute("INSERT INTO _honker_stream (topic, payload) VALUES ('raw', 'not json: \x1b[31m' || 'needle')")
        tx.execute("INSERT INTO _honker_stream (topic, payload) VALUES ('raw', cast(x'6e6565646c65ff' AS TEXT))")
        tx.execute("INSERT INTO _honker_stream (topic, payload) VALUES ('raw', '[\"\\u00fcber needle\"]')")
    found = search(tenant, "needle")
    assert [one.id for one in found] == ["3", "2", "1"]
    assert [one.id for one in search(tenant, "über")] == ["3"]
    assert "\x1b" not in found_line(found[2], 80)


def test_the_newest_of_each_kind_up_to_the_limit(tenant: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 7)
    for number in range(60):
        tenant.stream("mine").publish({"n": number, "text": "needle" if number % 3 == 0 else ""})
    told: list[tuple[int, int]] = []
    with tenant.snapshot() as snapshot:
        everything = list(find(snapshot, "needle", ("events",), 100, lambda *of: told.append(of)))
        five = list(find(snapshot, "needle", ("events",), 5))
    assert [int(one.id) for one in everything] == list(range(58, 0, -3))
    assert five == everything[:5]
    assert told[-1] == (60, 60)
    assert sorted(told) == told


@given(json_values(), st.data())
def test_any_piece_of_a_stored_text_is_found_and_shown(value: Any, data: st.DataObject) -> None:
    stored = json.dumps(value, ensure_ascii=False)
    start = data.draw(st.integers(0, len(stored) - 1))
    piece = json.dumps(stored)  # text inside text: quotes and backslashes
    forms = [json.dumps(stored[start : start + 5], ensure_ascii=one)[1:-1] for one in (False, True)]
    found = module._found("events", "1", "t", piece.encode(errors="replace"), forms)
    assert 0 <= found.start <= found.end <= len(found.snippet)
    width = data.draw(st.integers(60, 200))
    line = found_line(found, width)
    assert cell_len(line) <= width
    assert safe(line) == line
