"""What a shell and a program get of the built executable: completion, manual page, spec, SQL, a reader that leaves."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.binary import BINARY, spoke

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_completion(environment: dict[str, str]) -> None:
    session = spoke(environment, "session", "start", "x").strip()
    script = (
        'eval "$(spoke completion bash)"; COMP_WORDS=(spoke session show "$1"); COMP_CWORD=3; _spoke_completion spoke;'
        ' echo "${COMPREPLY[*]}"'
    )
    with_spoke = {**environment, "PATH": f"{Path(BINARY).parent}:{environment['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", session[:4]],
        env=with_spoke,
        check=True,
        capture_output=True,
        text=True,
    )
    assert (done.stdout.strip(), done.stderr) == (session, "")


def test_what_is_made_of_the_command_table(environment: dict[str, str]) -> None:
    assert spoke(environment, "man").startswith(".TH SPOKE 1")
    names = {command["name"] for command in json.loads(spoke(environment, "spec", "--json"))["commands"]}
    assert {"sql", "hub token create", "session show"} <= names


def test_sql_find_and_a_reader_that_has_left(environment: dict[str, str]) -> None:
    spoke(environment, "record", "--title", "needle", "--", "true")
    assert json.loads(spoke(environment, "sql", "select title from sessions", "--json")) == {"title": "needle"}
    assert "needle" in spoke(environment, "find", "needle")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([BINARY, "tail"], env=environment, stdout=writer, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
