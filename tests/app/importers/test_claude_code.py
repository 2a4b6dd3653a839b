"""Claude Code transcripts: what becomes of them, again and again, while they grow; and files that are none."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.importers.claude_code import read
from app.importers.imported import QUIET_MS, ImportFailedError, derived_id, store
from app.services.projector import catch_up
from storage.engine import Database
from storage.events.envelope import encode
from tests.app.importers.logs import AT_MS, CLAUDE, CLAUDE_LINES, CLAUDE_SESSION, claude_line, result, use
from tests.json_values import json_values

MINUTE_MS = 60_000
LATER_MS = AT_MS + QUIET_MS + MINUTE_MS
MAIN = derived_id("claude-code", CLAUDE_SESSION)


def take(db: Database, data: bytes, now_ms: int = LATER_MS) -> int:
    return sum(store(db, imported, at=0) for imported in read(data, "transcript", now_ms))


def calls(db: Database, session_id: str) -> dict[str, Any]:
    catch_up(db)
    rows = db.query("SELECT attributes FROM nodes WHERE graph_id = ? ORDER BY rowid", (session_id,))
    found = [json.loads(row["attributes"]) for row in rows]
    return {call["operationId"]: call for call in found}


def test_a_transcript_becomes_sessions_messages_parts_and_calls(tenant: Database) -> None:
    assert take(tenant, CLAUDE)
    found = calls(tenant, MAIN)
    assert list(found) == ["agent.run", "tool.Bash", "tool.Task"]
    run, bash, task = found.values()
    assert (run["status"], run["input"]["cwd"], run["input"]["gitBranch"]) == ("completed", "/home/ada/parser", "main")
    assert (bash["status"], bash["error"]) == (
        "failed",
        {"code": "TOOL_ERROR", "message": "Exit code 2\nE: no parser"},
    )
    assert bash["input"] == {"command": "make test", "description": "Test"}
    assert (bash["startedAt"], bash["completedAt"]) == ("2026-01-09T23:06:03.000Z", "2026-01-09T23:06:08.000Z")
    assert (task["status"], task["output"]["data"]) == (
        "completed",
        {"output": [{"type": "text", "text": "parser.py"}]},
    )
    assert bash["parentRequestId"] == task["parentRequestId"] == run["requestId"]

    main, agent = tenant.query("SELECT * FROM sessions ORDER BY started_at")
    assert (main["id"], main["title"], main["status"], main["source"]) == (
        MAIN,
        "Mend the parser, please",
        "completed",
        "claude-code",
    )
    assert main["ended_at"] - main["started_at"] == 15_000
    assert (agent["parent_id"], agent["title"], agent["status"]) == (MAIN, "Find the parser", "completed")
    below = calls(tenant, agent["id"])
    assert list(below) == ["agent.run", "tool.Grep"]
    assert below["tool.Grep"]["status"] == "completed"

    said = tenant.query(
        "SELECT m.role, p.type, m.agent FROM messages m JOIN parts p ON p.message_id = m.id WHERE m.session_id = ?"
        " ORDER BY m.position, p.position",
        (MAIN,),
    )
    assert [(row["role"], row["type"]) for row in said] == [
        ("user", "text"),
        ("assistant", "reasoning"),
        ("assistant", "text"),
        ("assistant", "tool"),
        ("user", "tool-result"),
        ("assistant", "tool"),
        ("user", "tool-result"),
        ("assistant", "text"),
    ]
    assert {row["agent"] for row in said if row["role"] == "assistant"} == {"claude-opus-4-5"}
    assert tenant.query("SELECT * FROM projection_rejects") == []


def test_the_file_of_a_sub_agent_is_a_session_below_one_that_comes_later(tenant: Database) -> None:
    main = [line for line in CLAUDE_LINES if b'"isSidechain": true' not in line]
    agent = [line for line in CLAUDE_LINES if b'"isSidechain": true' in line]
    take(tenant, b"".join(agent))
    take(tenant, b"".join(main))
    catch_up(tenant)
    rows = tenant.query("SELECT id, parent_id, source FROM sessions ORDER BY started_at")
    assert [(row["parent_id"], row["source"]) for row in rows] == [(None, "claude-code"), (MAIN, "claude-code")]


def test_older_files_name_no_sub_agent_and_hold_several() -> None:
    def side(uuid: str, parent: str | None) -> bytes:
        return claude_line("user", uuid, parent, 5, "x", isSidechain=True)

    data = b"".join([CLAUDE_LINES[1], side("r1", None), side("r2", None), side("c1", "r1"), side("d1", "c1")])
    assert [len(imported.session) - 2 for imported in read(data, "x", LATER_MS)] == [1, 3, 1]


def test_importing_again_writes_nothing(tenant: Database) -> None:
    take(tenant, CLAUDE)
    before = tenant.query("SELECT * FROM _honker_stream")
    assert take(tenant, CLAUDE) == 0
    assert take(tenant, CLAUDE, LATER_MS + QUIET_MS) == 0
    assert take(tenant, CLAUDE + b'{"type":"ai-title","aiTitle":"Later","sessionId":"x"}\n') == 0
    assert tenant.query("SELECT * FROM _honker_stream") == before


@settings(max_examples=30)
@given(cuts=st.lists(st.integers(0, len(CLAUDE)), max_size=5))
def test_however_it_grows_every_event_is_written_once(cuts: list[int]) -> None:
    """Half lines too: they wait until they are whole. What `store` takes for the same event is the same event."""
    written: dict[str, str] = {}
    for cut in [*sorted(cuts), len(CLAUDE)]:
        try:
            found = read(CLAUDE[:cut], "x", AT_MS)
        except ImportFailedError:
            assert cut < len(b"".join(CLAUDE_LINES[:2]))
            continue
        for imported in found:
            for event in (*imported.session, *imported.calls):
                about = (
                    f"{type(event).__name__} {getattr(event, 'message_id', None) or getattr(event, 'request_id', '')}"
                )
                assert written.setdefault(about + imported.session_id, encode(event)) == encode(event)
    whole = [event for i in read(CLAUDE, "x", AT_MS) for event in (*i.session, *i.calls)]
    assert sorted(written.values()) == sorted(map(encode, whole))


def test_a_file_that_has_grown_imports_what_is_new(tenant: Database) -> None:
    """While it is written to, the session is active; when nobody has for an hour, it is over."""
    total, events = 0, []
    for cut in (200, 800, 1_200, 2_500, 3_000, len(CLAUDE)):
        events.append(take(tenant, CLAUDE[:cut], AT_MS))
        total += events[-1]
    assert all(events[1:])
    catch_up(tenant)
    assert {row["status"] for row in tenant.query("SELECT status FROM sessions")} == {"active"}
    assert take(tenant, CLAUDE, LATER_MS) == 4  # the end of two sessions and of their runs
    catch_up(tenant)
    assert {row["status"] for row in tenant.query("SELECT status FROM sessions")} == {"completed"}
    types = [event.payload["type"] for event in tenant.stream("session-events").read()]
    assert types.count("session.started") == 2
    assert types.count("session.message") == 11
    assert total + 4 == len(tenant.query("SELECT 1 FROM _honker_stream"))


def test_a_title_is_the_users_or_the_programs_or_the_first_words() -> None:
    def title(*lines: bytes) -> str:
        return read(b"\n".join([CLAUDE.rstrip(), *lines]), "x", LATER_MS)[0].name

    custom = b'{"type":"custom-title","customTitle":"Mine","sessionId":"x"}'
    given = b'{"type":"ai-title","aiTitle":"Its","sessionId":"x"}'
    assert title(given, custom, given) == "Mine"
    assert title(given) == "Its"
    assert title(b'{"type":"summary","summary":"Sum","leafUuid":"a5"}') == "Sum"
    assert title(b'{"type":"summary","summary":"Of another file","leafUuid":"zz"}') == "Mend the parser, please"


def test_nothing_said_yet_is_no_session_and_no_error() -> None:
    assert read(CLAUDE_LINES[0], "x", LATER_MS) == []


def test_a_copied_session_is_a_session_of_its_own(tenant: Database) -> None:
    """Claude Code copies a transcript when a session is forked: other session id, same uuids."""
    take(tenant, CLAUDE)
    assert take(tenant, CLAUDE.replace(CLAUDE_SESSION.encode(), b"29ccd257-68b1-427f-ae5f-6524b7cb6f20"))
    catch_up(tenant)
    counts = tenant.query("SELECT count(*) AS n FROM messages GROUP BY session_id ORDER BY n")
    assert [row["n"] for row in counts] == [3, 3, 8, 8]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "nothing is said"),
        (b"\n\n", "nothing is said"),
        (b"nonsense\n", "line 1"),
        (CLAUDE + b"\x00\x00\x00\n", f"line {len(CLAUDE_LINES) + 1}"),
        (b'{"type":"user","uuid":"x","sessionId":"y"}\n', "line 1"),
        (b'{"type":"user","message":{"role":"user","content":"hi"},"session_id":"stream-json"}\n', "line 1"),
        (b'{"type":"response_item","payload":{}}\n', "nothing is said"),
        (b"[" * 100_000 + b"\n", "line 1"),
    ],
)
def test_a_foreign_file_is_refused_and_says_where(data: bytes, says: str) -> None:
    with pytest.raises(ImportFailedError, match=says):
        read(data, "x", LATER_MS)


BLOCK_KEYS = ["type", "id", "name", "input", "text", "thinking", "tool_use_id", "content", "is_error", "role"]
anything = json_values(words=["tool_use", "tool_result", "text"], keys=BLOCK_KEYS)
LINE_KEYS = ["uuid", "parentUuid", "sessionId", "message", "timestamp", "isSidechain", "isMeta", "agentId", "summary"]


@given(st.binary(max_size=200))
def test_fuzz_bytes_are_read_or_refused(data: bytes) -> None:
    for text in (data, CLAUDE + data, data + CLAUDE):
        with suppress(ImportFailedError):
            read(text, "x", LATER_MS)


@settings(max_examples=300)
@given(
    st.sampled_from(["user", "assistant", "summary", "custom-title", "progress"]),
    st.dictionaries(st.sampled_from(LINE_KEYS), anything),
)
def test_fuzz_lines_are_read_or_refused(kind: str, more: dict[str, Any]) -> None:
    line = json.loads(CLAUDE_LINES[1]) | more | {"type": kind}
    with suppress(ImportFailedError):
        for imported in read(CLAUDE + json.dumps(line).encode() + b"\n", "x", LATER_MS):
            assert imported.session


@settings(max_examples=200)
@given(anything)
def test_fuzz_content_of_any_shape_is_imported(content: Any) -> None:
    """What is in a message is not ours: whatever it is, the message comes in."""
    line = claude_line("assistant", "z", None, 30, content)
    (main, *_) = read(CLAUDE + line, "x", LATER_MS)
    assert len(main.session) == 8 + 1 + 2


def test_a_result_without_its_call_is_no_call() -> None:
    data = claude_line("user", "u", None, 1, result("toolu_gone", "x")) + claude_line(
        "assistant", "a", "u", 2, use("toolu_1", "Bash")
    )
    (main,) = read(data, "x", AT_MS)
    assert [type(event).__name__ for event in main.calls] == ["CallRequested", "CallRequested"]


def test_a_time_that_no_calendar_has_is_left_out(tenant: Database) -> None:
    take(tenant, claude_line("user", "u", None, 1, "x", timestamp="0001-01-01T00:00:00"))
    catch_up(tenant)
    assert tenant.query("SELECT started_at, status FROM sessions") == [{"started_at": None, "status": "completed"}]
    assert tenant.query("SELECT * FROM projection_rejects") == []
