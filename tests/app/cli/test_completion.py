"""Completion as shells use it; the answers come in time or not at all, and nothing raises."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from app.cli import cli, completion
from app.cli.completion import SHELLS, known
from app.cli.run_cli import run
from storage.tenants import open_tenant_database
from tests.app.cli.test_cli import Spoke, node, spoke  # noqa: F401

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which `spoke` is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "spoke").write_text(
        f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -m app "$@"\n'
    )
    (folder / "spoke").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def answers(path: str, *words: str) -> list[str]:
    """What bash offers for the last of the words."""
    script = (
        'eval "$(spoke completion bash)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        '_spoke_completion spoke; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *words],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash(spoke: Spoke, node: Path, path: str) -> None:  # noqa: F811
    assert answers(path, "spoke", "session", "show", "") == []
    assert not node.exists()
    spoke("record", "--title", "a b'c", "--", "true")
    session = spoke("session", "start", "x")[1].strip()
    assert answers(path, "spoke", "sess") == ["session"]
    assert "selftest" not in answers(path, "spoke", "")
    assert set(answers(path, "spoke", "session", "")) >= {"start", "end", "list", "show"}
    assert "--json" in answers(path, "spoke", "session", "list", "--j")
    assert answers(path, "spoke", "session", "show", session[:6]) == [session]
    assert len(answers(path, "spoke", "session", "show", "")) == 2
    assert answers(path, "spoke", "call", "--session", session[:6]) == [session]
    assert answers(path, "spoke", "tail", "") == ["call-protocol", "session-events"]
    assert answers(path, "spoke", "tail", "s") == ["session-events"]
    assert answers(path, "spoke", "--color", "a") == ["auto", "always"]
    assert answers(path, "spoke", "--nonsense", "x") == []
    assert answers(path, "spoke", "--data-dir", str(node.parent / "other"), "tail", "") == []


def test_operations_are_those_that_the_node_said_it_has(spoke: Spoke, node: Path) -> None:  # noqa: F811
    spoke("status")
    file = node / "tenant-local.db"
    assert known(file, "operation", "") == []
    db = open_tenant_database(file)
    said = [{"operationId": "fs.list", "description": "List\x1b"}, {"operationId": "fs.read"}, {"operationId": "x"}]
    db.stream("node").publish({"type": "node.operations", "operations": []})
    db.stream("node").publish({"type": "node.operations", "operations": said})
    db.close()
    assert [(item.value, item.help) for item in known(file, "operation", "fs.")] == [
        ("fs.list", "List␛"),
        ("fs.read", None),
    ]


def test_names_that_a_shell_would_obey_are_not_offered(spoke: Spoke, node: Path) -> None:  # noqa: F811
    spoke("status")
    db = open_tenant_database(node / "tenant-local.db")
    for topic in ("good>x", "$(reboot)", "a b", "a\nb", "`x`", "fine:1", "x*"):
        db.stream(topic).publish({})
    db.close()
    assert [item.value for item in known(node / "tenant-local.db", "stream", "")] == ["fine:1"]


def test_what_cannot_be_answered_is_nothing(
    spoke: Spoke,  # noqa: F811
    node: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    file = node / "tenant-local.db"
    spoke("record", "--", "true")
    assert known(file, "session", "")
    monkeypatch.setattr(completion, "BUDGET_S", 0)
    assert isinstance(known(file, "session", ""), list)
    monkeypatch.setattr(completion, "BUDGET_S", 60)
    node.joinpath("tenant-local.db-wal").unlink(missing_ok=True)
    file.write_bytes(b"not a database" * 1_000)
    assert known(file, "session", "") == []
    monkeypatch.setenv("COMP_WORDS", "spoke session show ")
    for asked in ("bash_complete", "tcsh_complete", "bash_nothing", ""):
        monkeypatch.setenv("_SPOKE_COMPLETE", asked)
        monkeypatch.setenv("COMP_CWORD", "3")
        assert run([]) in (0, 1)
    monkeypatch.setenv("_SPOKE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_CWORD", "no number")
    assert run([]) == 1
    assert capfd.readouterr() == ("\n", "")


def test_completing_imports_no_command(node: Path, path: str) -> None:  # noqa: F811
    code = "import sys; from app.main import main\ntry:\n    main()\nexcept SystemExit: pass\n"
    code += "print(*sys.modules, file=sys.stderr)"
    environment = {**os.environ, "_SPOKE_COMPLETE": "bash_complete", "COMP_WORDS": "spoke ", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert "plain,session" in done.stdout
    loaded = set(done.stderr.split())
    assert not loaded & {"apsw", "pydantic", "asyncio", "storage", "app.cli.session"}


def test_a_person_presses_tab(spoke: Spoke, path: str) -> None:  # noqa: F811
    session = spoke("session", "start", "x")[1].strip()
    bash = pexpect.spawn(
        "bash", ["--norc", "--noprofile"], env={**os.environ, "PATH": path, "PS1": "$ ", "TERM": "dumb"}, timeout=60
    )
    bash.sendline('bind "set enable-bracketed-paste off"; eval "$(spoke completion bash)"; echo re""ady')
    bash.expect_exact("ready")
    bash.send(f"spoke sessio\t show {session[:4]}\t")
    bash.expect_exact(session[4:])
    bash.close(force=True)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_one_that_the_shell_understands(shell: str, spoke: Spoke, tmp_path: Path) -> None:  # noqa: F811
    code, out, err = spoke("completion", shell)
    assert (code, err) == (0, "")
    assert "_SPOKE_COMPLETE=" in out
    assert cli.name
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(out)
    subprocess.run([shell, "-n", script], check=True)
