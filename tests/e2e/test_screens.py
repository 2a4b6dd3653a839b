"""The built executable's screens at 80x24: every place by key and by name, a filter, a form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.tui.places import PLACES
from tests.e2e.binary import spoke
from tests.e2e.terminal import Terminal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
NODE_PLACES = [one for one in PLACES if not one.hub]


@pytest.fixture
def terminal(tmp_path: Path, environment: dict[str, str]) -> Iterator[Terminal]:
    spoke(environment, "record", "--title", "my work", "--", "true")
    made = Terminal(tmp_path, environment)
    made.wait_for("overview", "my work", "q quit")
    yield made
    made.end()


def test_every_place_by_key_and_palette(terminal: Terminal) -> None:
    for one in reversed(NODE_PLACES):
        assert one.key is not None
        terminal.keys(one.key)
        shown = terminal.wait_for(f"[{one.key} {one.title}]", "quit")
        assert max(map(len, shown.splitlines())) <= 80
    for one in NODE_PLACES:
        terminal.keys(":")
        terminal.wait_for("what to do")
        terminal.keys(one.name, "Enter")
        terminal.wait_for(f"[{one.key} {one.title}]")
    terminal.keys("q")
    terminal.wait_for("left with 0")


def test_a_filter_and_a_form(terminal: Terminal) -> None:
    terminal.keys("7")
    terminal.wait_for("operations ", "acl.check")
    terminal.keys("/")
    terminal.keys("system.info")
    terminal.wait_for("operations 1 of", "/ system.info")
    terminal.keys("Enter")
    terminal.keys("Enter")
    terminal.wait_for("operation system.info", "output")
    terminal.keys("c")
    terminal.wait_for("sqliteVersion", "hostname", "done in")
    terminal.keys("Escape")
    terminal.wait_for("operation system.info", "output")
    terminal.keys("q")
    terminal.wait_for("left with 0")
