"""The built executable, as a person uses it: in a pseudo terminal, with real processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.e2e.binary import BINARY, LIMIT_S, spoke
from tests.e2e.terminal import Terminal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_version_help_and_selftest(environment: dict[str, str]) -> None:
    assert re.fullmatch(r"spoke \d+\.\d+\.\d+\n", spoke(environment, "--version"))
    assert "Exit codes" in spoke(environment, "--help")
    report = spoke(environment, "selftest")
    assert "✗" not in report
    assert report.count("✓") == 9
    made = json.loads(spoke(environment, "version", "--json"))
    assert re.fullmatch("[0-9a-f]{40}", made["commit"])
    assert {"apsw", "textual", "pydantic"} <= {library["name"] for library in made["libraries"]}
    assert all(re.fullmatch("[0-9a-f]{64}", library["sha256"]) for library in made["libraries"])


def test_what_it_starts_does_not_inherit_its_own_libraries(environment: dict[str, str]) -> None:
    seen = spoke(environment, "record", "--", "env").splitlines()
    assert {
        name
        for name in ("SPOKE_EXECUTABLE=", "LD_LIBRARY_PATH=", "_PYI_")
        if any(each.startswith(name) for each in seen)
    } == set()


@pytest.fixture
def terminal(tmp_path: Path, environment: dict[str, str]) -> Iterator[Terminal]:
    subprocess.run(
        [BINARY, "record", "--title", "my work", "--", "sh", "-c", f"{BINARY} record -- ls /; exit 4"],
        env=environment,
        check=False,
        capture_output=True,
    )
    made = Terminal(tmp_path, environment)
    yield made
    made.end()


def test_a_person_looks_at_a_session(terminal: Terminal) -> None:
    shown = terminal.wait_for("overview", "my work", "UNPAIRED (no hub)", "q quit")
    assert max(map(len, shown.splitlines())) <= 80
    terminal.keys("2")
    terminal.wait_for("sessions 1 ", "[2 Sessions]")
    terminal.keys("Enter")
    shown = terminal.wait_for("command.sh", "command.ls")
    assert re.search(r"^ ?✗ command\.sh", shown, re.MULTILINE)
    assert re.search(r"^ ?✓ └─command\.ls", shown, re.MULTILINE)
    terminal.keys("e", "Enter")
    terminal.wait_for('"EXIT_CODE"', '"exitCode": 4')
    terminal.keys("Escape")
    terminal.wait_for("command.ls")
    terminal.keys("4")
    terminal.wait_for("streams 2", "session-events")
    terminal.keys("Enter")
    terminal.wait_for("call-protocol", "following", "call.error")
    terminal.keys("?")
    terminal.wait_for("keys of stream", "follow")
    terminal.keys("Escape")
    terminal.wait_for("following")
    terminal.keys("q")
    terminal.wait_for("left with 0")


def test_another_process_records_while_a_person_looks(terminal: Terminal, environment: dict[str, str]) -> None:
    terminal.wait_for("my work")
    subprocess.run([BINARY, "session", "start", "brand new"], env=environment, check=True, capture_output=True)
    terminal.wait_for("brand new")


@pytest.mark.parametrize(
    "extra", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"LANG": "C", "LC_ALL": "C"}], ids=["no-color", "dumb", "no-utf8"]
)
def test_it_works_on_poor_terminals(tmp_path: Path, environment: dict[str, str], extra: dict[str, str]) -> None:
    spoke(environment, "call", "system.info")
    settings = " ".join(f"{name}={value}" for name, value in extra.items())
    made = Terminal(tmp_path, environment, command=f"env {settings} {BINARY} tui")
    try:
        made.wait_for("overview", "UNPAIRED (no hub)", "q quit")
        coloured = re.findall(r"\x1b\[[0-9;]*m", made.run("capture-pane", "-p", "-e"))
        if "NO_COLOR" in extra:
            codes = {int(code) for sequence in coloured for code in re.findall(r"\d+", sequence)}
            assert not codes & {*range(31, 37), *range(41, 47), *range(91, 97)}
        made.keys("q")
        made.wait_for("left with 0")
    finally:
        made.end()


def test_too_small_a_terminal_says_so(tmp_path: Path, environment: dict[str, str]) -> None:
    made = Terminal(tmp_path, environment, size="50x12")
    try:
        made.wait_for("terminal too small")
        made.keys("q")
        made.wait_for("left with 0")
    finally:
        made.end()


def test_an_idle_screen_sends_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    """On a pseudo terminal: after the first paint, no byte until something happens."""
    spoke(environment, "call", "system.info")
    child = pexpect.spawn(BINARY, ["tui"], env=environment, dimensions=(24, 80), timeout=LIMIT_S)
    try:
        child.expect("quit")
        quiet_rounds = 0
        for _ in range(100):  # what belongs to the first paint may still come
            try:
                child.read_nonblocking(65_536, timeout=1)
                quiet_rounds = 0
            except pexpect.TIMEOUT:
                quiet_rounds += 1
                if quiet_rounds == 2:
                    break
        assert quiet_rounds == 2
        child.send("q")
        child.expect(pexpect.EOF)
    finally:
        child.close()
    assert child.exitstatus == 0


def test_two_daemons_on_one_directory(environment: dict[str, str]) -> None:
    spoke(environment, "call", "system.info")
    first = subprocess.Popen([BINARY, "run"], env=environment, stderr=subprocess.PIPE, text=True)
    assert first.stderr is not None
    assert "spoke runs on" in first.stderr.readline()
    second = subprocess.run([BINARY, "run"], env=environment, check=False, capture_output=True, text=True)
    assert second.returncode == 75
    assert "in use by process" in second.stderr
    assert json.loads(spoke(environment, "status", "--json"))["daemonPid"]
    first.terminate()
    first.communicate()
    assert first.returncode == 0


def test_a_read_only_directory(environment: dict[str, str]) -> None:
    """As an ordinary user: root may write everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        data.mkdir(mode=0o555)
        shutil.copy(BINARY, f"{folder}/spoke")
        environment |= {"SPOKE_DATA_DIR": str(data), "HOME": folder, "SPOKE_CONFIG": f"{folder}/x.toml"}
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*nobody, f"{folder}/spoke", "call", "system.info"],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, list(data.iterdir())) == (73, []), done.stderr
        assert done.stderr.count("\n") == 1


def test_a_recorded_command_sees_its_own_environment(environment: dict[str, str]) -> None:
    """Not that of the executable: its libraries would break other programs."""
    done = subprocess.run(
        [BINARY, "record", "--", "sh", "-c", "env; true"], env=environment, check=True, capture_output=True, text=True
    )
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert "LD_LIBRARY_PATH" not in seen
    assert not [name for name in seen if name.startswith(("_PYI", "_MEI"))]


def test_the_demo(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [BINARY, "demo", "--calls", "20000"], env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "EVERY EVENT ARRIVED EXACTLY ONCE" in done.stderr
    kills = re.search(r"(\d+) SIGKILLs", done.stderr)  # more than two where one came too late, and was done again
    assert kills is not None, done.stderr
    assert int(kills[1]) >= 2, done.stderr
    assert "command.uname" in done.stdout
