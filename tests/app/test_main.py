"""The program as a process: without standard streams, with a full disk behind them, interrupted while it starts."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.cli.exit_codes import ExitCode
from app.cli.run_cli import run
from app.services.command import OUTPUT_LOST


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SPOKE_DATA_DIR": str(tmp_path / "data"),
        "SPOKE_CONFIG": str(tmp_path / "spoke.toml"),
        "ME": f"{sys.executable} -m app",
    }


def shell(line: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", line], env=environment, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("$ME status >&-", 0, ""),
        ("$ME nope 2>&-", 2, ""),
        ("$ME status --json <&- >&- 2>&-", 0, ""),
        ("$ME secret set x <&-", 65, "the secret is empty"),
        ("$ME record -- echo hi >&-", 0, "recorded in session"),
    ],
)
def test_a_standard_stream_that_is_closed(line: str, code: int, said: str, environment: dict[str, str]) -> None:
    done = shell(line, environment)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "error" not in done.stderr


def test_what_cannot_be_written_is_an_error(environment: dict[str, str]) -> None:
    done = shell("$ME status > /dev/full", environment)
    assert (done.returncode, done.stderr) == (
        74,
        "spoke: No space left on device — free some disk space and try again\n",
    )
    done = shell("$ME record -- echo hi > /dev/full", environment)
    assert done.returncode == OUTPUT_LOST == 74
    assert done.stderr.startswith("spoke: output of echo could not be passed on: No space left on device\n")
    done = shell("$ME record -- yes > /dev/full", environment)
    assert done.returncode == 128 + signal.SIGPIPE, "it goes on writing to nobody"


def test_interrupted_while_it_is_imported(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "click.py").write_text(
        f"import pathlib, time\npathlib.Path({str(tmp_path)!r}, 'here').touch()\ntime.sleep(60)"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", "from app.main import main; main()", "status"],
        env=environment | {"PYTHONPATH": f"{tmp_path}:{Path.cwd()}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 60
        while not (tmp_path / "here").exists() and time.monotonic() < until:
            time.sleep(0.01)
        started.send_signal(signal.SIGINT)
        _, said = started.communicate(timeout=60)
    finally:
        started.kill()
    assert (started.returncode, said) == (130, "interrupted\n")


def test_an_account_without_name_and_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As containers run with `--user 4242`."""

    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    for name in ("HOME", "SPOKE_DATA_DIR", "SPOKE_CONFIG", "XDG_DATA_HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert run(["paths"]) == ExitCode.CONFIG
    assert "set HOME, or SPOKE_DATA_DIR and SPOKE_CONFIG" in capfd.readouterr().err
    monkeypatch.setenv("SPOKE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPOKE_CONFIG", str(tmp_path / "spoke.toml"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["doctor", "--json"]) in (ExitCode.OK, ExitCode.FAILURE)
    out, err = capfd.readouterr()
    assert "internal error" not in err
    assert json.loads(out)["findings"]
