"""Progress: rewritten on a terminal, a line now and then elsewhere, silent when asked to be."""

from __future__ import annotations

import io
import sys

import click
import pytest

from app.cli.context import Progress
from app.cli.options import with_shared_options


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What 60 reports, one a second and each of one thing of a hundred, write."""
    monkeypatch.setattr(sys, "stderr", stderr)
    at = 0.0

    @click.command()
    def work() -> None:
        nonlocal at
        progress = Progress("things", clock=lambda: at)
        for done in range(1, 61):
            at += 1
            progress(done, 100)
        progress.end()

    with_shared_options(work).main(list(arguments), standalone_mode=False)
    return stderr.getvalue()


def test_on_a_terminal_a_line_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    text = shown(Terminal(), monkeypatch)
    assert text.count("\r") == 61
    assert "\n" not in text
    assert "\x1b[Kthings 25/100 25 %, 1m15s left \r" in text
    assert text.endswith("\r\x1b[K")


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_elsewhere_a_line_every_ten_seconds(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    text = shown(Terminal() if term == "dumb" else io.StringIO(), monkeypatch)
    lines = text.splitlines()
    assert lines[0] == "things 10/100 10 %, 1m30s left"
    assert len(lines) == 6
    assert "\x1b" not in text


def test_not_with_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(Terminal(), monkeypatch, "--quiet") == ""


def test_what_is_done_at_once_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    progress = Progress("things", clock=lambda: 0.0)
    progress(1)
    progress.end()
    assert stderr.getvalue() == ""
