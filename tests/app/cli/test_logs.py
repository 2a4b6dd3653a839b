"""`spoke logs`: from when on, and lines as they come."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from app.cli import logs
from app.cli.run_cli import run

BEGUN = "2026-11-24 08:00:00,250 INFO spoke.hub: begun\n"
BROKEN = "2026-11-24 08:00:02,250 ERROR spoke.supervisor: it broke\nTraceback:\n  boom\n"


def test_from_when_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "spoke.log"
    file.write_text(BEGUN + BROKEN)
    shown = []
    for since in ("2026-11-24", "2026-11-24 08:00:01", "2026-11-24T08:00:03"):
        assert run(["logs", "--file", str(file), "--since", since]) == 0
        shown.append(capfd.readouterr().out.count("spoke."))
    assert shown == [2, 1, 0]
    assert run(["logs", "--file", str(file), "--count", "1"]) == 0
    assert capfd.readouterr().out.endswith("it broke\n  Traceback:\n    boom\n")
    assert run(["logs", "--file", str(file), "--since", "yesterday"]) == 2


def test_lines_are_whole_and_none_is_lost_when_the_file_is_rotated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written between reading and following, in two halves, just before a rotation, and after one."""
    file = tmp_path / "spoke.log"
    file.write_text("a\n")
    with file.open() as log, file.open("a", buffering=1) as writer:
        assert log.read() == "a\n"
        writer.write("b\nc1")
        writer.flush()

        def rotate() -> None:
            writer.write("d\n")
            file.rename(tmp_path / "spoke.log.1")
            file.write_text("e\n")

        writes: list[Callable[[], object]] = [lambda: writer.write("c2\n"), rotate, lambda: file.write_text("")]
        writes.append(lambda: file.write_text("f\n"))
        monkeypatch.setattr("app.cli.logs.time.sleep", lambda _: writes.pop(0)())
        lines = logs._new_lines(file, log)
        found = list(islice(lines, 5))
        lines.close()
        assert [line.rstrip() for line in found] == ["b", "c1c2", "d", "e", "f"]
