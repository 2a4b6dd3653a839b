"""The command line in this process: what it prints, where, and how it exits. Help texts and their examples."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import pytest

from app.cli import _COMMANDS, cli
from app.cli.contract import CONTRACTS
from app.cli.exit_codes import EXPLAINED, ExitCode
from app.cli.run_cli import run
from storage.tenants import open_tenant_database
from tests.app.cli.joinable import enrolled, joinable, serving
from tests.app.importers.logs import CLAUDE, opencode
from tests.sync.joining import token

Spoke = Callable[..., tuple[int, str, str]]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("SPOKE_DATA_DIR", str(folder))
    monkeypatch.setenv("SPOKE_CONFIG", str(tmp_path / "spoke.toml"))
    monkeypatch.setenv("SPOKE_FS__ROOTS", json.dumps([str(tmp_path)]))
    for name in ("SPOKE_SESSION_ID", "SPOKE_PARENT_REQUEST_ID", "SPOKE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def spoke(node: Path, capfd: pytest.CaptureFixture[str]) -> Spoke:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    return call


def log_size(node: Path) -> int:
    db = open_tenant_database(node / "tenant-local.db")
    try:
        return int(db.query("SELECT count(*) AS n FROM _honker_stream")[0]["n"])
    finally:
        db.close()


# -- the main path ---------------------------------------------------------------------------------------------------


def test_a_call_prints_its_output_and_is_recorded(spoke: Spoke, node: Path) -> None:
    code, out, err = spoke("call", "system.info")
    assert (code, err) == (0, "")
    assert json.loads(out)["sqliteVersion"] >= "3.54"
    code, out, _ = spoke("call", "system.info", "--json")
    assert set(json.loads(out)) == {"requestId", "operationId", "output"}
    assert log_size(node) == 4


def test_a_session_from_start_to_waterfall(spoke: Spoke, monkeypatch: pytest.MonkeyPatch) -> None:
    _, out, _ = spoke("session", "start", "release 1.2")
    session = out.strip()
    monkeypatch.setenv("SPOKE_SESSION_ID", session)
    assert spoke("call", "system.info")[0] == 0
    assert spoke("record", "--", "sh", "-c", "echo out; echo err >&2; exit 3") == (3, "out\n", "err\n")
    code, out, _ = spoke("session", "show", "--width", "80")
    assert code == 0
    assert "release 1.2" in out
    assert re.search(r"^✓ system\.info ", out, re.MULTILINE)
    assert re.search(r"^✗ command\.sh ", out, re.MULTILINE)
    assert spoke("session", "end")[0] == 0
    code, _, err = spoke("session", "end")
    assert (code, "already ended" in err) == (ExitCode.FAILURE, True)
    code, out, _ = spoke("session", "list", "--json")
    (row,) = json.loads(out)
    assert (row["sessionId"], row["status"], row["callCount"], row["failedCount"]) == (session, "completed", 2, 1)


def test_record_keeps_both_ends_of_a_long_output(spoke: Spoke, node: Path) -> None:
    code, out, _ = spoke("record", "--", sys.executable, "-c", "print('first'); print('x' * 100000); print('last')")
    assert (code, len(out)) == (0, 100_000 + len("first\n\nlast\n"))
    spoke("status")
    db = open_tenant_database(node / "tenant-local.db")
    (row,) = db.query("SELECT attributes FROM nodes")
    db.close()
    kept = json.loads(row["attributes"])["output"]["data"]
    assert kept["stdoutBytes"] == len(out)
    assert len(kept["stdout"]) < 9_000
    assert kept["stdout"].startswith("first\n")
    assert kept["stdout"].endswith("last\n")
    assert "bytes left out" in kept["stdout"]


def test_what_a_recorded_command_records_is_its_child(node: Path) -> None:
    me = f"{shlex.quote(sys.executable)} -m app"
    done = subprocess.run(
        [sys.executable, "-m", "app", "record", "--", "sh", "-c", f"{me} record -- true; {me} call system.info"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        [sys.executable, "-m", "app", "session", "show", "--json"], check=True, capture_output=True, text=True
    )
    calls = json.loads(shown.stdout)["calls"]
    root, *children = calls
    assert [call["operationId"] for call in calls] == ["command.sh", "command.true", "system.info"]
    assert {child["parentId"] for child in children} == {root["requestId"]}


@pytest.mark.parametrize(("command", "code"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_a_command_that_cannot_be_started_is_recorded(spoke: Spoke, command: str, code: int) -> None:
    found, _, err = spoke("record", "--", command)
    assert found == code
    assert command in err
    _, out, _ = spoke("session", "list", "--json")
    assert [row["status"] for row in json.loads(out)] == ["failed"]


def test_a_batch_executes_every_line(spoke: Spoke, tmp_path: Path, node: Path) -> None:
    lines = [{"operation": "system.info"}, {"operation": "fs.list", "input": {"path": "/etc"}}] * 300
    batch = tmp_path / "calls.ndjson"
    batch.write_text("\n".join(json.dumps(line) for line in lines))
    code, out, _ = spoke("call", "--batch", str(batch))
    assert code == 0
    assert json.loads(out) | {"seconds": 0} == {"calls": 600, "failed": 300, "seconds": 0}
    assert log_size(node) == 1_200


def test_import_then_list_then_show(spoke: Spoke, trajectories: list[Path]) -> None:
    code, out, _ = spoke("import", "swe-agent", *map(str, trajectories), "--json")
    assert code == 0
    assert all(result["new"] for result in json.loads(out))
    code, out, _ = spoke("session", "show", "--width", "80")
    assert code == 0
    assert "agent.run" in out
    assert "in log order" in out


def test_tail_prints_envelopes(spoke: Spoke) -> None:
    spoke("call", "system.info")
    code, out, _ = spoke("tail", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["type"] for event in events] == ["call.requested", "call.responded"]
    assert events[0]["payload"]["operationId"] == "system.info"
    assert spoke("tail", "--from", "-1", "--count", "1")[1].count("\n") == 1
    assert code == 0


def test_status_and_sync_status_without_a_hub(spoke: Spoke) -> None:
    spoke("call", "system.info")
    code, out, _ = spoke("status", "--json")
    assert code == 0
    assert json.loads(out)["link"] == {"state": "unpaired", "unsent": 2, "errorCode": None}
    assert "spoke join" in spoke("status")[1]
    assert json.loads(spoke("sync", "status", "--json")[1])["unsent"] == 2


def test_join_keeps_the_key_for_this_user_alone(spoke: Spoke, node: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.txt"
    key.write_text("alk_secret\n")
    code, out, err = spoke("join", "wss://hub.example", "--key-file", str(key))
    assert code == 0
    assert "alk_secret" not in out + err
    stored = node / "hub.json"
    assert stored.stat().st_mode & 0o777 == 0o600
    assert json.loads(spoke("sync", "status", "--json")[1])["state"] == "offline"
    assert "spoke run" in spoke("sync", "status")[1]
    assert json.loads(stored.read_text()) == {"hub": {"url": "wss://hub.example", "api_key": "alk_secret"}}


def test_shell_run_runs_what_the_configuration_names(spoke: Spoke, tmp_path: Path) -> None:
    (tmp_path / "spoke.toml").write_text(
        """
        [commands.greet]
        argv = ["echo", "hello", "{name}"]
        [commands.greet.arguments.name]
        default = "world"
        [commands.slow]
        argv = ["sleep", "60"]
        timeout_s = 0.05
        """
    )
    code, out, _ = spoke("call", "shell.run", '{"command": "greet", "arguments": {"name": "a; b $(c)"}}')
    assert code == 0
    assert json.loads(out)["stdout"] == "hello a; b $(c)\n"
    for command, arguments in (
        ("other", {}),
        ("greet", {"name": 7}),
        ("greet", {"unknown": "y"}),
        ("greet", {"name": "-n"}),
    ):
        text = json.dumps({"command": command, "arguments": arguments})
        check_refused(spoke("call", "shell.run", text), ExitCode.DATA)
    code, _, err = spoke("call", "shell.run", '{"command": "slow"}')
    assert code == ExitCode.TEMPORARY
    assert "did not end within" in err


def test_a_call_to_a_spoke_that_is_away(spoke: Spoke, node: Path) -> None:
    place_a_call(node / "hub")
    code, out, err = spoke("hub", "call", "workshop-pc/fs.list", '{"path": "/"}', "--deadline", "5m", "--key", "k")
    assert (code, len(out.strip())) == (0, 36), err
    again = spoke("hub", "call", "n1/fs.list", '{"path": "/"}', "--key", "k", "--json")
    assert json.loads(again[1])["callId"] == out.strip()
    listed = json.loads(spoke("hub", "calls", "list", "--pending", "--json")[1])
    assert [(call["operationId"], call["state"]) for call in listed] == [
        ("fs.list", "QUEUED"),
        ("system.info", "QUEUED"),
    ]
    shown = json.loads(spoke("hub", "calls", "show", out.strip()[:8], "--json")[1])
    assert shown["input"] == {"path": "/"}
    assert shown["deadline"] - shown["createdAt"] == 300_000
    assert shown["identity"]["scopes"] == ["*"]
    assert json.loads(spoke("hub", "calls", "cancel", out.strip(), "--json")[1])["cancelled"]
    assert not json.loads(spoke("hub", "calls", "cancel", out.strip(), "--json")[1])["cancelled"]
    assert "CANCELLED" in spoke("hub", "calls", "list")[1]
    assert "no spoke has said" in spoke("hub", "operations")[2]
    for arguments, expected in (
        (("workshop-pc/system.info", "--offline", "fail_fast"), ExitCode.UNAVAILABLE),
        (("workshop-pc/system.info", "--key", "k"), ExitCode.DATA),
        (("workshop-pc/system.info", "--deadline", "soon"), ExitCode.USAGE),
        (("other/system.info",), ExitCode.USAGE),
        (("workshop-pc/system.info", "{"), ExitCode.DATA),
    ):
        check_refused(spoke("hub", "call", *arguments), expected)
    for arguments in (("hub", "call", "accounts.list"), ("call", "system.info")):
        code, out, err = spoke(*arguments, "--wait")
        assert (code, out, "calls to other nodes" in err) == (ExitCode.USAGE, "", True)
    check_refused(spoke("hub", "calls", "show", "nothing"), ExitCode.USAGE, "spoke hub calls list")


def test_the_result_of_a_call_is_waited_for(spoke: Spoke, node: Path) -> None:
    """A call that has ended needs no waiting: the same key brings its output, or its error and exit code."""
    from storage.engine.stream import append_event
    from storage.projections.projection import step
    from sync.durable import caller

    place_a_call(node / "hub")
    asked = [spoke("hub", "call", "n1/system.info", "--key", key)[1].strip() for key in "ab"]
    good: dict[str, object] = {"type": "call.responded", "state": "DONE", "output": {"data": {"x": 1}}}
    bad: dict[str, object] = {
        "type": "call.error",
        "state": "REJECTED",
        "code": "ACCESS_DENIED",
        "message": "no",
        "hint": "ask",
    }
    db = open_tenant_database(node / "hub" / "tenant-local.db")
    with db.transaction() as tx:
        for call_id, result in zip(asked, (good, bad), strict=True):
            event = {**result, "requestId": call_id, "operationId": "system.info", "timestamp": ""}
            append_event(tx, "results@n1", None, json.dumps(event))
        step(tx, caller.results("n1", lambda: 2))
    db.close()
    code, out, _ = spoke("hub", "call", "n1/system.info", "--key", "a", "--wait")
    assert (code, json.loads(out)) == (0, {"x": 1})
    code, out, err = spoke("hub", "call", "n1/system.info", "--key", "b", "--wait")
    assert (code, out) == (ExitCode.DENIED, "")
    assert "no — ask" in err


def test_a_call_to_the_hub_waits_for_it(spoke: Spoke, node: Path) -> None:
    code, out, err = spoke("call", "hub/sessions.list", "--deadline", "5m")
    assert (code, len(out.strip())) == (0, 36), err
    listed = json.loads(spoke("call", "calls.list", "{}")[1])
    assert [(call["callId"], call["peer"], call["state"]) for call in listed["calls"]] == [
        (out.strip(), "hub", "QUEUED")
    ]
    assert json.loads(spoke("call", "calls.get", json.dumps({"callId": out.strip()}))[1])["input"] == {}
    assert json.loads(spoke("call", "calls.cancel", json.dumps({"callId": out.strip()}))[1]) == {"cancelled": True}
    check_refused(spoke("call", "hub/sessions.list", "--offline", "fail_fast"), ExitCode.UNAVAILABLE)


# -- bad input -------------------------------------------------------------------------------------------------------


def check_refused(result: tuple[int, str, str], code: ExitCode, *words: str) -> None:
    found, out, err = result
    assert found == code, err
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("spoke: ")
    assert " — " in err, "says what to do next"
    for word in words:
        assert word in err


def test_an_unknown_operation(spoke: Spoke, node: Path) -> None:
    check_refused(spoke("call", "fs.lst", "{}"), ExitCode.USAGE, "fs.list")
    assert not node.exists()


@pytest.mark.parametrize("text", ["{", "not json", "", "[" * 10_000])
def test_input_that_is_not_json(spoke: Spoke, node: Path, text: str) -> None:
    check_refused(spoke("call", "fs.list", text or " "), ExitCode.DATA, "not JSON")
    assert not node.exists()


@pytest.mark.parametrize("text", ['{"pat": "/"}', "[]", "7", '{"path": 7}', "null"])
def test_input_that_fails_its_schema(spoke: Spoke, node: Path, text: str) -> None:
    check_refused(spoke("call", "fs.list", text), ExitCode.DATA, "input of fs.list")
    assert not node.exists()


@pytest.mark.parametrize("path", ["/etc", "/", "..", "/proc/self/root/etc"])
def test_a_path_outside_the_roots(spoke: Spoke, path: str) -> None:
    check_refused(spoke("call", "fs.list", json.dumps({"path": path})), ExitCode.DENIED, "outside the allowed roots")


def test_a_link_out_of_the_roots_is_not_followed(spoke: Spoke, tmp_path: Path) -> None:
    (tmp_path / "way-out").symlink_to("/etc")
    check_refused(spoke("call", "fs.list", json.dumps({"path": str(tmp_path / "way-out")})), ExitCode.DENIED)


def test_a_bad_line_of_a_batch_names_itself_and_what_was_done(spoke: Spoke, tmp_path: Path, node: Path) -> None:
    batch = tmp_path / "calls.ndjson"
    batch.write_text('{"operation": "system.info"}\n{"operation": "system.info"}\noops\n')
    code, out, err = spoke("call", "--batch", str(batch))
    assert (code, out) == (ExitCode.DATA, "")
    assert "line 3" in err
    assert log_size(node) == 4


def test_a_bad_file_is_reported_and_the_others_are_imported(
    spoke: Spoke, tmp_path: Path, trajectories: list[Path], node: Path
) -> None:
    cut, foreign = tmp_path / "cut.traj", tmp_path / "foreign.traj"
    cut.write_bytes(trajectories[0].read_bytes()[:5_000])
    foreign.write_text('{"messages": []}')
    code, out, err = spoke("import", "swe-agent", str(cut), str(trajectories[0]), str(foreign), "--json")
    assert code == ExitCode.DATA
    assert [result["name"] for result in json.loads(out)] == [trajectories[0].stem]
    *reports, last = err.splitlines()
    assert [line.split(":")[0] for line in reports] == [str(cut), str(foreign)]
    assert "2 files could not be imported; everything else was — " in last
    size = log_size(node)
    assert spoke("import", "swe-agent", str(cut))[0] == ExitCode.DATA
    assert log_size(node) == size > 0


@pytest.mark.parametrize("command", ["swe-agent", "claude-code", "opencode"])
def test_nothing_is_made_where_there_is_nothing_to_import(
    spoke: Spoke, tmp_path: Path, node: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    check_refused(spoke("import", command, str(tmp_path / "absent")), ExitCode.NO_INPUT, "absent")
    if command != "swe-agent":
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        check_refused(spoke("import", command), ExitCode.NO_INPUT, command.split("-")[0])
    assert not node.exists()


def test_a_second_daemon_on_the_same_directory(spoke: Spoke, node: Path) -> None:
    from storage.process_lock import ProcessLock

    node.mkdir(parents=True)
    with ProcessLock(node / "daemon.lock"):
        check_refused(spoke("run"), ExitCode.TEMPORARY, f"process {os.getpid()}")
        assert spoke("call", "system.info")[0] == 0  # recording goes on beside the daemon


def test_a_data_directory_that_cannot_be_made(spoke: Spoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check_refused(
        spoke("--data-dir", str(tmp_path / "file" / "x"), "call", "system.info"), ExitCode.CANNOT_CREATE, "--data-dir"
    )


def test_a_read_only_directory(node: Path) -> None:
    """As an ordinary user: root may write everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        data.chmod(0o555)
        Path(folder).chmod(0o755)
        command = [sys.executable, "-m", "app", "--data-dir", str(data), "call", "system.info"]
        if os.geteuid() == 0:
            nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            if subprocess.run(
                [*nobody, sys.executable, "-c", "import apsw"], check=False, capture_output=True
            ).returncode:
                pytest.skip("this Python lies where only root may read; tests/e2e does it with the executable")
            command = [*nobody, *command]
        environment = dict(os.environ, HOME=folder, SPOKE_CONFIG=f"{folder}/spoke.toml")
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        assert done.returncode == ExitCode.CANNOT_CREATE, done.stderr
        assert done.stderr.count("\n") == 1
        assert " — " in done.stderr
        assert list(data.iterdir()) == []


def test_a_file_that_is_no_database(spoke: Spoke, node: Path) -> None:
    node.mkdir(parents=True)
    (node / "tenant-local.db").write_bytes(b"not a database at all" * 100)
    before = (node / "tenant-local.db").read_bytes()
    check_refused(spoke("call", "system.info"), ExitCode.DATA, "not a database")
    assert (node / "tenant-local.db").read_bytes() == before


def test_a_file_of_a_newer_version(spoke: Spoke, node: Path) -> None:
    spoke("call", "system.info")
    db = open_tenant_database(node / "tenant-local.db")
    with db.transaction() as tx:
        tx.execute("PRAGMA user_version = 99")
    db.close()
    check_refused(spoke("call", "system.info"), ExitCode.DATA, "version 99", "upgrade")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", ["spoke.toml"]),
        ("colour = true", ["colour", "unknown key"]),
        ("[hub]\nulr = 'x'", ["hub.ulr", "did you mean url"]),
        ("[commands.x]\nargv = []\n[hub]\nallow_plain = 'perhaps'", ["commands.x.argv", "hub.allow_plain"]),
    ],
)
def test_a_wrong_configuration_names_every_problem(
    spoke: Spoke, tmp_path: Path, node: Path, text: str, words: list[str]
) -> None:
    (tmp_path / "spoke.toml").write_text(text)
    check_refused(spoke("call", "system.info"), ExitCode.CONFIG, *words)
    assert not node.exists()


@pytest.mark.parametrize("url", ["ws://hub.example", "http://x", "hub"])
def test_join_refuses_what_is_no_safe_address(spoke: Spoke, node: Path, url: str) -> None:
    code, out, err = spoke("join", url)
    assert (code in (ExitCode.USAGE, ExitCode.UNAVAILABLE), out, err.count("\n")) == (True, "", 1)
    assert not node.exists()


def test_an_unknown_command_names_the_nearest(spoke: Spoke) -> None:
    code, _, err = spoke("sesion")
    assert code == ExitCode.USAGE
    assert "session" in err


def test_an_unknown_session(spoke: Spoke) -> None:
    check_refused(spoke("session", "show", "zz"), ExitCode.USAGE, "spoke session list")


def test_a_defect_is_one_line_with_a_way_to_report_it(spoke: Spoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("impossible")

    monkeypatch.setattr("app.cli.status.read_overview", broken)
    check_refused(spoke("status"), ExitCode.BUG, "with -v")


def test_a_reader_that_leaves_is_no_error(spoke: Spoke) -> None:
    spoke("call", "system.info")
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -m app tail --json --from 0 | head -c 1",
        shell=True,
        check=False,
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")


# -- help ------------------------------------------------------------------------------------------------------------


def place_a_call(folder: Path) -> None:
    """A hub that has seen a spoke and has asked it for something."""
    from sync.durable import caller

    folder.mkdir(parents=True)
    db = open_tenant_database(folder / "tenant-local.db")
    with db.transaction() as tx:
        tx.execute("INSERT INTO link_spokes VALUES ('n1', 'workshop-pc', 'test', 'a', 0, 1, 1, 1)")
        call_id = "7c01d2e4-0000-4000-8000-000000000000"
        caller.request(tx, "n1", "system.info", {}, call_id=call_id, now_ms=1, present=False)
    db.close()


def all_commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli)
    for name in _COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            for sub, below in command.commands.items():
                yield f"{name} {sub}", below
                if isinstance(below, click.Group):
                    yield from ((f"{name} {sub} {leaf}", command) for leaf, command in below.commands.items())


COMMANDS = dict(all_commands())


def examples(command: click.Command) -> list[str]:
    block = re.search(r"\bExamples?:\n((?: +\S.*\n?)+)", (command.help or "").replace("\b", ""))
    return [re.split(r" {2,}", line.strip())[0] for line in block[1].splitlines()] if block else []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_in_80_columns(name: str, spoke: Spoke) -> None:
    code, out, _ = spoke(*name.split(), "--help")
    assert code == 0
    assert examples(COMMANDS[name]), "an example"
    assert max(map(len, out.splitlines())) <= 80


BLOCKS = ("run", "hub run", "hub", "tui", "demo", "selftest")
"""Run until they are stopped, or need minutes: tests/e2e runs them."""


@contextmanager
def prepared(
    name: str,
    lines: list[str],
    spoke: Spoke,
    node: Path,
    tmp_path: Path,
    trajectories: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[list[str], Path, dict[str, str]]]:
    """The examples of a command as they can be run, the folder that holds what they speak of, and the environment."""
    work = tmp_path / "work"
    (work / "runs").mkdir(parents=True)
    for file in trajectories[:2]:
        (work / "runs" / file.name).write_bytes(file.read_bytes())
    (work / "transcripts").mkdir()
    (work / "transcripts" / "x.jsonl").write_bytes(CLAUDE)
    opencode(work / "opencode.db")
    (work / "key.txt").write_text("alk_x")
    (work / "Makefile").write_text("all build test:\n\t@true\n")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "spoke").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m app "$@"\n')
    (bin_folder / "spoke").chmod(0o755)
    environment = dict(
        os.environ,
        PATH=f"{bin_folder}:{os.environ['PATH']}",
        PYTHONPATH=str(Path(__file__).parents[3]),
        SPOKE_FS__ROOTS=json.dumps([str(tmp_path), str(Path.home())]),
    )
    spoke("record", "--", "true")
    if name == "key revoke":
        spoke("key", "create", "dashboard", "--scope", "system:read")
    if name == "hub revoke":
        enrolled(node)
    if name.startswith("hub call"):
        place_a_call(node / "hub")
    session = json.loads(spoke("session", "start", "x", "--json")[1])["sessionId"]
    if name == "session watch":
        spoke("session", "end", session)
    script = "\n".join(lines).replace("3f2a", session[:8]).replace(" --follow", " --follow --count 1")
    with ExitStack() as stack:
        if name == "sync now":
            url, key = stack.enter_context(serving(tmp_path / "the-hub"))
            (work / "hub-key.txt").write_text(key)
            assert spoke("join", url, "--key-file", str(work / "hub-key.txt"))[0] == 0
        if name == "join":
            url, db, own = stack.enter_context(joinable(tmp_path / "the-hub"))
            (work / "token.txt").write_text(token(db, own.pin).text)
            script = script.replace("wss://hub.example --token-file", f"{url} --token-file")
        monkeypatch.chdir(work)
        for variable in ("PATH", "PYTHONPATH", "SPOKE_FS__ROOTS"):
            monkeypatch.setenv(variable, environment[variable])
        yield script.splitlines(), work, environment


def run_in_shell(lines: list[str], work: Path, environment: dict[str, str]) -> str:
    script = "\n".join(lines)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=work,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{script}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in BLOCKS])
def test_the_examples_in_the_help_work(
    name: str,
    spoke: Spoke,
    node: Path,
    tmp_path: Path,
    trajectories: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is run as it stands there: in a shell where it needs one."""
    made = prepared(name, examples(COMMANDS[name]), spoke, node, tmp_path, trajectories, monkeypatch)
    with made as (lines, work, environment):
        if run_here(lines, spoke) is None:
            run_in_shell(lines, work, environment)


def with_json(name: str) -> list[str]:
    """The examples of a command until the last of its own, and that as `… --json`."""
    lines = "\n".join(examples(COMMANDS[name])).replace("\\\n", " ").splitlines()
    own = max(at for at, line in enumerate(lines) if f"spoke {name}" in line)
    last = re.sub(r" > \S+$| --csv\b", "", re.sub(rf".*\$\((spoke {name}.*)\)$", r"\1", lines[own]))
    return [*lines[:own], last + ("" if "--json" in last else " --json")]


def run_here(lines: list[str], spoke: Spoke) -> str | None:
    """What the last of some commands prints, run in this process; None: a shell is needed."""
    text = "\n".join(lines).replace("\\\n", " ")
    if re.search(r"[|&;<>$`*~]", text):
        return None
    words = [shlex.split(line, comments=True) for line in text.split("\n")]
    if any(line[:1] != ["spoke"] for line in words):
        return None
    out = ""
    for line in words:
        code, out, err = spoke(*line[1:])
        assert code == 0, f"{line}\n{err}"
    return out


WITH_JSON = [
    name
    for name, command in COMMANDS.items()
    if name not in (*BLOCKS, "operations call", "rollback")
    and any("--json" in option.opts for option in command.params)
]  # `operations call` is `call`, with its examples; `rollback` needs an installation: test_install.py


@pytest.mark.parametrize("name", WITH_JSON)
def test_stdout_is_json_and_nothing_else(
    name: str,
    spoke: Spoke,
    node: Path,
    tmp_path: Path,
    trajectories: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One document, or one a line; in the form and with the fields that docs/cli-json.md names."""
    form, fields = CONTRACTS[name].form, CONTRACTS[name].fields
    made = prepared(name, with_json(name), spoke, node, tmp_path, trajectories, monkeypatch)
    with made as (lines, work, environment):
        out = run_here(lines, spoke)
        if out is None:
            *before, last = lines
            out = run_in_shell([*(f"{{ {line}; }} > /dev/null" for line in before), last], work, environment)
    documents = [json.loads(line) for line in out.splitlines()]
    if form == "lines":
        assert all(set(fields) <= set(document) for document in documents)
        return
    (document,) = documents
    assert isinstance(document, list if form == "array" else dict)
    for one in document if isinstance(document, list) else [document]:
        assert set(fields) <= set(one)


def test_every_exit_code_is_explained(spoke: Spoke) -> None:
    assert set(EXPLAINED) == set(ExitCode)
    _, out, _ = spoke("--help")
    for code in ExitCode:
        assert re.search(rf"^ +{int(code)} ", out, re.MULTILINE)


FORBIDDEN = ("textual", "pydantic", "websockets", "cryptography", "sqlalchemy", "sqlite3", "asyncio", "ssl")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["status"],
        ["session", "list"],
        ["graph", "list"],
        ["sync", "status"],
        ["paths"],
        ["health", "sync"],
    ],
)
def test_plain_commands_import_nothing_heavy(node: Path, arguments: list[str]) -> None:
    node.mkdir()
    open_tenant_database(node / "tenant-local.db").close()
    code = (
        "import sys; sys.argv = ['spoke', *sys.argv[1:]]\n"
        "from app.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    loaded = set(done.stderr.split())
    assert not loaded & set(FORBIDDEN)


def test_the_hub_lists_its_spokes_and_keys(spoke: Spoke, node: Path) -> None:
    code, out, err = spoke("hub", "key", "create", "edge-1")
    assert (code, out.startswith("alk_"), "cannot be shown again" in err) == (0, True, True)
    assert [row["spoke"] for row in json.loads(spoke("hub", "key", "list", "--json")[1])] == ["edge-1"]
    code, out, err = spoke("hub", "spokes")
    assert (code, out, "no spoke has been here" in err) == (0, "", True)
    db = open_tenant_database(node / "hub" / "tenant-acme.db")
    with db.transaction() as tx:
        tx.execute("INSERT INTO link_spokes VALUES ('n', 'edge-1', 'spoke/0', 'a', 1, 1, 0, 5)")
    db.close()
    (row,) = json.loads(spoke("hub", "spokes", "--json")[1])
    assert (row["tenant"], row["nodeId"], row["name"], row["connected"]) == ("acme", "n", "edge-1", False)
    assert (row["seenMs"], row["events"], row["epoch"], row["streams"]) == (5, 0, None, [])
    assert "edge-1" in spoke("hub", "spokes")[1]
    assert "edge-1" in spoke("hub", "key", "list")[1]
    assert spoke("hub", "key", "create", "Not A Name")[0] == ExitCode.USAGE


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        ("secret get x", ExitCode.USAGE, "spoke secret list"),
        ("secret delete x", ExitCode.USAGE, "spoke secret list"),
        ("queue retry 99", ExitCode.USAGE, "spoke queue dead"),
        ("db salvage nowhere out.db", ExitCode.NO_INPUT, "check the path"),
        ("restore nowhere", ExitCode.NO_INPUT, "check the path"),
        ("restore .", ExitCode.NO_INPUT, "check the path"),
        ("upgrade nowhere --user", ExitCode.NO_INPUT, "check the path"),
        ("call --batch nowhere", ExitCode.NO_INPUT, "check the path"),
        ("session watch", ExitCode.USAGE, "which session? give it, or set SPOKE_SESSION_ID"),
        ("session export --format json", ExitCode.USAGE, "which session? give it, or set SPOKE_SESSION_ID"),
        ("join https://hub --token-file nowhere", ExitCode.USAGE, "wss://"),
        ("join wss://localhost --token-file nowhere", ExitCode.NO_INPUT, "nowhere: No such file or directory"),
        ("hub run --host 0.0.0.0 --port 0", ExitCode.USAGE, "spoke hub init"),
    ],
)
def test_what_is_not_there_is_said_with_the_way_to_what_is(
    spoke: Spoke, arguments: str, code: ExitCode, hint: str
) -> None:
    got, _, err = spoke(*arguments.split())
    assert (got, hint in err) == (code, True), err
    assert "Errno" not in err
