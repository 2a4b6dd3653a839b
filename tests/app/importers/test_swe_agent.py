"""The importer on real trajectories, and on files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.importers.imported import ImportFailedError, store
from app.importers.swe_agent import has_ended, read, tool_of
from app.services.projector import catch_up
from storage.engine import Database


def test_every_real_trajectory_becomes_a_session_of_calls(tenant: Database, trajectories: list[Path]) -> None:
    for file in trajectories:
        assert store(tenant, read(file.read_bytes(), file.stem), at=0)
    catch_up(tenant)
    assert tenant.query("SELECT * FROM projection_rejects") == []
    for file in trajectories:
        source = json.loads(file.read_bytes())
        (session,) = tenant.query("SELECT * FROM sessions WHERE title = ?", (file.stem,))
        calls = [
            json.loads(row["attributes"])
            for row in tenant.query("SELECT attributes FROM nodes WHERE graph_id = ? ORDER BY rowid", (session["id"],))
        ]
        assert len(calls) == 1 + len(source["trajectory"])
        root, *steps = calls
        assert root["operationId"] == "agent.run"
        succeeded = (source["info"]["exit_status"] or "").startswith("submitted")
        assert root["status"] == ("completed" if succeeded else "failed")
        assert session["status"] == root["status"]
        for call, step in zip(steps, source["trajectory"], strict=True):
            assert call["status"] == "completed"
            assert call["parentRequestId"] == root["requestId"]
            assert call["input"]["action"] == step["action"]
            assert call["output"]["data"]["observation"] == step["observation"]
            seconds = step.get("execution_time")
            assert call.get("durationMs") == (None if seconds is None else round(seconds * 1000, 3))
            assert "startedAt" not in call  # nobody knows when it was
        messages = tenant.query(
            "SELECT id, role FROM messages WHERE session_id = ? ORDER BY position", (session["id"],)
        )
        assert [m["role"] for m in messages] == [m["role"] for m in source["history"]]
        texts = [
            json.loads(row["data"])["text"]
            for row in tenant.query(
                "SELECT p.data FROM parts p JOIN messages m ON m.id = p.message_id"
                " WHERE p.session_id = ? AND p.type = 'text' ORDER BY m.position",
                (session["id"],),
            )
        ]
        assert texts == [m["content"] for m in source["history"] if isinstance(m["content"], str)]


def test_importing_again_changes_nothing(tenant: Database, trajectories: list[Path]) -> None:
    data = trajectories[0].read_bytes()
    assert store(tenant, read(data, "a"), at=0)
    before = tenant.query("SELECT * FROM _honker_stream")
    assert not store(tenant, read(data, "renamed"), at=99)
    assert tenant.query("SELECT * FROM _honker_stream") == before


def test_a_file_that_is_cut_off_anywhere_is_refused(trajectories: list[Path]) -> None:
    data = min((file.read_bytes() for file in trajectories), key=len).rstrip()
    for cut in range(0, len(data), max(1, len(data) // 200)):
        with pytest.raises(ImportFailedError):
            read(data[:cut], "cut")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\x00\xff",
        b'{"trajectory": [], "history": []}',
        b'{"trajectory": {}, "history": [], "info": {}}',
        b'{"trajectory": [{"action": 1, "observation": ""}], "history": [], "info": {}}',
        b"[" * 100_000,
    ],
)
def test_a_foreign_file_is_refused(data: bytes) -> None:
    with pytest.raises(ImportFailedError, match="not a SWE-agent trajectory"):
        read(data, "foreign")


@given(st.text())
def test_the_tool_is_always_a_name(action: str) -> None:
    assert tool_of(action)
    assert all(c.isascii() and (c.isalnum() or c in "_-") for c in tool_of(action))


def test_a_trajectory_has_ended_when_it_says_how() -> None:
    text = '{"trajectory": [], "history": [], "info": {"exit_status": %s}}'
    assert has_ended((text % '"exit_cost"').encode())
    for data in (text % "null", text.replace("%s", "")[:-1], ""):
        assert not has_ended(data.encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)


@given(st.dictionaries(st.sampled_from(["trajectory", "history", "info", "environment"]), json_values))
def test_any_json_is_read_or_refused(value: dict[str, Any]) -> None:
    try:
        read(json.dumps(value).encode(), "any")
    except ImportFailedError:
        return
    assert isinstance(value["trajectory"], list)
