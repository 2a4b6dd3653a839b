"""Looks at the machine and the terminal: every bad state."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.doctor import machine
from app.doctor.files import Mount


@pytest.mark.parametrize(
    ("version", "level"), [("3.51.2", "problem"), ("3.51.3", "ok"), ("3.54.1", "ok"), ("3.6.9", "problem")]
)
def test_sqlite(version: str, level: str) -> None:
    assert machine.sqlite(version).level == level


@pytest.mark.parametrize(
    ("options", "frozen", "level"), [("rw,noexec", True, "warning"), ("rw,noexec", False, "ok"), ("rw", True, "ok")]
)
def test_noexec(options: str, frozen: bool, level: str) -> None:
    mount = Mount("/tmp", "tmpfs", frozenset(options.split(",")))
    assert machine.temporary(Path("/tmp"), mount, frozen=frozen).level == level
    assert machine.temporary(Path("/tmp"), None, frozen=frozen).level == "ok"


@pytest.mark.parametrize(("name", "level"), [("UTF-8", "ok"), ("utf8", "ok"), ("ANSI_X3.4-1968", "warning")])
def test_the_locale(name: str, level: str) -> None:
    found = machine.encoding(name, {"LANG": "C"})
    assert (found.level, "LANG" in found.fix) == (level, level == "warning")


@pytest.mark.parametrize(
    ("environment", "level", "word"),
    [
        ({}, "warning", "not set"),
        ({"TERM": "dumb"}, "warning", "dumb"),
        ({"TERM": "xterm"}, "ok", "16 colours"),
        ({"TERM": "xterm-256color"}, "ok", "256 colours"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "ok", "million"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "ok", "NO_COLOR"),
    ],
)
def test_the_terminal(environment: dict[str, str], level: str, word: str) -> None:
    found = machine.terminal(environment, is_terminal=True)
    assert (found.level, word in found.what) == (level, True)
    assert machine.terminal(environment, is_terminal=False).level == "ok"


@pytest.mark.parametrize(
    ("soft", "hub", "level"),
    [(256, False, "warning"), (1_024, False, "ok"), (1_024, True, "warning"), (-1, True, "ok")],
)
def test_open_files(soft: int, hub: bool, level: str) -> None:
    assert machine.open_files(soft, hub=hub).level == level


def test_inotify() -> None:
    assert machine.inotify("8192\n", "128\n").level == "ok"
    assert machine.inotify("", "").level == "ok"
    found = machine.inotify("100\n", "128\n")
    assert (found.level, found.fix) == ("warning", "sysctl fs.inotify.max_user_watches=8192")


def test_linger(tmp_path: Path) -> None:
    unit, marker = tmp_path / "spoke.service", tmp_path / "ada"
    assert machine.linger(unit, marker, "ada") is None
    unit.touch()
    found = machine.linger(unit, marker, "ada")
    assert found is not None
    assert (found.level, found.fix) == ("warning", "loginctl enable-linger ada")
    marker.touch()
    found = machine.linger(unit, marker, "ada")
    assert found is not None
    assert found.level == "ok"
