"""Logs as Claude Code and opencode write them, for the tests of what reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apsw

CLAUDE_SESSION = "256ba646-2c15-437a-98e9-4171aafd030e"
AT_MS = 1_768_000_000_000
"""When everything in these logs happened, to the minute: January 2026."""


def claude_line(kind: str, uuid: str, parent: str | None, second: int, content: Any, **more: Any) -> bytes:
    message: dict[str, Any] = {"role": kind, "content": content}
    if kind == "assistant":
        message |= {"id": f"msg_{uuid}", "type": "message", "model": "claude-opus-4-5", "stop_reason": None}
        message |= {"usage": {"input_tokens": 3, "output_tokens": 12, "service_tier": "standard"}}
    line = {
        "parentUuid": parent,
        "isSidechain": False,
        "userType": "external",
        "cwd": "/home/ada/parser",
        "sessionId": CLAUDE_SESSION,
        "version": "2.1.38",
        "gitBranch": "main",
        "type": kind,
        "message": message,
        "uuid": uuid,
        "timestamp": f"2026-01-09T23:06:{second:02}.000Z",
    }
    return json.dumps({**line, **more}).encode() + b"\n"


def use(call: str, tool: str, **given: Any) -> list[dict[str, Any]]:
    return [{"type": "tool_use", "id": call, "name": tool, "input": given}]


def result(call: str, content: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"tool_use_id": call, "type": "tool_result", "content": content, **more}]


CLAUDE_LINES = [
    b'{"type":"file-history-snapshot","messageId":"u1","snapshot":{"trackedFileBackups":{}},"isSnapshotUpdate":false}\n',
    claude_line("user", "u1", None, 0, "Mend the parser,\nplease"),
    claude_line("assistant", "a1", "u1", 1, [{"type": "thinking", "thinking": "Look first.", "signature": "x"}]),
    claude_line("assistant", "a2", "a1", 2, [{"type": "text", "text": "I will look at it."}]),
    claude_line("assistant", "a3", "a2", 3, use("toolu_1", "Bash", command="make test", description="Test")),
    claude_line(
        "user",
        "u2",
        "a3",
        8,
        result("toolu_1", "Exit code 2\nE: no parser", is_error=True),
        toolUseResult="Error: Exit code 2",
    ),
    claude_line("assistant", "a4", "u2", 9, use("toolu_2", "Task", description="Look", prompt="Find the parser")),
    claude_line("user", "s1", None, 10, "Find the parser", isSidechain=True, agentId="a2271d1"),
    claude_line(
        "assistant", "s2", "s1", 11, use("toolu_3", "Grep", pattern="def parse"), isSidechain=True, agentId="a2271d1"
    ),
    claude_line(
        "user", "s3", "s2", 12, result("toolu_3", "parser.py:7"), isSidechain=True, agentId="a2271d1", toolUseResult={}
    ),
    claude_line(
        "user",
        "u3",
        "a4",
        14,
        result("toolu_2", [{"type": "text", "text": "parser.py"}]),
        toolUseResult={"status": "completed", "agentId": "a2271d1", "totalDurationMs": 4_000},
    ),
    b'{"type":"system","subtype":"turn_duration","durationMs":15000,"isMeta":false,"uuid":"y1","sessionId":"x"}\n',
    claude_line("assistant", "a5", "u3", 15, [{"type": "text", "text": "It is mended."}]),
]
CLAUDE = b"".join(CLAUDE_LINES)

SCHEMA = """
CREATE TABLE project (
  id text PRIMARY KEY, worktree text NOT NULL, time_created integer NOT NULL, time_updated integer NOT NULL
);
CREATE TABLE session (
  id text PRIMARY KEY, project_id text NOT NULL, parent_id text, slug text NOT NULL, directory text NOT NULL,
  title text NOT NULL, version text NOT NULL, share_url text, summary_additions integer, summary_deletions integer,
  summary_files integer, summary_diffs text, revert text, permission text,
  time_created integer NOT NULL, time_updated integer NOT NULL, time_compacting integer, time_archived integer,
  CONSTRAINT fk FOREIGN KEY (project_id) REFERENCES project(id) ON DELETE CASCADE
);
CREATE TABLE message (
  id text PRIMARY KEY, session_id text NOT NULL, time_created integer NOT NULL, time_updated integer NOT NULL,
  data text NOT NULL, CONSTRAINT fk FOREIGN KEY (session_id) REFERENCES session(id) ON DELETE CASCADE
);
CREATE TABLE part (
  id text PRIMARY KEY, message_id text NOT NULL, session_id text NOT NULL, time_created integer NOT NULL,
  time_updated integer NOT NULL, data text NOT NULL,
  CONSTRAINT fk FOREIGN KEY (message_id) REFERENCES message(id) ON DELETE CASCADE
);
CREATE INDEX message_session_idx ON message (session_id);
CREATE INDEX part_message_idx ON part (message_id);
CREATE INDEX part_session_idx ON part (session_id);
CREATE INDEX session_parent_idx ON session (parent_id);
INSERT INTO project VALUES ('global', '/', 1768000000000, 1768000000000);
"""


class Opencode:
    """opencode's database, written as opencode does: in WAL, a row at a time, rows written over."""

    def __init__(self, path: Path) -> None:
        self.db = apsw.Connection(str(path))
        self.db.set_busy_timeout(10_000)
        self.db.pragma("journal_mode", "wal")
        if not self.db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'session'").fetchall():
            self.db.execute(SCHEMA)

    def session(self, name: str, title: str, *, parent: str | None = None, at_ms: int = AT_MS) -> None:
        self.db.execute(
            "INSERT INTO session (id, project_id, parent_id, slug, directory, title, version, time_created,"
            " time_updated) VALUES (?1, 'global', ?2, ?1, '/home/ada/parser', ?3, '1.2.10', ?4, ?4)",
            (name, parent, title, at_ms),
        )

    def message(self, name: str, session: str, role: str, at_ms: int = AT_MS, **data: Any) -> None:
        agent: dict[str, Any] = {"role": role, "agent": "build", "time": {"created": at_ms}}
        if role == "assistant":
            agent |= {"modelID": "big-pickle", "providerID": "opencode", "cost": 0}
        self._put("message", name, (session,), {**agent, **data}, at_ms)

    def part(self, name: str, message: str, session: str, at_ms: int = AT_MS, **data: Any) -> None:
        self._put("part", name, (message, session), data, at_ms)

    def _put(self, table: str, name: str, of: tuple[str, ...], data: dict[str, Any], at_ms: int) -> None:
        values = (name, *of, at_ms, at_ms, json.dumps(data))
        self.db.execute(
            f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})"
            " ON CONFLICT (id) DO UPDATE SET data = excluded.data, time_updated = excluded.time_updated",
            values,
        )


def running(name: str, at_ms: int, **given: Any) -> dict[str, Any]:
    state = {"status": "running", "input": given, "time": {"start": at_ms}}
    return {"type": "tool", "callID": f"call_{name}", "tool": name, "state": state}


def done(name: str, at_ms: int, output: str, **given: Any) -> dict[str, Any]:
    times = {"start": at_ms, "end": at_ms + 250}
    state = {"status": "completed", "input": given, "output": output, "title": name, "metadata": {}, "time": times}
    return {"type": "tool", "callID": f"call_{name}", "tool": name, "state": state}


def broken(name: str, at_ms: int, error: str, **given: Any) -> dict[str, Any]:
    state = {"status": "error", "input": given, "error": error, "time": {"start": at_ms, "end": at_ms + 250}}
    return {"type": "tool", "callID": f"call_{name}", "tool": name, "state": state}


def opencode(path: Path) -> Opencode:
    """A database with a session of two messages and four calls, and its sub-agent's."""
    log = Opencode(path)
    log.session("ses_1", "Parser is broken")
    log.message("msg_1", "ses_1", "user")
    log.part("prt_1", "msg_1", "ses_1", type="text", text="Mend the parser")
    log.message("msg_2", "ses_1", "assistant", AT_MS + 1_000, time={"created": AT_MS + 1_000, "completed": AT_MS + 9})
    log.part("prt_2", "msg_2", "ses_1", type="step-start", snapshot="abc")
    log.part("prt_3", "msg_2", "ses_1", type="reasoning", text="Look.", time={"start": AT_MS, "end": AT_MS + 1})
    log.part("prt_4", "msg_2", "ses_1", **done("read", AT_MS + 2_000, "def parse(): …", filePath="parser.py"))
    log.part("prt_5", "msg_2", "ses_1", **broken("bash", AT_MS + 3_000, "exit 2", command="make test"))
    log.part("prt_6", "msg_2", "ses_1", **done("task", AT_MS + 4_000, "found", prompt="Find it"))
    log.part("prt_7", "msg_2", "ses_1", type="text", text="Done.", time={"start": AT_MS, "end": AT_MS + 5})
    log.session("ses_2", "Find it (@explore subagent)", parent="ses_1", at_ms=AT_MS + 4_000)
    log.message("msg_3", "ses_2", "user", AT_MS + 4_001, agent="explore")
    log.part("prt_8", "msg_3", "ses_2", type="text", text="Find it")
    return log
