"""Hostile payloads through every command that shows any: on a terminal nothing obeys them, in a pipe they are data."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from storage.tenants import open_tenant_database
from tests import hostile
from tests.app.cli.test_cli import Spoke, node, spoke  # noqa: F401
from tests.app.cli.test_contract import on_a_terminal

OURS = re.compile(r"\x1b\[[0-9;]*[mK]|\x1b\[\d+A|\r\n|\r|\n")
"""What commands themselves send: colours, a line that is written again, ends of lines."""
COMMANDS = (
    ("status",),
    ("session", "list"),
    ("session", "show", hostile.SESSION),
    ("session", "show", hostile.SESSION, "--messages"),
    ("session", "export", hostile.SESSION, "--format", "mermaid"),
    ("graph", "list"),
    ("graph", "show", "9" + hostile.EVIL),
    ("graph", "node", "9" + hostile.EVIL, "n1" + hostile.EVIL),
    ("graph", "export", "9" + hostile.EVIL, "--format", "dot"),
    ("stream", "list"),
    ("stream", "show", hostile.EVIL),
    ("stream", "gaps"),
    ("tail", "call-protocol", "--from", "0"),
    ("tail", hostile.EVIL, "--from", "0"),
    ("tail", "blob", "--from", "0"),
    ("queue", "list"),
    ("queue", "jobs", hostile.EVIL),
    ("queue", "dead", hostile.EVIL),
    ("queue", "show", "1000"),
    ("queue", "show", "1002"),
    ("schedule", "list"),
    ("lock", "list"),
    ("secret", "list"),
    ("sync", "status"),
    ("sync", "rejected"),
    ("find", "evil"),
    ("sql", "select * from nodes where graph_id <> 'secrets'"),
    ("sql", "select topic, payload from _honker_stream"),
    ("operations", "search", "evil"),
    ("session", "show", hostile.EVIL),
    ("call", hostile.EVIL.replace("\x00", "")),
)


@pytest.fixture
def filled(node: Path) -> Path:  # noqa: F811
    node.mkdir()
    db = open_tenant_database(node / "tenant-local.db")
    hostile.fill(db, node / "spoke.key", big=False)
    db.close()
    return node


@pytest.mark.timeout(300)
def test_no_command_sends_a_payload_s_commands_to_a_terminal(filled: Path, spoke: Spoke) -> None:  # noqa: F811
    wrong = {}
    for arguments in COMMANDS:
        for more in ((), ("--json",)) if arguments[0] in ("status", "queue", "graph", "secret") else ((),):
            shown = OURS.sub("", on_a_terminal((*arguments, *more)))
            if hostile.hidden(shown) or "internal error" in shown or "Traceback" in shown:
                wrong[arguments, more] = [line for line in shown.splitlines() if hostile.hidden(line)] or shown
    assert wrong == {}, "\n".join(f"{k[0][:2]}{k[1]}: {v!r:.260}" for k, v in wrong.items())


def test_in_a_pipe_json_is_the_data_unchanged(filled: Path, spoke: Spoke) -> None:  # noqa: F811
    _, out, _ = spoke("session", "list", "--json")
    assert hostile.EVIL in {row["title"] for row in json.loads(out)}
    _, out, _ = spoke("queue", "list", "--json")
    assert hostile.EVIL in {row["name"] for row in json.loads(out)}


@pytest.mark.parametrize(
    "command", [("session", "list"), ("tail", "call-protocol", "--from", "0"), ("sql", "select 'ü'")]
)
def test_a_pipe_without_utf_8(filled: Path, command: tuple[str, ...]) -> None:
    variables = {**os.environ, "LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-m", "app", *command], env=variables, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    assert b"internal error" not in done.stderr
    assert done.returncode == (2 if command[0] == "sql" else 0), done.stderr
