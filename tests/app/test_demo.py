"""The demonstration where the machine is too busy to kill in time; tests/e2e runs all of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
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
