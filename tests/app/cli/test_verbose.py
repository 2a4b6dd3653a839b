"""-v: what a command does behind the scenes, on stderr; all causes of an error; -vv the log."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.exit_codes import ExitCode
from storage.process_lock import ProcessLock
from tests.app.cli.test_cli import Spoke, node, spoke  # noqa: F401


@pytest.fixture(autouse=True)
def _the_log_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_where_things_are_and_how_long_it_took(spoke: Spoke, node: Path, tmp_path: Path) -> None:  # noqa: F811
    plain = spoke("status", "--json")
    assert plain[2] == ""
    for words in (("-v", "status", "--json"), ("status", "--json", "--verbose")):
        code, out, err = spoke(*words)
        assert (code, out) == (0, plain[1]), "stdout is as without it"
        lines = err.splitlines()
        assert lines[:2] == [f"config    {tmp_path}/spoke.toml (not there)", f"data      {node}"]
        assert lines[2].startswith("services  no process runs them here")
        assert lines[3] == f"opens     {node}/tenant-local.db, to read and write"
        assert re.fullmatch(r"took      \d+\.\d{3} s", lines[4])
        assert len(lines) == 5
    (tmp_path / "spoke.toml").write_text("")
    with ProcessLock(node / "daemon.lock"):
        err = spoke("queue", "list", "-v")[2]
    assert f"config    {tmp_path}/spoke.toml\n" in err
    assert f"services  process {os.getpid()}, socket {node}/" in err
    assert "to read\n" in spoke("-v", "queue", "list", "--read-only")[2]
    assert "to try it, then all is undone\n" in spoke("-v", "queue", "purge", "mail", "--dry-run")[2]
    assert f"opens     {node}/hub/system.db, to read and write\n" in spoke("-v", "hub", "key", "list")[2]


def test_the_last_of_quiet_and_verbose_counts(spoke: Spoke) -> None:  # noqa: F811
    assert "took" in spoke("-q", "status", "-v")[2]
    assert "took" in spoke("-qv", "status")[2]
    assert spoke("-v", "status", "-q")[2] == ""
    assert spoke("-vq", "status")[2] == ""


def test_an_error_with_all_its_causes_and_the_plain_line_last(spoke: Spoke, node: Path) -> None:  # noqa: F811
    spoke("status")
    words = ("sql", "selec")
    code, out, plain = spoke(*words)
    assert (out, plain.count("\n")) == ("", 1)
    found, out, err = spoke("-v", *words)
    assert (found, out) == (code, "")
    assert "Traceback (most recent call last)" in err
    assert "direct cause of the following exception" in err
    assert err.endswith(plain)
    assert spoke("session", "show", "-v", "zz")[2].endswith(spoke("session", "show", "zz")[2])
    assert spoke("-v", "status", "--no-such")[2].endswith(spoke("status", "--no-such")[2])


def test_a_bug_asks_for_it(spoke: Spoke, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    def broken(*_: object) -> None:
        raise RuntimeError("half of alk_abcdef1234 \x1b[31m") from ValueError("password=hunter2")

    monkeypatch.setattr("app.cli.status.read_overview", broken)
    code, _, err = spoke("status")
    assert (code, "run it again with -v" in err) == (ExitCode.BUG, True)
    code, _, err = spoke("status", "-v")
    assert (code, "ValueError" in err, "RuntimeError" in err) == (ExitCode.BUG, True, True)
    trace = err[: err.index("spoke: internal")]
    assert "abcdef1234" not in trace
    assert "hunter2" not in err
    assert "\x1b" not in err


def test_twice_is_the_log_at_debug(spoke: Spoke) -> None:  # noqa: F811
    shown = json.loads(spoke("config", "show", "--json", "-vv")[1])
    assert [one["value"] for one in shown if one["key"] == "log.level"] == ["debug"]
    assert logging.getLogger("spoke.uplink").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("websockets").isEnabledFor(logging.INFO)


def test_once_in_front_and_once_behind_is_twice(spoke: Spoke) -> None:  # noqa: F811
    logging.getLogger().setLevel(logging.WARNING)
    spoke("-v", "status")
    assert not logging.getLogger("spoke").isEnabledFor(logging.DEBUG)
    err = spoke("-v", "status", "-v")[2]
    assert logging.getLogger("spoke").isEnabledFor(logging.DEBUG)
    assert err.count("took") == 1


def test_a_recorded_command_keeps_its_own(spoke: Spoke) -> None:  # noqa: F811
    code, out, err = spoke("record", "--", "echo", "-v")
    assert (code, out) == (0, "-v\n")
    assert "took" not in err
    assert "took" in spoke("-v", "record", "--", "true")[2]
