"""opencode's database: what becomes of it, while opencode writes to it too; and files that are none."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.importers.imported import QUIET_MS, ImportFailedError, derived_id, store
from app.importers.opencode import read
from app.services.projector import catch_up
from storage.engine import Database
from tests.app.importers.logs import AT_MS, Opencode, broken, done, opencode, running
from tests.json_values import json_values

LATER_MS = AT_MS + 2 * QUIET_MS
ONE, TWO = derived_id("opencode", "ses_1"), derived_id("opencode", "ses_2")


def take(db: Database, path: Path, now_ms: int = LATER_MS) -> int:
    return sum(store(db, imported, at=0) for imported in read(path, now_ms))


def calls(db: Database, session_id: str) -> list[dict[str, Any]]:
    catch_up(db)
    rows = db.query("SELECT attributes FROM nodes WHERE graph_id = ? ORDER BY rowid", (session_id,))
    return [json.loads(row["attributes"]) for row in rows]


def parts(db: Database) -> list[tuple[str, str]]:
    catch_up(db)
    rows = db.query(
        "SELECT m.role, p.type FROM messages m JOIN parts p ON p.message_id = m.id WHERE m.session_id = ?"
        " ORDER BY m.position, p.position",
        (ONE,),
    )
    return [(row["role"], row["type"]) for row in rows]


def test_a_database_becomes_sessions_messages_parts_and_calls(tenant: Database, tmp_path: Path) -> None:
    opencode(tmp_path / "o.db")
    assert take(tenant, tmp_path / "o.db")
    run, reading, bash, task = calls(tenant, ONE)
    assert [call["operationId"] for call in (run, reading, bash, task)] == [
        "agent.run",
        "tool.read",
        "tool.bash",
        "tool.task",
    ]
    assert (reading["status"], reading["output"]["data"]["output"]) == ("completed", "def parse(): …")
    assert (reading["startedAt"], reading["completedAt"]) == ("2026-01-09T23:06:42.000Z", "2026-01-09T23:06:42.250Z")
    assert (bash["status"], bash["error"]) == ("failed", {"code": "TOOL_ERROR", "message": "exit 2"})
    assert bash["input"] == {"command": "make test"}
    assert {call["parentRequestId"] for call in (reading, bash, task)} == {run["requestId"]}
    assert run["status"] == "completed"
    sessions = tenant.query("SELECT id, parent_id, title, status, started_at, ended_at FROM sessions ORDER BY position")
    assert [tuple(row.values()) for row in sessions] == [
        (ONE, None, "Parser is broken", "completed", AT_MS, AT_MS + 1_000),
        (TWO, ONE, "Find it (@explore subagent)", "completed", AT_MS + 4_000, AT_MS + 4_001),
    ]
    assert parts(tenant) == [
        ("user", "text"),
        *(("assistant", kind) for kind in ("step-start", "reasoning", "tool", "tool", "tool", "text")),
    ]
    assert tenant.query("SELECT * FROM projection_rejects") == []


def test_importing_again_writes_nothing(tenant: Database, tmp_path: Path) -> None:
    log = opencode(tmp_path / "o.db")
    take(tenant, tmp_path / "o.db")
    before = tenant.query("SELECT * FROM _honker_stream")
    assert take(tenant, tmp_path / "o.db") == 0
    log.db.execute("UPDATE session SET title = 'Renamed', time_updated = time_updated + 1")
    log.part("prt_4", "msg_2", "ses_1", **done("read", AT_MS + 2_000, "[Old tool result content cleared]"))
    assert take(tenant, tmp_path / "o.db") == 0
    assert tenant.query("SELECT * FROM _honker_stream") == before


def test_what_is_being_written_waits_until_it_is_complete(tenant: Database, tmp_path: Path) -> None:
    log, path = Opencode(tmp_path / "o.db"), tmp_path / "o.db"
    log.session("ses_1", "New session - 2026-01-09T23:06:40.000Z")
    log.message("msg_1", "ses_1", "user")
    assert take(tenant, path, AT_MS) == 2  # the session and its run: the message has no parts yet
    log.part("prt_1", "msg_1", "ses_1", type="text", text="Mend the parser")
    log.message("msg_2", "ses_1", "assistant")
    log.part("prt_2", "msg_2", "ses_1", type="text", text="I", time={"start": AT_MS})
    assert take(tenant, path, AT_MS) == 1
    assert parts(tenant) == [("user", "text")]
    pending: dict[str, Any] = {
        "type": "tool",
        "callID": "c",
        "tool": "bash",
        "state": {"status": "pending", "input": {}, "raw": "{"},
    }
    log.part("prt_3", "msg_2", "ses_1", **pending)
    assert take(tenant, path, AT_MS) == 0
    log.part("prt_3", "msg_2", "ses_1", **running("bash", AT_MS, command="make"))
    assert take(tenant, path, AT_MS) == 1
    assert [call["status"] for call in calls(tenant, ONE)] == ["pending", "pending"]
    log.part("prt_3", "msg_2", "ses_1", **broken("bash", AT_MS, "exit 2", command="make"))
    assert take(tenant, path, AT_MS) == 1
    log.part("prt_2", "msg_2", "ses_1", type="text", text="I see", time={"start": AT_MS, "end": AT_MS})
    log.message("msg_2", "ses_1", "assistant", time={"created": AT_MS, "completed": AT_MS + 1})
    assert take(tenant, path, AT_MS) == 1
    assert parts(tenant) == [("user", "text"), ("assistant", "text"), ("assistant", "tool")]
    assert [call["status"] for call in calls(tenant, ONE)] == ["pending", "failed"]
    assert take(tenant, path, LATER_MS) == 2  # both ends
    assert [call["status"] for call in calls(tenant, ONE)] == ["completed", "failed"]


def test_an_agent_at_work_keeps_its_session_open(tenant: Database, tmp_path: Path) -> None:
    """opencode touches a session's row when it is asked something, and then not for as long as the answer takes."""
    log = opencode(tmp_path / "o.db")
    log.part("prt_9", "msg_2", "ses_1", LATER_MS, **running("bash", LATER_MS, command="sleep"))
    take(tenant, tmp_path / "o.db", LATER_MS + 1)
    catch_up(tenant)
    found = {row["id"]: row["status"] for row in tenant.query("SELECT id, status FROM sessions")}
    assert found == {ONE: "active", TWO: "completed"}


def test_only_what_was_changed_since_is_read(tmp_path: Path) -> None:
    log = opencode(tmp_path / "o.db")
    log.session("ses_3", "Later", at_ms=LATER_MS)
    assert [imported.name for imported in read(tmp_path / "o.db", LATER_MS, since_ms=AT_MS + 4_001)] == [
        "Find it (@explore subagent)",
        "Later",
    ]
    log.part("prt_9", "msg_2", "ses_1", LATER_MS, type="text", text="x")
    names = [imported.name for imported in read(tmp_path / "o.db", LATER_MS, since_ms=LATER_MS)]
    assert names == ["Parser is broken", "Later"]


def test_a_session_that_has_no_title_yet_is_called_by_its_first_words(tmp_path: Path) -> None:
    log = opencode(tmp_path / "o.db")
    log.db.execute("UPDATE session SET title = 'New session - 2026-01-09T23:06:40.000Z' WHERE id = 'ses_1'")
    (one, _) = read(tmp_path / "o.db", LATER_MS)
    assert one.name == "Mend the parser"


def test_a_bad_row_costs_its_session_alone(tenant: Database, tmp_path: Path) -> None:
    log = opencode(tmp_path / "o.db")
    log.session("ses_0", "Bad", at_ms=0)
    for name, data in enumerate(["{", "[]", "null", b"\xff", 7, "[" * 100_000]):
        log.db.execute("DELETE FROM message WHERE session_id = 'ses_0'")
        log.db.execute("INSERT INTO message VALUES (?, 'ses_0', 0, 0, ?)", (f"m{name}", data))
        with pytest.raises(ImportFailedError, match="session ses_0"):
            take(tenant, tmp_path / "o.db")
    catch_up(tenant)
    assert [row["id"] for row in tenant.query("SELECT id FROM sessions ORDER BY id")] == sorted([ONE, TWO])


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("", "table session has no"),
        ("CREATE TABLE session (id, title)", "no parent_id, time_created, time_updated"),
        ("CREATE TABLE messages (id)", "table session has no"),
    ],
)
def test_a_foreign_database_is_refused(tenant: Database, tmp_path: Path, sql: str, says: str) -> None:
    apsw.Connection(str(tmp_path / "x.db")).execute(sql)
    with pytest.raises(ImportFailedError, match=says):
        take(tenant, tmp_path / "x.db")
    with pytest.raises(ImportFailedError, match=r"not opencode's database"):
        take(tenant, tmp_path / "absent.db")
    with pytest.raises(ImportFailedError, match=r"not opencode's database"):
        take(tenant, tmp_path)
    assert tenant.query("SELECT * FROM imports") == []


def test_our_own_file_is_none_either(tenant: Database, tmp_path: Path) -> None:
    with pytest.raises(ImportFailedError, match=r"not opencode's database"):
        take(tenant, tmp_path / "tenant-local.db")


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    log = opencode(tmp_path / "o.db")
    log.db.pragma("journal_mode", "delete")
    log.db.close()
    whole = (tmp_path / "o.db").read_bytes()
    for cut in range(0, len(whole), 1_000):
        (tmp_path / "x.db").write_bytes(whole[:cut])
        with suppress(ImportFailedError):
            list(read(tmp_path / "x.db", LATER_MS))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_fuzz_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    for text in (data, b"SQLite format 3\x00" + data):
        (tmp_path / "x.db").write_bytes(text)
        with pytest.raises(ImportFailedError):
            list(read(tmp_path / "x.db", LATER_MS))


anything = json_values(
    words=["tool", "text", "running", "completed", "error"],
    keys=["type", "tool", "state", "status", "time", "start", "end", "input"],
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["role", "time", "agent", "modelID"]), anything),
    st.dictionaries(st.sampled_from(["type", "text", "tool", "state"]), anything),
    st.integers(-(2**63), 2**63 - 1),
)
def test_fuzz_data_of_any_shape_is_imported(
    tmp_path: Path, message: dict[str, Any], part: dict[str, Any], at_ms: int
) -> None:
    """What is in a row's JSON is not ours: whatever it is, the message comes in."""
    log = opencode(tmp_path / "fuzz.db") if not (tmp_path / "fuzz.db").exists() else Opencode(tmp_path / "fuzz.db")
    log._put("message", "msg_z", ("ses_1",), message, at_ms)
    log._put("part", "prt_z", ("msg_z", "ses_1"), part, at_ms)
    for now_ms in (AT_MS, LATER_MS):
        assert len(list(read(tmp_path / "fuzz.db", now_ms))) == 2
    log.db.close()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=30) | st.text(max_size=30) | st.integers(-9, 9) | st.floats(allow_nan=False))
@pytest.mark.parametrize("table", ["message", "part"])
def test_fuzz_values_of_any_kind_are_read_or_refused(
    tmp_path: Path, table: str, data: bytes | str | int | float
) -> None:
    log = opencode(tmp_path / "fuzz.db") if not (tmp_path / "fuzz.db").exists() else Opencode(tmp_path / "fuzz.db")
    for column in ("data", "CAST(?1 AS TEXT)"):
        value = "CAST(?1 AS TEXT)" if column != "data" else "?1"
        log.db.execute(f"UPDATE {table} SET data = {value}, time_updated = ?1", (data,))
        with suppress(ImportFailedError):
            list(read(tmp_path / "fuzz.db", LATER_MS))
    log.db.close()


WRITER = """
import sys
from pathlib import Path
from tests.json_values import json_values
from tests.app.importers.logs import AT_MS, Opencode, done, running
log = Opencode(Path(sys.argv[1]))
log.session("ses_1", "Written meanwhile")
for number in range(60):
    if number % 20 == 10:
        print("half", flush=True)
    if number % 20 == 19:
        sys.stdin.readline()
    log.message(f"msg_{number:03}", "ses_1", "assistant", AT_MS + number)
    for part in range(5):
        name = f"prt_{number:03}_{part}"
        log.part(name, f"msg_{number:03}", "ses_1", **running("bash", AT_MS, n=number))
        log.part(name, f"msg_{number:03}", "ses_1", **done("bash", AT_MS, "x" * 2_000, n=number))
    log.message(f"msg_{number:03}", "ses_1", "assistant", AT_MS + number, time={"created": 0, "completed": 1})
"""
"""Says when it is in the middle of some messages, writes on, and waits before the next ones."""


def test_another_process_writes_meanwhile(tenant: Database, tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    imports = 0
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        while writer.stdout.readline():
            take(tenant, path, AT_MS)
            imports += 1
            with suppress(BrokenPipeError):  # it has written everything meanwhile
                writer.stdin.write(b"\n")
                writer.stdin.flush()
        assert writer.wait() == 0
    assert imports == 3
    take(tenant, path, LATER_MS)
    run, *tools = calls(tenant, ONE)
    assert run["status"] == "completed"
    assert [call["input"] for call in tools] == [{"n": number} for number in range(60) for _ in range(5)]
    assert {call["status"] for call in tools} == {"completed"}
    assert parts(tenant) == [("assistant", "tool")] * 300
    types = [event.payload["type"] for event in tenant.stream("call-protocol").read(limit=10_000)]
    assert (len(types), types.count("call.requested")) == (602, 301)
    alone = Opencode(path).db.pragma("integrity_check")
    assert alone == "ok"
