"""systemd, where it runs: the service of an installation."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

from app.environment import child_environment
from app.install.layout import InstallError
from app.systemd_unit import NAME

RUNS = ("running", "degraded", "starting", "initializing", "maintenance", "stopping")
LIMIT_S = 700.0
"""More than the unit gives itself to start."""


@dataclass(frozen=True, slots=True)
class Service:
    """The unit `spoke.service`, of the machine or of one person."""

    system: bool

    def manager(self) -> bool:
        """Whether there is a systemd that can be asked."""
        return shutil.which("systemctl") is not None and self._ask("is-system-running") in RUNS

    def state(self) -> str:
        """`active`, `inactive`, `failed`, …; `unknown` where no systemd runs."""
        return self._ask("is-active", NAME) if self.manager() else "unknown"

    def active(self) -> bool:
        """Whether it runs, or is about to."""
        return self.state() in ("active", "activating", "reloading")

    def reread(self) -> None:
        """Let systemd read the unit's file again."""
        if self.manager():
            self._do("daemon-reload")

    def begin(self) -> None:
        """Start it now and at each boot; one that runs begins anew. Returns when it said that it is ready.

        Raises:
            InstallError: it did not come up.
        """
        self._do("enable", NAME)
        self.start()

    def start(self) -> None:
        """Start it, or anew if it runs; returns when it said that it is ready.

        Raises:
            InstallError: it did not come up.
        """
        self._do("reset-failed", NAME)
        self._do("restart", NAME)

    def stop(self) -> None:
        """Stop it; returns when it has ended."""
        if self.manager():
            self._do("stop", NAME)

    def end(self) -> None:
        """Stop it, and start it no more."""
        if self.manager():
            self._do("disable", "--now", NAME)

    def command(self, *words: str) -> str:
        """What a person types for it.

        >>> Service(system=False).command("status", "spoke")
        'systemctl --user status spoke'
        """
        return " ".join(self._line(*words))

    def _line(self, *words: str) -> list[str]:
        return ["systemctl", *([] if self.system else ["--user"]), *words]

    def _ask(self, *words: str) -> str:
        done = subprocess.run(
            self._line(*words), env=child_environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        return done.stdout.strip()

    def _do(self, *words: str) -> None:
        done = subprocess.run(
            self._line(*words), env=child_environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        if done.returncode != 0 and words[0] != "reset-failed":  # that one fails for a unit that is not loaded
            said = " ".join(done.stderr.split())
            raise InstallError(
                f"{self.command(*words)}: {said or f'exit code {done.returncode}'}",
                f"journalctl {'' if self.system else '--user '}-u {NAME} says more",
            )
