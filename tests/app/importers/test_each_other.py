"""Every importer fed with the files of the others, and with files that change while they are read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from app.importers import claude_code, opencode, swe_agent
from app.importers.imported import QUIET_MS, Imported, ImportFailedError, store
from app.services.projector import catch_up
from storage.engine import Database
from tests.app.importers.logs import AT_MS, CLAUDE, claude_line, result, use
from tests.app.importers.logs import opencode as make_opencode

LATER_MS = AT_MS + 2 * QUIET_MS
TRAJECTORY = (
    b'{"trajectory": [{"action": "ls", "observation": "a"}], "history": [], "info": {"exit_status": "submitted"}}'
)

READERS: dict[str, Callable[[Path], Iterable[Imported]]] = {
    "claude-code": lambda path: claude_code.read(path.read_bytes(), path.stem, LATER_MS),
    "opencode": lambda path: opencode.read(path, LATER_MS),
    "swe-agent": lambda path: [swe_agent.read(path.read_bytes(), path.stem)],
}


def make(kind: str, path: Path) -> None:
    match kind:
        case "claude-code":
            path.write_bytes(CLAUDE)
        case "swe-agent":
            path.write_bytes(TRAJECTORY)
        case "opencode":
            make_opencode(path).db.close()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", READERS)
def test_only_its_own_files_are_read(tenant: Database, tmp_path: Path, reader: str, kind: str) -> None:
    make(kind, tmp_path / "log")
    before = (tmp_path / "log").read_bytes()
    if reader == kind:
        assert sum(store(tenant, imported, at=0) for imported in READERS[reader](tmp_path / "log"))
    else:
        with pytest.raises(ImportFailedError) as refused:
            [store(tenant, imported, at=0) for imported in READERS[reader](tmp_path / "log")]
        assert refused.value.hint
        assert tenant.query("SELECT * FROM _honker_stream") == tenant.query("SELECT * FROM imports") == []
    assert (tmp_path / "log").read_bytes() == before


WRITER = """
import sys
text, path = open(sys.argv[1], 'rb').read(), sys.argv[2]
with open(path, 'ab', buffering=0) as file:
    for number, at in enumerate(range(0, len(text), 333)):
        if number % 100 == 50:
            print("half", flush=True)
        if number % 100 == 99:
            sys.stdin.readline()
        file.write(text[at:at + 333])
"""
"""Says when it is in the middle of some pieces, writes on, and waits before the next ones."""


def test_a_transcript_that_is_written_while_it_is_read(tenant: Database, tmp_path: Path) -> None:
    """In pieces that end anywhere: nothing is refused, nothing comes twice, nothing is missing."""
    lines = [claude_line("user", "u", None, 0, "Count")]
    for number in range(300):
        lines.append(claude_line("assistant", f"a{number}", "u", 1, use(f"t{number}", "Bash", n=number)))
        lines.append(claude_line("user", f"r{number}", "u", 2, result(f"t{number}", "ok")))
    whole, path = tmp_path / "whole", tmp_path / "log.jsonl"
    path.write_bytes(lines[0])
    whole.write_bytes(b"".join(lines[1:]))
    imports, total = 0, 0
    command = [sys.executable, "-c", WRITER, str(whole), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        while writer.stdout.readline():
            total += sum(store(tenant, i, at=0) for i in claude_code.read(path.read_bytes(), "log", AT_MS))
            imports += 1
            with suppress(BrokenPipeError):  # it has written everything meanwhile
                writer.stdin.write(b"\n")
                writer.stdin.flush()
    total += sum(store(tenant, i, at=0) for i in claude_code.read(path.read_bytes(), "log", LATER_MS))
    assert imports > 1
    assert total == len(lines) + 1 + 600 + 3
    catch_up(tenant)
    assert tenant.query("SELECT count(*) AS n FROM messages") == [{"n": 601}]
    statuses = tenant.query("SELECT attributes ->> '$.status' AS s, count(*) AS n FROM nodes GROUP BY s")
    assert statuses == [{"s": "completed", "n": 301}]


def test_a_transcript_that_is_cut_and_written_anew_takes_nothing_back(tenant: Database) -> None:
    def take(data: bytes) -> int:
        return sum(store(tenant, i, at=0) for i in claude_code.read(data, "log", AT_MS))

    assert take(CLAUDE)
    assert take(CLAUDE[: CLAUDE.index(b"\n", 700) + 1]) == 0
    assert take(CLAUDE) == 0
    assert take(claude_line("user", "new", None, 30, "Anew")) == 1
