"""A program in tmux on a socket of its own: keys go in, screens come out; every wait is for something to be shown."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.binary import BINARY, LIMIT_S


class Terminal:
    """`spoke` in tmux, 80x24 unless said otherwise."""

    def __init__(
        self, folder: Path, environment: dict[str, str], *, size: str = "80x24", command: str = BINARY
    ) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux.sock"), "-f", "/dev/null"]
        self._environment = environment
        width, height = size.split("x")
        self.run("new-session", "-d", "-x", width, "-y", height, f"{command}; echo left with $?; exec sleep 1000")
        self.run("set-option", "-g", "escape-time", "0")  # Escape and what follows must not become Alt

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], env=self._environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    def screen(self, *, styled: bool = False) -> str:
        return self.run("capture-pane", "-p", *(["-e"] if styled else []))

    def keys(self, *keys: str) -> None:
        self.run("send-keys", *keys)

    def wait(self, good: Callable[[str], bool]) -> str:
        limit = time.monotonic() + LIMIT_S
        while not good(shown := self.screen()):
            assert time.monotonic() < limit, f"never shown; now:\n{shown}"
            time.sleep(0.02)
        return shown

    def wait_for(self, *words: str) -> str:
        return self.wait(lambda shown: all(word in shown for word in words))

    def settled(self, *words: str) -> str:
        """The screen with the words on it, once it stays the same: what is painted in pieces is there."""
        while True:
            first = self.wait_for(*words)
            time.sleep(0.3)
            if self.screen() == first:
                return first

    def end(self) -> None:
        self.run("kill-server")
