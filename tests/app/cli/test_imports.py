"""`spoke import` as a person uses it, and `--watch` as a process that runs while others write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.cli.exit_codes import ExitCode
from app.cli.run_cli import run
from tests.app.importers.logs import CLAUDE_LINES, done, opencode

Spoke = Callable[..., tuple[int, str, str]]


@pytest.fixture
def spoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Spoke:
    monkeypatch.setenv("SPOKE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPOKE_CONFIG", str(tmp_path / "spoke.toml"))

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    return call


def test_the_transcripts_of_a_home_folder(spoke: Spoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    project = tmp_path / ".claude" / "projects" / "-home-ada-parser"
    (project / "s" / "subagents").mkdir(parents=True)
    (project / "s.jsonl").write_bytes(b"".join(line for line in CLAUDE_LINES if b'"agentId": "a2271d1", ' not in line))
    (project / "s" / "subagents" / "agent-a2271d1.jsonl").write_bytes(b"".join(CLAUDE_LINES[7:10]))
    (project / "notes.txt").write_text("no transcript")
    code, out, err = spoke("import", "claude-code", "--json")
    assert (code, err) == (0, "")
    assert {row["name"] for row in json.loads(out)} == {"Mend the parser, please", "Find the parser"}
    code, out, _ = spoke("import", "claude-code")
    assert (code, out.count("was there already")) == (0, out.count("\n"))
    rows = json.loads(spoke("session", "list", "--json")[1])
    assert {(row["title"], row["status"]) for row in rows} == {
        ("Mend the parser, please", "completed"),
        ("Find the parser", "completed"),
    }


def test_a_folder_that_holds_the_database(spoke: Spoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "opencode").mkdir()
    opencode(tmp_path / "opencode" / "opencode.db")
    (tmp_path / "opencode" / "other.db").write_text("not ours to read")
    code, out, err = spoke("import", "opencode")
    assert (code, err) == (0, "")
    assert [line.split(maxsplit=3)[1:] for line in out.splitlines()] == [
        ["4", "calls", "Parser is broken"],
        ["1", "call", "Find it (@explore subagent)"],
    ]


class Watching:
    """A `spoke import … --watch --json` that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def next(self) -> list[Any]:
        """The next document that it prints."""
        assert self.process.stdout is not None
        return list(json.loads(self.process.stdout.readline()))


@contextmanager
def watching(*arguments: str, cwd: Path) -> Iterator[Watching]:
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[3]))
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "import", *arguments, "--watch", "--json"],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts us in the background has SIGINT ignored, and who is born ignores it too.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    guard = threading.Timer(120, process.kill)  # a hang fails the test instead of stopping all of them
    guard.start()
    try:
        assert process.stderr is not None
        assert "watching" in process.stderr.readline()
        yield Watching(process)
        process.send_signal(signal.SIGINT)
        assert process.wait() == ExitCode.OK, process.stderr.read()
    finally:
        guard.cancel()
        process.kill()
        process.communicate()


def test_watch_imports_what_a_transcript_grows_by(spoke: Spoke, tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    folder.mkdir()
    (folder / "old.jsonl").write_bytes(CLAUDE_LINES[1].replace(b"256ba646", b"00000000"))
    with watching("claude-code", "projects", cwd=tmp_path) as watch:
        assert [row["name"] for row in watch.next()] == ["Mend the parser, please"]
        (folder / "-home").mkdir()
        with (folder / "-home" / "new.jsonl").open("ab", buffering=0) as file:
            file.write(b"".join(CLAUDE_LINES[:3]))
            (row,) = watch.next()
            assert (row["calls"], row["new"]) == (1, True)
            file.write(CLAUDE_LINES[3][:100])
            file.write(CLAUDE_LINES[3][100:] + CLAUDE_LINES[4])
            rows = watch.next()
            assert rows[-1]["calls"] == 2
            assert rows[-1]["newEvents"] >= 2
    assert {row["title"] for row in json.loads(spoke("session", "list", "--json")[1])} == {"Mend the parser, please"}


def test_watch_follows_a_database_through_its_log(spoke: Spoke, tmp_path: Path) -> None:
    log = opencode(tmp_path / "o.db")
    with watching("opencode", "o.db", cwd=tmp_path) as watch:
        assert len(watch.next()) == 2
        now_ms = int(time.time() * 1000)  # only what was changed lately is read again
        log.part("prt_9", "msg_2", "ses_1", now_ms, **done("glob", now_ms, "x", pattern="*"))
        (row,) = watch.next()
        assert (row["name"], row["calls"], row["newEvents"]) == ("Parser is broken", 5, 2)


def test_watch_takes_a_trajectory_when_it_has_ended_and_reports_what_is_none(spoke: Spoke, tmp_path: Path) -> None:
    text = '{"trajectory": [{"action": "ls", "observation": "a"}], "history": [], "info": {"exit_status": %s}}'
    (tmp_path / "a.traj").write_text(text % "null")
    with watching("swe-agent", ".", cwd=tmp_path) as watch:
        (tmp_path / "bad.traj").write_text("{}")
        (tmp_path / "a.traj").write_text(text % '"submitted"')
        assert [row["name"] for row in watch.next()] == ["a"]
    assert [row["title"] for row in json.loads(spoke("session", "list", "--json")[1])] == ["a"]
