"""The terminal UI as a process on a pty: resized all the time, without UTF-8 or colour, left alone by its terminal,
on a full disk, over a database that goes away.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import resource
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from storage.tenants import open_tenant_database

LIMIT_S = 60
COMMAND = (sys.executable, "-m", "app", "tui")
SIZES = [(20, 5), (250, 80), (80, 24), (59, 14), (60, 15), (119, 3), (5, 50), (120, 40)]


class Tui:
    """`spoke tui` on a pty of 80x24, or another command there."""

    def __init__(
        self,
        folder: Path,
        *,
        control: bool = False,
        before: Callable[[], None] | None = None,
        command: Sequence[str] = COMMAND,
        **more: str,
    ):
        self.data = folder / "data"
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("SPOKE_", "LC_"))}
        for name in ("NO_COLOR", "PYTHONUTF8", "COLORTERM", "SSH_TTY"):
            variables.pop(name, None)
        variables |= {"SPOKE_DATA_DIR": str(self.data), "SPOKE_CONFIG": str(folder / "spoke.toml")}
        variables |= {"TERM": "xterm-256color", "LANG": "C.UTF-8"} | more
        self.master, slave = pty.openpty()
        self.resize(80, 24)

        def prepare() -> None:
            if control:
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            if before is not None:
                before()

        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=variables,
            start_new_session=True,
            preexec_fn=prepare,
        )
        os.close(slave)
        self.seen = b""

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read(self) -> None:
        """What is written now, waiting a moment for it."""
        while select.select([self.master], [], [], 0.02)[0]:
            try:
                self.seen += os.read(self.master, 65_536)
            except OSError:
                return  # it has ended

    def wait(self, *words: str) -> None:
        limit = time.monotonic() + LIMIT_S
        while not all(word.encode() in self.seen for word in words):
            assert time.monotonic() < limit, self.seen[-3000:].decode("utf-8", "replace")
            assert self.process.poll() is None, self.seen[-3000:].decode("utf-8", "replace")
            self.read()

    def keys(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def ended(self) -> int:
        """Its exit code; while it ends, what it writes is read."""
        limit = time.monotonic() + LIMIT_S
        while self.process.poll() is None:
            assert time.monotonic() < limit, "it does not end"
            self.read() if self.master >= 0 else time.sleep(0.02)
        self.read() if self.master >= 0 else None
        return int(self.process.returncode)

    def close(self) -> None:
        """The terminal is gone."""
        os.close(self.master)
        self.master = -1


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Tui]]:
    made: list[Tui] = []

    def start(**more: object) -> Tui:
        made.append(Tui(tmp_path, **more))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()
        if one.master >= 0:
            one.close()


def test_a_terminal_that_is_resized_all_the_time(start: Callable[..., Tui]) -> None:
    tui = start()
    tui.wait("overview", "quit")
    for number in range(200):
        tui.resize(*SIZES[number % len(SIZES)])
        if number % 10 == 0:
            tui.keys(str(number // 10 % 10))
            tui.read()
    tui.resize(80, 24)
    tui.keys("2")
    tui.read()
    tui.seen = b""
    tui.keys("\x0c")  # paint everything anew
    tui.wait("No sessions yet", "quit")
    tui.keys("q")
    assert tui.ended() == 0


@pytest.mark.parametrize("control", [False, True], ids=["end of input", "hang-up"])
def test_a_terminal_that_is_gone_ends_it(start: Callable[..., Tui], control: bool) -> None:
    """With SIGHUP, as from a terminal emulator that is closed, and without; the database is closed in order."""
    tui = start(control=control)
    tui.wait("overview", "quit")
    tui.close()
    assert tui.ended() == 0
    assert not (tui.data / "spoke.sock").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_gives_the_terminal_back(start: Callable[..., Tui], number: signal.Signals) -> None:
    tui = start()
    tui.wait("overview", "quit")
    tui.process.send_signal(number)
    assert tui.ended() == 0
    assert b"\x1b[?1049l" in tui.seen
    assert b"Traceback" not in tui.seen


def everywhere(tui: Tui) -> None:
    """Once to every place and to the help."""
    tui.wait("overview", "quit")
    for key in "234567890?":
        tui.keys(key)
        tui.read()
    tui.keys("\x1b")
    tui.read()


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_no_colour_is_sent(start: Callable[..., Tui], variables: dict[str, str]) -> None:
    tui = start(**variables)
    everywhere(tui)
    tui.process.terminate()
    assert tui.ended() == 0
    assert coloured(tui.seen) == set()


@pytest.mark.parametrize("variables", [{"TERM": "xterm-16color"}, {"TERM": "xterm"}], ids=["16color", "xterm"])
def test_a_terminal_of_16_colours_is_sent_no_others(start: Callable[..., Tui], variables: dict[str, str]) -> None:
    """On every place, in the help and the palette."""
    tui = start(**variables)
    everywhere(tui)
    tui.keys(":")
    tui.wait("what to do")
    tui.keys("theme ")
    tui.wait("atom-one-dark")
    tui.process.terminate()
    assert tui.ended() == 0
    assert coloured(tui.seen) <= SIXTEEN
    assert b";39;49m" in tui.seen  # the terminal's own two colours: what the ansi themes are for


MOUSE = (1000, 1003, 1006)
"""Modes in which a terminal tells of the mouse instead of selecting text with it."""
SIXTEEN = {*range(30, 38), *range(40, 48), *range(90, 98), *range(100, 108)}


def coloured(seen: bytes) -> set[int]:
    """The codes of colours in what was sent, those of the terminal's own two (39, 49) left out."""
    codes = {int(code) for sequence in re.findall(rb"\x1b\[([0-9;]*)m", seen) for code in sequence.split(b";") if code}
    return {code for code in codes if (30 <= code <= 49 or 90 <= code <= 107) and code not in (39, 49)}


def test_ctrl_z_goes_back_to_the_shell_and_fg_paints_everything(start: Callable[..., Tui]) -> None:
    shell = start(command=("bash", "--norc", "--noprofile", "-i"), control=True, PS1="ready> ")
    shell.wait("ready> ")
    shell.keys(shlex.join(COMMAND) + "\n")
    shell.wait("overview", "quit", *(f"\x1b[?{mode}h" for mode in MOUSE))
    shell.seen = b""
    shell.keys("\x1a")
    shell.wait("Stopped", "ready> ")
    given_back, _, _ = shell.seen.partition(b"Stopped")
    for sequence in ("\x1b[?1049l", "\x1b[?25h", "\x1b[?1000l", "\x1b[?2004l"):  # screen, cursor, mouse, pasting
        assert sequence.encode() in given_back
    shell.keys("echo it is $((40 + 2))\n")
    shell.wait("it is 42")
    shell.seen = b""
    shell.keys("fg\n")
    shell.wait("\x1b[?1049h", "overview", "[1 Overview]", "No sessions yet", "quit")
    shell.keys("2")
    shell.wait("[2 Sessions]")
    shell.keys("q")
    shell.wait("ready> ")
    shell.keys("exit $?\n")
    assert shell.ended() == 0


def test_without_the_mouse_the_terminal_keeps_it_and_ctrl_z_needs_a_shell(start: Callable[..., Tui]) -> None:
    tui = start(control=True, SPOKE_UI__MOUSE="false")
    tui.wait("overview", "quit")
    assert not any(f"\x1b[?{mode}h".encode() in tui.seen for mode in MOUSE)
    tui.keys("\x1a")
    tui.wait("no shell waits here")
    tui.keys("q")
    assert tui.ended() == 0


@pytest.mark.parametrize("locale", ["C", "POSIX", "de_DE.ISO-8859-1"])
def test_a_locale_without_utf_8(start: Callable[..., Tui], locale: str) -> None:
    """Python makes UTF-8 of C and POSIX unless it is told not to (PEP 540); either way nothing breaks."""
    tui = start(LANG=locale, LC_ALL=locale, PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    tui.wait("overview", "quit")
    tui.keys("q")
    assert tui.ended() == 0
    assert tui.seen.isascii()


def test_without_a_terminal_it_says_what_to_use_instead(tmp_path: Path) -> None:
    done = subprocess.run(
        COMMAND,
        env={**os.environ, "SPOKE_DATA_DIR": str(tmp_path / "data")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "spoke status" in done.stderr


# -- the database ------------------------------------------------------------------------------------------------------


def events(file: Path) -> int:
    db = open_tenant_database(file)
    try:
        return int(db.query("SELECT count(*) AS n FROM _honker_stream")[0]["n"])
    finally:
        db.close()


@pytest.mark.parametrize("fate", ["removed", "replaced", "corrupt"])
def test_a_database_that_goes_away_is_told_and_no_crash(start: Callable[..., Tui], fate: str) -> None:
    tui = start()
    tui.wait("overview", "quit")
    file = tui.data / "tenant-local.db"
    if fate == "removed":
        file.unlink()
    elif fate == "replaced":
        other = tui.data / "other.db"
        open_tenant_database(other).close()
        other.rename(file)
    else:
        with file.open("r+b") as broken:
            broken.seek(0)
            broken.write(os.urandom(100_000))
    tui.keys("2")
    if fate != "corrupt":  # that is said when a page is read that is not in memory
        tui.wait("cannot be shown", "replaced or removed")
    tui.keys("4")
    tui.read()
    assert tui.process.poll() is None or tui.process.returncode != 70, tui.seen[-2000:]
    tui.keys("q")
    tui.ended()
    assert b"Traceback" not in tui.seen


def test_a_full_disk_loses_nothing_and_the_screen_goes_on(start: Callable[..., Tui], tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands for it: no file may grow beyond 3 MB. What was committed is there afterwards."""
    file = tmp_path / "data" / "tenant-local.db"
    file.parent.mkdir()
    db = open_tenant_database(file)
    for number in range(20):
        db.stream("call-protocol").publish({"type": "x", "n": number, "text": "x" * 50_000})
    db.close()
    before = events(file)

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 20_000, resource.RLIM_INFINITY))

    tui = start(before=limit)
    tui.wait("overview", "quit")
    for key in "2456789013":
        tui.keys(key)
        tui.read()
    tui.keys("\x0c4")
    tui.wait("call-protocol")
    tui.keys("q")
    assert tui.ended() in (0, 74)
    assert b"Traceback" not in tui.seen
    assert events(file) >= before
