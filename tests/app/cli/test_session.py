"""`spoke session show, watch, replay, export, diff` as a person, a log and a program see them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.cli.exit_codes import ExitCode
from app.cli.run_cli import run
from app.cli.session_live import _follow
from app.cli.session_trace import InPlace, Shape
from app.services.projector import catch_up
from app.services.replay import moments, read_events, replay
from app.views.calls import CallReader
from app.views.sessions import find_session, list_sessions
from app.views.waterfall import call_tree
from storage.engine import Database
from storage.projections.rebuild import rebuild
from storage.tenants import open_tenant_database
from tests.app.views.recorded import CALLS, END, ENDS_MS, REST, SESSION, START, publish, record

Spoke = Callable[..., tuple[int, str, str]]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "data").mkdir()
    database = open_tenant_database(tmp_path / "data" / "tenant-local.db")
    yield database
    database.close()


@pytest.fixture
def spoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Spoke:
    monkeypatch.setenv("SPOKE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPOKE_CONFIG", str(tmp_path / "spoke.toml"))
    monkeypatch.delenv("SPOKE_SESSION_ID", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    return call


# -- show --------------------------------------------------------------------------------------------------------------


def test_show_marks_the_critical_path_and_folds(spoke: Spoke, db: Database) -> None:
    record(db)
    code, out, _ = spoke("session", "show", "5e55", "--critical", "--width", "70")
    rows = out.splitlines()[2:]
    assert (code, [row[:2] for row in rows]) == (0, ["✓*", "✓*", "✓*", "✗*", "✓*"])
    assert "http.get ↻2" in rows[4]
    _, out, _ = spoke("session", "show", "--fold", "ok", "--width", "70")
    assert ["fs.list (+1)" in row for row in out.splitlines()[2:]] == [False, True, False, False]
    _, out, _ = spoke("session", "show", "--depth", "1", "--width", "70")
    assert "agent.run (+4)" in out.splitlines()[2]
    _, out, _ = spoke("session", "show", "--critical", "--json")
    assert json.loads(out)["criticalPath"] == ["c1", "c2", "c3", "c4", "c5"]


def test_show_messages(spoke: Spoke, tmp_path: Path) -> None:
    from tests.app.importers.logs import CLAUDE

    (tmp_path / "x.jsonl").write_bytes(CLAUDE)
    rows = json.loads(spoke("import", "claude-code", str(tmp_path / "x.jsonl"), "--json")[1])
    session = next(row["sessionId"] for row in rows if row["name"] == "Mend the parser, please")
    code, out, _ = spoke("session", "show", session, "--messages")
    assert code == 0
    assert "── user · 23:06:00" in out
    assert "✗ Bash  5.0 s" in out
    document = json.loads(spoke("session", "show", session, "--messages", "--json")[1])
    assert document["messages"][0]["parts"][0]["text"] == "Mend the parser,\nplease"
    assert "no critical path" not in spoke("session", "show", session, "--critical")[2]


# -- watch -------------------------------------------------------------------------------------------------------------


class Recorded:
    """A trace that remembers, and goes on with the session when it has shown what is there."""

    grows = False

    def __init__(self, on_show: Callable[[], None]) -> None:
        self.shown: list[list[str]] = []
        self._on_show = on_show

    def show(self, session: Any, tree: Any, now_ms: float) -> None:
        self.shown.append([call.status for call in tree.calls])
        self._on_show()

    def end(self, session: Any, tree: Any, now_ms: float) -> None:
        self.shown.append([call.status for call in tree.calls])


async def test_watching_follows_until_the_session_ends(db: Database) -> None:
    publish(db, START, *CALLS)
    catch_up(db)
    coming = iter([REST, [END]])
    trace = Recorded(lambda: publish(db, *next(coming, [])))
    session = await asyncio.wait_for(_follow(db, SESSION, trace, lambda: ENDS_MS), 60)
    assert session.status == "completed"
    assert trace.shown[0] == ["pending", "completed", "completed", "failed", "pending"]
    assert trace.shown[-1] == ["completed", "completed", "completed", "failed", "completed"]


def watching(data: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app", "--data-dir", str(data), "session", "watch", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ, PYTHONPATH=str(Path(__file__).parents[3])),
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def test_watch_in_a_pipe_is_a_line_a_change_and_its_exit_code_the_outcome(tmp_path: Path, db: Database) -> None:
    publish(db, START, *CALLS)
    process = watching(tmp_path / "data", "5e55")
    guard = threading.Timer(120, process.kill)
    guard.start()
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(5)]
    assert [line.split()[1:3] for line in first] == [
        ["✓", "fs.stat"],
        ["✓", "fs.list"],
        ["✗", "http.get"],
        ["▶", "agent.run"],
        ["▶", "http.get"],
    ]
    assert first[2] == "08:00:06.000 ✗   http.get  3.5 s  TIMEOUT: it did not go␛[31m\n"
    publish(db, *REST)
    assert process.stdout.readline() == "08:00:20.000 ✓   http.get  14.0 s\n"
    publish(db, {**END, "status": "failed"})
    out, err = process.communicate()
    guard.cancel()
    assert (process.returncode, err) == (ExitCode.FAILURE, "")
    assert out.splitlines()[-1].startswith("session 5e551011 · failed · 5 calls · 1 failed")


def test_ctrl_c_ends_the_watching_with_130(tmp_path: Path, db: Database) -> None:
    publish(db, START, *CALLS)
    process = watching(tmp_path / "data", "5e55", "--fold", "ok", "--json")
    guard = threading.Timer(120, process.kill)
    guard.start()
    assert process.stdout is not None
    lines = [json.loads(process.stdout.readline()) for _ in range(2)]
    assert [(line["change"], line["call"]["requestId"]) for line in lines] == [("ended", "c4"), ("began", "c1")]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    guard.cancel()
    assert (process.returncode, err) == (ExitCode.INTERRUPTED, "interrupted\n")


def test_an_ended_session_is_shown_at_once(spoke: Spoke, db: Database) -> None:
    record(db)
    code, out, err = spoke("session", "watch", "5e55", "--depth", "1", "--json")
    assert (code, err) == (0, "")
    assert [json.loads(line)["change"] for line in out.splitlines()] == ["ended", "session"]


def test_in_place_only_changed_lines_are_written_again(db: Database) -> None:
    written: list[str] = []
    trace = InPlace(Shape(None, fold_ok=False, ascii_only=False), written.append, lambda: (60, 8))
    publish(db, START, *CALLS)
    catch_up(db)
    reader = CallReader(SESSION)
    with db.snapshot() as snapshot:
        session, calls = find_session(snapshot, SESSION), reader.read(snapshot)
    assert calls is not None
    trace.show(session, call_tree(calls), ENDS_MS)
    assert "… 1 rows above" in written[0]
    assert written[0].count("\n") == 7
    trace.show(session, call_tree(calls), ENDS_MS)
    assert len(written) == 1, "nothing changed"
    publish(db, *REST)
    catch_up(db)
    with db.snapshot() as snapshot:
        calls = reader.read(snapshot)
    assert calls is not None
    trace.show(session, call_tree(calls), ENDS_MS)
    assert written[1].startswith("\x1b[7A")
    assert "fs.list" not in written[1]
    assert "http.get" in written[1]
    trace.end(session, call_tree(calls), ENDS_MS)
    assert "agent.run" in written[2]


def test_the_reader_sees_only_what_is_new_and_survives_a_rebuild(db: Database) -> None:
    from app.services.projector import PROJECTIONS

    publish(db, START, *CALLS)
    catch_up(db)
    reader = CallReader(SESSION)
    with db.snapshot() as snapshot:
        first = reader.read(snapshot)
        assert reader.read(snapshot) is None
    publish(db, *REST)
    catch_up(db)
    with db.snapshot() as snapshot:
        second = reader.read(snapshot)
    assert first is not None
    assert second is not None
    assert [call.status for call in second] == ["completed", "completed", "completed", "failed", "completed"]
    assert first[0].status == "pending", "what was given stays as it was"
    rebuild(db, PROJECTIONS)
    with db.snapshot() as snapshot:
        assert (reader.read(snapshot) or second) == second


# -- replay ------------------------------------------------------------------------------------------------------------


def test_a_replay_is_the_session_again_in_its_own_time(db: Database, tmp_path: Path) -> None:
    record(db)
    catch_up(db)
    before = db.query("SELECT count(*) AS n FROM _honker_stream")
    slept: list[float] = []
    states = list(replay(db, SESSION, tmp_path, 10.0, slept.append))
    assert [len(tree.calls) for _, tree, _ in states] == [3, 3, 4, 5, 5, 5]
    assert (states[0][0].status, states[-1][0].status) == ("active", "completed")
    assert [call.status for call in states[-1][1].calls] == [
        "completed",
        "completed",
        "completed",
        "failed",
        "completed",
    ]
    assert slept == pytest.approx([0.02, 0.08, 0.15, 0.35, 1.4, 2.0])
    assert states[-1][2] == ENDS_MS
    assert db.query("SELECT count(*) AS n FROM _honker_stream") == before
    with db.snapshot() as snapshot:
        assert len(list_sessions(snapshot)) == 1


def test_events_without_a_time_come_one_after_another(db: Database) -> None:
    untimed = [{key: value for key, value in event.items() if key != "timestamp"} for event in (START, *CALLS, *REST)]
    publish(db, *untimed)
    catch_up(db)
    with db.snapshot() as snapshot:
        times = moments(read_events(snapshot, SESSION))
    assert times == [200.0 * number for number in range(1, len(untimed) + 1)]


def test_replay_prints_lines_and_leaves_no_file(spoke: Spoke, db: Database, tmp_path: Path, monkeypatch: Any) -> None:
    record(db)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    code, out, err = spoke("session", "replay", "5e55", "--speed", "max")
    assert (code, err) == (0, "")
    assert "08:00:06.000 ✗   http.get  3.5 s  TIMEOUT" in out
    assert "completed · 5 calls" in out.splitlines()[-1]
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan", ""])
def test_a_speed_that_is_none(spoke: Spoke, speed: str) -> None:
    assert spoke("session", "replay", "5e55", "--speed", speed)[0] == ExitCode.USAGE


# -- export and diff ---------------------------------------------------------------------------------------------------


def test_export_writes_files_and_prints_data_alone(spoke: Spoke, db: Database, tmp_path: Path) -> None:
    record(db)
    code, out, err = spoke("session", "export", "5e55", "--format", "chrome")
    assert (code, err, len(json.loads(out)["traceEvents"])) == (0, "", 7)
    file = tmp_path / "page.html"
    code, out, err = spoke("session", "export", "5e55", "--format", "html", "-o", str(file))
    assert (code, out) == (0, "")
    assert "5 calls, for any browser" in err
    assert file.read_text().startswith("<!DOCTYPE html>")
    code, _, err = spoke("session", "export", "5e55", "--format", "json", "-o", str(tmp_path / "no" / "x.json"))
    assert (code, "cannot be written" in err) == (ExitCode.CANNOT_CREATE, True)
    assert spoke("session", "export", "5e55", "--format", "pdf")[0] == ExitCode.USAGE


def other(db: Database, session_id: str) -> None:
    """The same work a day later: the second try is not needed, listing is slower, something is new."""
    text = json.dumps([START, *CALLS[:-1], *REST[1:], END]).replace(SESSION, session_id)
    events = json.loads(re.sub(r'"c(\d)"', r'"d\1"', text))
    for event in events:
        if event.get("requestId") == "d4" and event["type"] == "call.error":
            event |= {"type": "call.responded", "output": {}}
        if event.get("requestId") == "d2" and event["type"] == "call.responded":
            event["timestamp"] = "2026-11-24T08:00:09.000Z"
        if event.get("requestId") == "d3":
            event["operationId"] = "fs.read"
        if event["type"] == "session.started":
            event["slug"] = "other"
    publish(db, *events)


def test_diff_names_what_changed(spoke: Spoke, db: Database) -> None:
    record(db)
    other(db, "a-second-one")
    code, out, err = spoke("session", "diff", "5e55")
    assert code == 0
    assert out.splitlines() == [
        "▲ slower      agent.run > fs.list  2.4 s → 8.9 s",
        "+ added       agent.run > fs.list > fs.read  800 ms",
        "✓ now-passing agent.run > http.get  3.5 s → 3.5 s",
        "- removed     agent.run > fs.list > fs.stat  800 ms",
        "- removed     agent.run > http.get#2  14.0 s",
    ]
    assert "5 differences (5 calls before, 4 calls after)" in err
    document = json.loads(spoke("session", "diff", "5e55", "a-se", "--json")[1])
    assert [found["kind"] for found in document["differences"]] == [
        "slower",
        "added",
        "now-passing",
        "removed",
        "removed",
    ]
    back = json.loads(spoke("session", "diff", "a-se", "5e55", "--json")[1])
    assert [found["kind"] for found in back["differences"]] == ["faster", "added", "now-failing", "added", "removed"]
    assert spoke("session", "diff", "5e55", "5e55")[1] == ""
