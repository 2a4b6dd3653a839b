"""The demonstration where the machine is too busy to kill in time; tests/e2e runs all of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.demo import TRIES, Demo, DemoFailedError
from storage import engine
from storage.engine import Database


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Database]:
    db = engine.open(tmp_path / "local.db")
    yield db
    db.close()


class Busy(Demo):
    """Everything has arrived at each look, until the `lucky`-th kill comes half way."""

    def __init__(self, folder: Path, lucky: int) -> None:
        self.said: list[str] = []
        super().__init__(folder, 10, self.said.append)
        self.killed: list[str] = []
        self.recorded = 0
        self.looks = 0
        self.lucky = lucky
        self.dead = False

    def start(self) -> subprocess.Popen[str]:
        self.dead = False
        return subprocess.Popen(["true"], text=True)  # a process for its type's sake

    def _kill(self, process: subprocess.Popen[str]) -> None:  # type: ignore[override]
        process.wait()
        self.dead = True
        self.killed.append(self.said[-1] if self.said else "")

    def _record_backlog(self) -> None:
        assert self.dead, "what is recorded while it runs is sent at once"
        self.recorded += 1

    def _total(self, local: Database) -> int:
        return 100 * (1 + self.recorded)

    def _arrived(self, local: Database) -> int:
        """What was there before the process started, then what is there when somebody looks again."""
        self.looks += 1
        if self.looks % 2:
            return 100 * self.recorded
        return self._total(local) - (50 if len(self.killed) + 1 >= self.lucky else 0)


@pytest.mark.parametrize("lucky", [1, 3])
def test_a_kill_that_comes_too_late_is_done_again(tmp_path: Path, local: Database, lucky: int) -> None:
    demo = Busy(tmp_path, lucky)
    kills = demo._kill_in_the_middle(local, "node", demo.start(), demo.start)
    assert kills == {1: [50], 3: [100, 200, 250]}[lucky]
    assert demo.recorded == lucky - 1
    assert sum("too late" in line for line in demo.said) == lucky - 1


def test_it_gives_up(tmp_path: Path, local: Database) -> None:
    demo = Busy(tmp_path, TRIES + 1)
    process = demo.start()
    with pytest.raises(DemoFailedError, match="very busy"):
        demo._kill_in_the_middle(local, "hub", process, lambda: process)


def processes_of(folder: Path) -> list[str]:
    """Command lines of what runs with its files below a folder."""
    found = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdigit() and str(folder).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_no_process_and_no_file(tmp_path: Path, number: signal.Signals) -> None:
    temporary, told = tmp_path / "temporary", tmp_path / "told"
    temporary.mkdir()
    with told.open("w") as file:
        demo = subprocess.Popen(
            [sys.executable, "-m", "app", "demo", "--calls", "1000"],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(temporary)},
            stdout=file,
            stderr=file,
        )
    try:
        until = time.monotonic() + 200
        while "hub: ws://" not in told.read_text() and demo.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        demo.send_signal(number)
        assert demo.wait(100) == (130 if number == signal.SIGINT else 128 + number), told.read_text()
    finally:
        demo.kill()
    assert list(temporary.iterdir()) == []
    while (left := processes_of(temporary)) and time.monotonic() < until:
        time.sleep(0.05)  # a command that it ran, such as `join`, ends by itself
    assert left == []
