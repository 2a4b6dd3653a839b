"""Conversations: what the importers recorded, joined with the calls, in lines that fit; whatever is in the parts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.importers import claude_code, opencode, swe_agent
from app.importers.imported import Imported, store
from app.services.projector import catch_up
from app.views.calls import read_calls
from app.views.messages import RESULT_LINES, Line, Message, Part, conversation, read_messages
from app.views.text import safe, wrap
from storage.engine import Database
from tests.app.importers.logs import AT_MS, CLAUDE
from tests.app.importers.logs import opencode as opencode_file


def lines_of(db: Database, imported: Imported, width: int = 72) -> list[Line]:
    store(db, imported, 0)
    catch_up(db)
    with db.snapshot() as snapshot:
        calls = read_calls(snapshot, imported.session_id)
        messages = read_messages(snapshot, imported.session_id, calls)
    return conversation(messages, {call.request_id: call for call in calls}, width)


def test_a_transcript_is_a_conversation_with_its_calls(tenant: Database) -> None:
    lines = lines_of(tenant, claude_code.read(CLAUDE, "x", AT_MS)[0])
    text = [line.text for line in lines]
    assert text[:2] == ["── user · 23:06:00 ", "  Mend the parser,"]
    assert "── assistant · claude-opus-4-5 · 23:06:01 " in text
    assert "  ┊ Look first." in text
    (asked,) = [line for line in lines if line.text == "✗ Bash  5.0 s"]
    assert asked.failed
    with tenant.snapshot() as snapshot:
        (failed,) = [call for call in read_calls(snapshot, _only_session(tenant)) if call.status == "failed"]
    assert asked.call_id == failed.request_id
    assert '    {"command": "make test", "description": "Test"}' in text
    assert "    E: no parser" in text


def _only_session(db: Database) -> str:
    return str(db.query("SELECT DISTINCT graph_id FROM nodes")[0]["graph_id"])


def test_opencode_keeps_the_outcome_in_the_part(tenant: Database, tmp_path: Path) -> None:
    opencode_file(tmp_path / "o.db")
    first = next(iter(opencode.read(tmp_path / "o.db", AT_MS)))
    text = [line.text for line in lines_of(tenant, first)]
    assert {line.split()[0] for line in text if line.split()[1:2] in (["read"], ["bash"])} == {"✓", "✗"}
    assert "    def parse(): …" in text
    assert "  Done." in text


def test_real_trajectories_are_read_whole(tenant: Database, trajectories: list[Path]) -> None:
    for file in trajectories:
        lines = lines_of(tenant, swe_agent.read(file.read_bytes(), file.stem))
        assert {line.kind for line in lines} >= {"head", "text", "gap"}
        assert all(cell_len(line.text) <= 72 for line in lines)


@pytest.mark.parametrize(
    "parts",
    [
        [("text", None), ("tool", {}), ("tool-result", []), ("reasoning", {"text": 7}), ("file", {"url": "\x1b[2J"})],
        [("tool", {"toolCalls": [{"function": {"name": "ls", "arguments": "{}"}}, 3]}), ("tool", {"state": 1})],
    ],
)
def test_parts_of_unknown_shape_are_shown_as_they_are(tenant: Database, parts: list[tuple[str, object]]) -> None:
    message = {
        "type": "session.message",
        "sessionId": "s",
        "messageId": "m",
        "role": "\x1b[31muser",
        "parts": [{"partId": f"p{n}", "type": kind, "data": data} for n, (kind, data) in enumerate(parts)],
    }
    tenant.stream("session-events").publish(message)
    catch_up(tenant)
    with tenant.snapshot() as snapshot:
        (read,) = read_messages(snapshot, "s")
    assert (len(read.parts), read.at_ms) == (len(parts), None)
    assert "\x1b" not in "".join(line.text for line in conversation([read], {}, 40))


def test_parts_and_calls_are_joined_only_where_their_numbers_agree(tenant: Database) -> None:
    (first, *_) = claude_code.read(CLAUDE, "x", AT_MS)
    store(tenant, first, 0)
    catch_up(tenant)
    with tenant.snapshot() as snapshot:
        calls = read_calls(snapshot, first.session_id)
        without = [call for call in calls if call.operation_id != "tool.Bash"]
        parts = [part for m in read_messages(snapshot, first.session_id, without) for part in m.parts if part.tool]
    assert [(part.tool, part.call_id is None) for part in parts] == [("Bash", True), ("Task", False)]


def test_a_long_result_says_how_much_is_left_out() -> None:
    part = Part("p", "result", "tool-result", "\n".join(map(str, range(100))))
    lines = conversation([Message("m", "tool", None, None, (part,))], {}, 40)
    assert len(lines) == 1 + RESULT_LINES + 1
    assert lines[-1].text == f"    … {100 - RESULT_LINES} lines"


hostile = st.text(max_size=200)


@given(hostile, st.integers(1, 60))
def test_wrapping_loses_nothing_but_spaces(text: str, width: int) -> None:
    clean = safe(text)
    lines = wrap(clean, max(2, width))
    assert "".join(lines).replace(" ", "") == clean.replace(" ", "")
    assert all(cell_len(line) <= max(2, width) for line in lines)


kinds = st.sampled_from(["text", "reasoning", "tool", "result", "other"])


@given(
    st.lists(st.builds(Part, st.just("p"), kinds, hostile, hostile, st.none() | hostile), max_size=5),
    hostile,
    st.integers(20, 100),
    st.booleans(),
)
def test_every_line_fits_and_is_safe(parts: list[Part], role: str, width: int, ascii_only: bool) -> None:
    for line in conversation([Message("m", role, role, 0.0, tuple(parts))], {}, width, ascii_only=ascii_only):
        assert cell_len(line.text) <= width
        assert safe(line.text) == line.text
        assert not ascii_only or line.text.isascii()
